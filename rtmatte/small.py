"""A picture small enough to be looked at as a whole: what scene cuts, edges and colours are judged by."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import I420, U8, Picture
from rtmatte.shrink import Shrinker

LONG_SIDE = 256


def small_shape(size_hw: tuple[int, int], long_side: int = LONG_SIDE) -> tuple[int, int]:
    """Height and width, 2 at least, with about the aspect of `size_hw`; pictures smaller than that aren't enlarged."""
    scale = min(1.0, long_side / max(size_hw))
    return max(2, round(size_hw[0] * scale)), max(2, round(size_hw[1] * scale))


class SmallPlanes:
    """Shrinks the three planes of a picture, or its channels, to one size. Owned by one thread.

    Its own buffers are allocated for the first picture and when sizes change.
    """

    def __init__(self) -> None:
        self._full, self._half = Shrinker(), Shrinker()
        self._pixels: U8 = np.empty((0, 0, 3), np.uint8)

    def shrink(self, picture: Picture, planes: U8) -> None:
        """Y, U and V, or B, G and R, into `planes`, (3, h, w) uint8."""
        if isinstance(picture, I420):
            self._full.shrink(picture.y, planes[0])
            self._half.shrink(picture.u, planes[1])
            self._half.shrink(picture.v, planes[2])
            return
        if self._pixels.shape[:2] != planes.shape[1:]:
            self._pixels = np.empty((*planes.shape[1:], 3), np.uint8)
        self._full.shrink(picture, self._pixels)
        cv2.split(self._pixels, mv=list(planes))

    def of(self, picture: Picture) -> U8:
        """New planes, (3, h, w) uint8, of the usual size: the longer side is 256."""
        size_hw = (picture.y if isinstance(picture, I420) else picture).shape[:2]
        planes = np.empty((3, *small_shape((size_hw[0], size_hw[1]))), np.uint8)
        self.shrink(picture, planes)
        return planes
