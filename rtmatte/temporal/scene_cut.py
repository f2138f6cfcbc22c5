"""Where one shot ends and another begins."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import I420, U8, Picture

_SMALL_WH = (64, 36)
_THRESHOLD = 0.4
"""Between what 17 real clips showed: 0.27 at most within a shot (a fast zoom), 0.52 at least where two were joined."""
_LEAST_CONTRAST = 4.0


class SceneCutDetector:
    """Compares the small luma plane of each frame with that of the frame before.

    The measure is 1 − r, r the correlation coefficient of the two planes, a number between 0 (same picture) and 2. It
    doesn't see a change of exposure or a flickering lamp, and a hand that waves through the picture moves it little.
    Planes with next to no contrast (black, fog) have no correlation; for them the change of the mean decides.

    Reference: zero-mean normalised cross-correlation. Owned by one thread.
    """

    def __init__(self) -> None:
        self._small: U8 = np.empty(_SMALL_WH[::-1], np.uint8)
        self._last: U8 | None = None

    def is_cut(self, picture: Picture) -> bool:
        """Whether `picture` begins a new shot; the first one doesn't. The picture isn't kept."""
        luma = picture.y if isinstance(picture, I420) else picture[:, :, 1]
        cv2.resize(luma, _SMALL_WH, dst=self._small, interpolation=cv2.INTER_AREA)
        if self._last is None:
            self._last = self._small.copy()
            return False
        change = picture_change(self._last, self._small)
        self._last, self._small = self._small, self._last
        return change > _THRESHOLD


def picture_change(before: U8, after: U8) -> float:
    """1 − correlation of two small luma planes of equal shape; 0 = same but for brightness and contrast."""
    a, b = before.astype(np.float32), after.astype(np.float32)
    spread_a, spread_b = float(a.std()), float(b.std())
    if min(spread_a, spread_b) < _LEAST_CONTRAST:
        both_flat = max(spread_a, spread_b) < _LEAST_CONTRAST
        return 0.0 if both_flat and abs(float(a.mean() - b.mean())) < 32 else 1.0
    return 1.0 - float(((a - a.mean()) * (b - b.mean())).mean()) / (spread_a * spread_b)
