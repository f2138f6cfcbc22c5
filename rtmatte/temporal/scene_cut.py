"""Where one shot ends and another begins."""

from __future__ import annotations

import numpy as np

from rtmatte.frame import U8
from rtmatte.shrink import Shrinker

_SMALL_WH = (64, 36)
_THRESHOLD = 0.48
"""Between what 32 real clips show: 0.28 at most within shots of people indoors and 0.45 where a car fills the picture,
0.52 at least where two of different rooms are joined. Joins of two takes in one room lie below: they aren't cuts."""
_LEAST_VARIANCE = 16.0
"""Structure weaker than this, in squared code values of both planes together, is taken for noise."""
_FLAT_STEP = 32
"""How far the mean jumps between two pictures without structure, in code values, for it to be a cut."""


class SceneCutDetector:
    """Compares the small luma plane of each frame with that of the frame before.

    The measure is 1 − (2·cov + c) / (var + var + c), the contrast and structure terms of SSIM over the whole plane: a
    change of exposure or a flickering lamp moves it little, neither does a hand that waves through the picture, and the
    constant keeps noise in the dark from counting as structure. Between two pictures without any structure (black, fog,
    a plain slide) the jump of the mean decides. Owned by one thread.

    Reference: Z. Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE
    Transactions on Image Processing, 2004.
    """

    def __init__(self) -> None:
        self._small: U8 = np.empty(_SMALL_WH[::-1], np.uint8)
        self._last: U8 | None = None
        self._shrinker = Shrinker()

    def is_cut(self, luma: U8) -> bool:
        """Whether a picture begins a new shot; the first one doesn't. `luma` is (h, w) uint8, at any resolution.

        Green does as well. The array isn't kept.
        """
        self._shrinker.shrink(luma, self._small)
        if self._last is None:
            self._last = self._small.copy()
            return False
        change = picture_change(self._last, self._small)
        self._last, self._small = self._small, self._last
        return change > _THRESHOLD


def picture_change(before: U8, after: U8) -> float:
    """How much of the structure of two small luma planes of equal shape differs: 0 (none) to 2 (inverted)."""
    a, b = before.astype(np.float32), after.astype(np.float32)
    mean_a, mean_b = float(a.mean()), float(b.mean())
    a -= mean_a
    b -= mean_b
    variances = float((a * a).mean()) + float((b * b).mean())
    if variances < _LEAST_VARIANCE and abs(mean_a - mean_b) >= _FLAT_STEP:
        return 1.0
    return 1 - (2 * float((a * b).mean()) + _LEAST_VARIANCE) / (variances + _LEAST_VARIANCE)
