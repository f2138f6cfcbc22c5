"""Maps carried along, from each frame to the next, by optical flow that is found only when it is wanted."""

from __future__ import annotations

import numpy as np

from rtmatte.frame import F32, U8
from rtmatte.temporal.motion import Motion, Warp


class Steps:
    """Knows the small luma of the frame in hand and of the one before. Owned by one thread; allocates."""

    def __init__(self) -> None:
        self._motion, self._warp = Motion(), Warp()
        self._before: U8 | None = None
        self._now: U8 | None = None
        self._is_found = False

    def show(self, luma: U8) -> None:
        """The next frame's luma made small, (h, w) uint8; a copy is kept."""
        self._before, self._now, self._is_found = self._now, luma.copy(), False

    def carry(self, values: F32) -> F32:
        """A new map: `values`, (h, w) float32 of the frame before at any resolution, as they lie in this frame.

        As they are, where no frame of the same size came before.
        """
        if self._now is None or self._before is None or self._before.shape != self._now.shape:
            return values.copy()
        if not self._is_found:
            self._motion.find(self._now, self._before)
            self._is_found = True
        carried = np.empty_like(values)
        self._warp.warp(values, self._motion.flow, carried)
        return carried

    def reset(self) -> None:
        """Forgets both frames: the next one begins another shot."""
        self._before = self._now = None
