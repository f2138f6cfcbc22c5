"""Picture buffers that are allocated once and go round."""

from __future__ import annotations

from collections import defaultdict
from threading import Lock

import numpy as np

from rtmatte.frame import I420, U8, ColorTags, Picture


class PicturePool:
    """Hands out pictures and alpha planes and takes them back: a steady run allocates nothing of frame size.

    How many are out at a time is bounded by the hand-offs between the stages, not here; a picture that is never
    released is simply garbage-collected. Thread-safe: acquired by the decoding thread, released by the encoding one.
    """

    def __init__(self) -> None:
        self._free: defaultdict[tuple[int, int], list[I420]] = defaultdict(list)
        self._free_alphas: defaultdict[tuple[int, int], list[U8]] = defaultdict(list)
        self._lock = Lock()
        self.allocated = 0

    def acquire(self, size_wh: tuple[int, int], color: ColorTags) -> I420:
        """A picture of that size with undefined content; allocates only if none is free."""
        with self._lock:
            if self._free[size_wh]:
                picture = self._free[size_wh].pop()
                return picture if picture.color == color else I420.over(picture.buffer, size_wh, color)
            self.allocated += 1
        return I420.allocate(size_wh, color)

    def release(self, picture: Picture) -> None:
        """Gives a picture back; the caller must not touch it afterwards. BGR pictures aren't pooled."""
        if isinstance(picture, I420):
            with self._lock:
                self._free[picture.size_wh].append(picture)

    def acquire_alpha(self, size_wh: tuple[int, int]) -> U8:
        """An (H, W) uint8 plane of that size with undefined content; allocates only if none is free."""
        with self._lock:
            if self._free_alphas[size_wh]:
                return self._free_alphas[size_wh].pop()
            self.allocated += 1
        return np.empty(size_wh[::-1], np.uint8)

    def release_alpha(self, alpha_u8: U8) -> None:
        """Gives a plane back; the caller must not touch it afterwards."""
        with self._lock:
            self._free_alphas[alpha_u8.shape[1], alpha_u8.shape[0]].append(alpha_u8)


class RecyclingPool(PicturePool):
    """For a reader that is done with a picture whenever it asks for the next one: takes that one back by itself."""

    def __init__(self) -> None:
        super().__init__()
        self._last: I420 | None = None

    def acquire(self, size_wh: tuple[int, int], color: ColorTags) -> I420:
        """As `PicturePool.acquire`; what was acquired before is overwritten if it has that size."""
        if self._last is not None:
            self.release(self._last)
        self._last = super().acquire(size_wh, color)
        return self._last
