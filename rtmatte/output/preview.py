"""A window that shows what is sent, and takes keys."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import I420, U8
from rtmatte.output.display import require_display

_LARGEST_W = 1280
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _LINE_BGR = (255, 255, 255), (230, 230, 230)
_DIM_SHIFT = 2
"""Behind the help, pictures are shown at a quarter of their brightness."""


class Preview:
    """Shows I420 pictures in BT.601, limited range, of even size: what a virtual camera takes.

    `help_lines`, (key, what it does), are drawn over the shown picture while `help_shown` is set; nothing is ever drawn
    into the picture itself. All calls come from the program's main thread, which window systems insist on. Allocates
    when the size changes.

    Raises: `SettingsError` without a display, or with an OpenCV that was built without windows.
    """

    def __init__(self, title: str, help_lines: Sequence[tuple[str, str]] = ()) -> None:
        require_display()
        # Qt, in OpenCV's wheels, warns eight times of fonts that it doesn't need.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
        self.help_shown = False
        self._title = title
        self._help_lines = tuple(help_lines)
        self._shown_bgr: U8 = np.empty((0, 0, 3), np.uint8)
        self._before_bgr: U8 = np.empty((0, 0, 3), np.uint8)
        self._closed = False
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise SettingsError(
                "This OpenCV can't show windows.",
                hint="Leave --preview away, or `pip uninstall opencv-python-headless` and `pip install opencv-python`.",
            ) from error

    @property
    def closed(self) -> bool:
        """Whether the window is gone, by `close` or by the user's hand."""
        if not self._closed and self._shown_bgr.size:
            try:
                self._closed = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1
            except cv2.error:  # so Qt answers once its last window is gone
                self._closed = True
        return self._closed

    def show(self, picture: I420, before: I420 | None = None) -> None:
        """Shows a picture; with `before`, of the same size, its left half is that of `before`."""
        if self.closed:
            return
        width, height = picture.size_wh
        if self._shown_bgr.shape[:2] != (height, width):
            self._shown_bgr = np.empty((height, width, 3), np.uint8)
            scale = min(1.0, _LARGEST_W / width)
            cv2.resizeWindow(self._title, round(width * scale), round(height * scale))
        _to_bgr(picture, self._shown_bgr)
        if before is not None:
            self._draw_before(before)
        if self.help_shown:
            _draw_lines(self._shown_bgr, self._help_lines)
        cv2.imshow(self._title, self._shown_bgr)

    def key(self) -> str | None:
        """The key that was pressed since the last call, as its character, or None; also lets the window live.

        Doesn't wait. Of several keys between two calls the last one counts.
        """
        if self._closed:
            return None
        code = cv2.pollKey()
        return None if code < 0 else chr(code & 0xFF)

    def close(self) -> None:
        """Takes the window away; may be called twice."""
        if not self._closed:
            self._closed = True
            cv2.destroyWindow(self._title)

    def _draw_before(self, before: I420) -> None:
        if self._before_bgr.shape != self._shown_bgr.shape:
            self._before_bgr = np.empty_like(self._shown_bgr)
        _to_bgr(before, self._before_bgr)
        middle = self._shown_bgr.shape[1] // 2
        self._shown_bgr[:, :middle] = self._before_bgr[:, :middle]
        self._shown_bgr[:, middle - 1 : middle + 1] = _LINE_BGR


def _to_bgr(picture: I420, target_bgr: U8) -> None:
    width, height = picture.size_wh
    cv2.cvtColor(picture.buffer.reshape(height * 3 // 2, width), cv2.COLOR_YUV2BGR_I420, dst=target_bgr)


def _draw_lines(canvas_bgr: U8, lines: Sequence[tuple[str, str]]) -> None:
    """Dims the picture and writes the lines into it in two columns, as large as they fit."""
    height, width = canvas_bgr.shape[:2]
    np.right_shift(canvas_bgr, _DIM_SHIFT, out=canvas_bgr)
    if not lines:
        return
    (widest, tall), _ = cv2.getTextSize(max((text for _, text in lines), key=len), _FONT, 1.0, 1)
    scale = min(0.75 * width / widest, 0.4 * height / (len(lines) * tall))
    thickness = max(1, round(scale * 1.5))
    for number, columns in enumerate(lines):
        y = round(height * (0.05 + 0.9 * (number + 0.65) / len(lines)))
        for text, x in zip(columns, (0.08, 0.16), strict=True):
            cv2.putText(canvas_bgr, text, (round(x * width), y), _FONT, scale, _WHITE, thickness, cv2.LINE_AA)
