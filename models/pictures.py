"""Photographs that ship inside scikit-image, to compare graphs on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def real_pictures(size_wh: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Four photographs at that size, (H, W, 3) uint8 RGB: a person, a cat, a cup, a rocket."""
    import cv2
    from skimage import data

    photographs = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
    return [np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA), np.uint8) for rgb in photographs]
