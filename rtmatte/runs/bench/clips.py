"""The clips that are measured: a scene drawn for the purpose, or the user's file brought to another size."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.color import bgr_into_i420
from rtmatte.composite.fitting import fit_into
from rtmatte.frame import I420, ColorTags, Frame, VideoFormat
from rtmatte.output.video_file import VideoFileSink
from rtmatte.runs.scene import draw_scene

_FRAME_COUNT = 48
_FRAME_RATE = Fraction(30)
_QUALITY = 80
_BT709 = ColorTags(matrix_code=1, primaries_code=1, transfer_code=1, range_tagged=True)


def make_scene_clip(path: Path, size_wh: tuple[int, int]) -> None:
    """1.6 s of H.264 at 30 fps: somebody swaying in front of a room, with the noise of a camera; always the same."""
    video = VideoFormat(size_wh, 1 / _FRAME_RATE, _BT709, frame_rate_reported=_FRAME_RATE)
    picture = I420.allocate(size_wh, _BT709)
    with VideoFileSink(path, video, quality=_QUALITY, encoder="software", overwrite=True) as sink:
        for number, (shown_bgr, _alpha_u8) in enumerate(draw_scene(size_wh, _FRAME_COUNT)):
            bgr_into_i420(shown_bgr, picture)
            sink.send(Frame(picture, number, video.time_base, number, 1), None)


def make_resized_clip(source: Path, path: Path, size_wh: tuple[int, int]) -> None:
    """The first frames of a file at another size, filled and cropped. Raises: what `VideoFileSource` raises."""
    with VideoFileSource(source) as clip:
        own = clip.format
        video = VideoFormat(size_wh, own.time_base, own.color, frame_rate_reported=own.frame_rate_reported)
        picture = I420.allocate(size_wh, own.color)
        with VideoFileSink(path, video, quality=_QUALITY, encoder="software", overwrite=True) as sink:
            for frame in islice(clip, _FRAME_COUNT):
                assert isinstance(frame.picture, I420)
                fit_into(frame.picture, picture, "cover")
                sink.send(Frame(picture, frame.pts, frame.time_base, frame.index, frame.duration), None)
