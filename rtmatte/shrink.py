"""Planes to the size of a grid, fast."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import U8


class Shrinker:
    """Halves a plane by averages until it is less than twice the target, then interpolates.

    OpenCV has vector code for both steps, while its area average by any other ratio is scalar: 0.07 ms against 0.28 ms
    from 1280x720 to 256x144. Enlarges linearly. Buffers are allocated for the first plane and when sizes change.
    """

    def __init__(self) -> None:
        self._halves: list[U8] = []
        self._sizes: tuple[tuple[int, ...], tuple[int, ...]] = (), ()

    def shrink(self, plane: U8, target: U8) -> None:
        """Fills `target`, (h, w) uint8, with `plane`, (H, W) uint8; or both with channels."""
        if self._sizes != (plane.shape, target.shape):
            self._sizes = plane.shape, target.shape
            self._halves = _halves(plane.shape, target.shape)
        for half in self._halves:
            cv2.resize(plane, half.shape[1::-1], dst=half, interpolation=cv2.INTER_AREA)
            plane = half
        cv2.resize(plane, target.shape[1::-1], dst=target, interpolation=cv2.INTER_LINEAR)


def _halves(shape: tuple[int, ...], target: tuple[int, ...]) -> list[U8]:
    found, (height, width) = [], shape[:2]
    while height >= 2 * target[0] and width >= 2 * target[1]:
        height, width = (height + 1) // 2, (width + 1) // 2
        found.append(np.empty((height, width, *shape[2:]), np.uint8))
    return found
