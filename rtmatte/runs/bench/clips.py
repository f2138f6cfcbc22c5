"""The clips that are measured: a scene drawn for the purpose, or the user's file brought to another size."""

from __future__ import annotations

from collections.abc import Callable
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


class Stopped(Exception):
    """A clip was given up half made; nothing of it is left."""


class Clips:
    """The clips of a benchmark, each made when it is first asked for: a scene, or `source` brought to another size.

    With `own_size_wh`, `source` itself is the clip of that size.
    """

    def __init__(self, folder: Path, source: Path | None, own_size_wh: tuple[int, int] | None = None) -> None:
        self._folder = folder
        self._source = source
        self._made: dict[tuple[int, int], Path] = {}
        if source is not None and own_size_wh is not None:
            self._made[own_size_wh] = source

    def has(self, size_wh: tuple[int, int]) -> bool:
        """Whether it needn't be made."""
        return size_wh in self._made

    def of(self, size_wh: tuple[int, int], should_stop: Callable[[], bool]) -> Path:
        """The clip of that size. Raises: `Stopped`; what `VideoFileSource` raises."""
        if size_wh not in self._made:
            _go_on(should_stop)
            path = self._folder / f"{size_wh[0]}x{size_wh[1]}.mp4"
            if self._source is None:
                make_scene_clip(path, size_wh, should_stop)
            else:
                make_resized_clip(self._source, path, size_wh, should_stop)
            self._made[size_wh] = path
        return self._made[size_wh]


def make_scene_clip(path: Path, size_wh: tuple[int, int], should_stop: Callable[[], bool] = lambda: False) -> None:
    """1.6 s of H.264 at 30 fps: somebody swaying in front of a room, with the noise of a camera; always the same.

    Raises: `Stopped` if `should_stop()`, which is asked before each frame.
    """
    video = VideoFormat(size_wh, 1 / _FRAME_RATE, _BT709, frame_rate_reported=_FRAME_RATE)
    picture = I420.allocate(size_wh, _BT709)
    with VideoFileSink(path, video, quality=_QUALITY, encoder="software", overwrite=True) as sink:
        for number, (shown_bgr, _alpha_u8) in enumerate(draw_scene(size_wh, _FRAME_COUNT)):
            _go_on(should_stop)
            bgr_into_i420(shown_bgr, picture)
            sink.send(Frame(picture, number, video.time_base, number, 1), None)


def make_resized_clip(
    source: Path, path: Path, size_wh: tuple[int, int], should_stop: Callable[[], bool] = lambda: False
) -> None:
    """The first frames of a file at another size, filled and cropped.

    Raises: `Stopped` if `should_stop()`, which is asked before each frame; what `VideoFileSource` raises.
    """
    with VideoFileSource(source) as clip:
        own = clip.format
        video = VideoFormat(size_wh, own.time_base, own.color, frame_rate_reported=own.frame_rate_reported)
        picture = I420.allocate(size_wh, own.color)
        with VideoFileSink(path, video, quality=_QUALITY, encoder="software", overwrite=True) as sink:
            for frame in islice(clip, _FRAME_COUNT):
                _go_on(should_stop)
                assert isinstance(frame.picture, I420)
                fit_into(frame.picture, picture, "cover")
                sink.send(Frame(picture, frame.pts, frame.time_base, frame.index, frame.duration), None)


def _go_on(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise Stopped
