"""Which pixels a slower method should decide."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.frame import U8

_SURE = 5
"""Alpha, of 255, that is this near to 0 or 1 is taken for it."""
_REACH = 0.005
"""Of the diagonal: how far the unknown band reaches into what seems sure. On seven clips with exact truth bands of 4
and 6 pixels gave the same errors to 1 %, with a broader one the closed form's mean error grew."""


def unknown_band(alpha_u8: U8) -> NDArray[np.bool_]:
    """Where the trimap is ½: (H, W) bool of (H, W) uint8 alpha. Elsewhere alpha is as good as 0 or 1."""
    soft = cv2.inRange(alpha_u8, _SURE, 255 - _SURE)
    edges = cv2.morphologyEx((alpha_u8 > 127).view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    reach = max(1, math.ceil(_REACH * math.hypot(*alpha_u8.shape)))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(cv2.bitwise_or(soft, edges), disk), np.uint8) > 0
