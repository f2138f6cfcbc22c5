"""The test pattern as a camera: `pattern`."""

from __future__ import annotations

import time

from rtmatte.capture.synthetic import SMALLEST_SIDE, TAGS_BT709, draw_test_pattern
from rtmatte.capture.threaded_camera import PictureCamera
from rtmatte.errors import SettingsError
from rtmatte.pool import PicturePool

DEFAULT_SIZE_WH = (1280, 720)


class PatternCamera(PictureCamera):
    """Draws `draw_test_pattern` so many times a second; the number in the pixels is the frame's index modulo 2**16.

    Tagged BT.709. Raises: `SettingsError` for a picture under 16x16.
    """

    def __init__(self, size_wh: tuple[int, int] | None, frame_rate: float, pool: PicturePool) -> None:
        super().__init__("test pattern", "pattern", pool)
        self.size_wh = width, height = size_wh or DEFAULT_SIZE_WH
        self._frame_rate = frame_rate
        if min(width, height) < SMALLEST_SIDE:
            raise SettingsError(f"The test pattern: expected a size of at least 16x16, got {width}x{height}.")

    def _run(self) -> None:
        assert self.size_wh is not None
        self._tell("running", f"{self.size_wh[0]}x{self.size_wh[1]} test pattern, {self._frame_rate:g} fps")
        due = time.monotonic()
        while not self._closing.wait(max(0.0, due - time.monotonic())):
            picture = self._pool.acquire(self.size_wh, TAGS_BT709)
            draw_test_pattern(picture, self.captured)
            self._deliver(picture)
            # Never two in a hurry: what couldn't be drawn in time is left out.
            due = max(due + 1 / self._frame_rate, time.monotonic())
