"""A mask carried from the frame that it was estimated for to a later one, by optical flow."""

from __future__ import annotations

import numpy as np

from rtmatte.frame import F32, U8, Picture
from rtmatte.temporal.motion import Motion, Warp, small_luma, small_luma_cells


class MaskPropagator:
    """Remembers one estimated alpha and warps it to any picture shortly after, straight from where it was estimated.

    The flow runs from the current picture to the remembered one, so that errors don't add up from frame to frame.
    Buffers are allocated when sizes change. Owned by one thread; most of the work releases the GIL.
    """

    def __init__(self) -> None:
        self._motion = Motion()
        self._warp = Warp()
        self._remembered: U8 = np.empty((0, 0), np.uint8)
        self._current: U8 = np.empty((0, 0), np.uint8)
        self._alpha: F32 = np.empty((0, 0), np.float32)
        self._carried: F32 = np.empty((0, 0), np.float32)
        self.empty = True

    def remember(self, picture: Picture, alpha: F32) -> None:
        """Keeps copies of alpha, (h, w) float32 at any resolution, and of the small luma plane of its picture."""
        self._remembered = small_luma(picture, self._remembered)
        if self._alpha.shape != alpha.shape:
            self._alpha, self._carried = np.empty_like(alpha), np.empty_like(alpha)
        np.copyto(self._alpha, alpha)
        self.empty = False

    def propagate(self, picture: Picture) -> F32:
        """The remembered alpha as it lies in this picture, of the same size; overwritten by the next call.

        Raises: `ValueError` if nothing is remembered, or of a picture of another size.
        """
        if self.empty:
            raise ValueError("expected a remembered mask, got none")
        self._current = small_luma(picture, self._current)
        if self._current.shape != self._remembered.shape:
            raise ValueError(
                f"expected a picture as large as the remembered one, got a small plane of {self._current.shape} "
                f"instead of {self._remembered.shape}"
            )
        self._motion.find(self._current, self._remembered)
        self._warp.warp(self._alpha, self._motion.flow, self._carried, small_luma_cells(picture))
        return self._carried

    def reset(self) -> None:
        """Forgets the mask."""
        self.empty = True
