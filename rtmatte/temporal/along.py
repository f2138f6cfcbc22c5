"""An alpha of another moment, moved along optical flow to where things are now, and how far to believe it there."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import F32, U8
from rtmatte.temporal.motion import Motion, Warp

_MOTION_SIGMA = 1.0
"""In pixels of alpha: whether two disagree is asked of a neighbourhood, so that no single pixel breaks away."""


class Along:
    """`moved`, `difference` and `residual`, (h, w) float32 each, are overwritten by the next call of `move`.

    The difference is that of the moved alpha and the one of now, absolute and blurred; the residual is what the flow
    leaves unexplained of the picture, in code values. Owned by one thread; allocates when the shape changes.
    """

    def __init__(self, motion: Motion) -> None:
        self._motion, self._warp = motion, Warp()
        self.moved, self.difference, self.residual = (np.empty((0, 0), np.float32) for _ in range(3))

    def move(self, other: F32, other_luma: U8, alpha: F32 | None, luma: U8) -> None:
        """Moves `other` to where `alpha` is, both (h, w) float32, by their small luma planes of one shape.

        Without an alpha of now nothing differs from it.
        """
        if self.moved.shape != other.shape:
            self.moved, self.difference, self.residual = (np.empty_like(other) for _ in range(3))
        self._motion.find(luma, other_luma)
        self._warp.warp(other, self._motion.flow, self.moved)
        if alpha is None:
            self.difference.fill(0)
        else:
            cv2.absdiff(alpha, self.moved, dst=self.difference)
            cv2.GaussianBlur(self.difference, (0, 0), _MOTION_SIGMA, dst=self.difference)
        height, width = other.shape
        cv2.resize(self._motion.residual, (width, height), dst=self.residual, interpolation=cv2.INTER_LINEAR)

    def move_too(self, other: F32, out: F32) -> None:
        """Moves what else belongs to the alpha just moved, of the same shape, into `out`."""
        self._warp.again(other, out)
