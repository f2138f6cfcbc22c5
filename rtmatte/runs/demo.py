"""The demo: a clip made from a public-domain portrait, through the real pipeline, and a picture of before and after."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.color import bgr_into_i420, i420_into_bgr
from rtmatte.errors import InputError
from rtmatte.frame import I420, U8, ColorTags, Frame, VideoFormat
from rtmatte.output.image import write_image
from rtmatte.output.video_file import VideoFileSink
from rtmatte.runs.offline import process_video
from rtmatte.runs.progress import Progress
from rtmatte.runs.report import Report

_SIZE_WH = (1280, 720)
_FRAME_RATE = 25
_BT709 = ColorTags(matrix_code=1, primaries_code=1, transfer_code=1, range_tagged=True)


def run_demo(folder: Path, *, seconds: float, on_progress: Callable[[Progress], None] | None = None) -> Report:
    """Writes input.mp4, output.mp4 and side-by-side.png into `folder`, replacing those of an earlier demo.

    Raises: `InputError` if scikit-image, which brings the portrait, isn't installed.
    """
    portrait_bgr = _portrait_bgr()
    folder.mkdir(parents=True, exist_ok=True)
    source, target = folder / "input.mp4", folder / "output.mp4"
    _write_hand_held(portrait_bgr, source, max(1, round(seconds * _FRAME_RATE)))
    report = process_video(source, target, background="blur:0.8", overwrite=True, on_progress=on_progress)
    before, after = _middle_bgr(source, report.frames_out), _middle_bgr(target, report.frames_out)
    sheet = cv2.resize(np.hstack([before, after]), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    write_image(folder / "side-by-side.png", np.asarray(sheet, np.uint8), None, overwrite=True)
    return report


def _portrait_bgr() -> U8:
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise InputError(
            "The demo takes its portrait from scikit-image, which is not installed.",
            hint='Install it with: python -m pip install "rtmatte[demo]"',
        ) from error
    portrait: U8 = np.ascontiguousarray(astronaut()[:, :, ::-1])
    return portrait


def _write_hand_held(portrait_bgr: U8, path: Path, frame_count: int) -> None:
    """A slow sway and zoom over the portrait, as from a phone in a hand."""
    width, height = _SIZE_WH
    video = VideoFormat(_SIZE_WH, Fraction(1, _FRAME_RATE), _BT709, frame_rate_reported=Fraction(_FRAME_RATE))
    picture = I420.allocate(_SIZE_WH, _BT709)
    side = portrait_bgr.shape[0]
    with VideoFileSink(path, video, quality=80, encoder="software", overwrite=True) as sink:
        for number in range(frame_count):
            phase = 2 * np.pi * number / (4 * _FRAME_RATE)
            scale = width / side * (1.06 + 0.03 * np.sin(phase))
            shift_x = (width - side * scale) / 2 + 12 * np.sin(1.7 * phase)
            shift_y = -40 + 10 * np.sin(2.3 * phase + 1)
            placed = np.array([[scale, 0, shift_x], [0, scale, shift_y]])
            shown = cv2.warpAffine(portrait_bgr, placed, (width, height), flags=cv2.INTER_CUBIC)
            bgr_into_i420(np.asarray(shown, np.uint8), picture)
            sink.send(Frame(picture, number, video.time_base, number, 1), None)


def _middle_bgr(path: Path, frame_count: int) -> U8:
    with VideoFileSource(path) as clip:
        for frame in clip:
            if frame.index == frame_count // 2:
                assert isinstance(frame.picture, I420)
                shown_bgr = np.empty((*frame.picture.y.shape, 3), np.uint8)
                i420_into_bgr(frame.picture, shown_bgr, frame.picture.size_wh[1])
                return shown_bgr
    raise InputError(f"{path} has fewer frames than were written to it.")
