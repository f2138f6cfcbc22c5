"""Picture buffers that are allocated once and go round."""

from __future__ import annotations

from threading import Lock

import numpy as np

from rtmatte.frame import I420, U8, ColorTags, Picture


class PicturePool:
    """Hands out pictures and alpha planes and takes them back: a steady run allocates nothing of frame size.

    How many are out at a time is bounded by the hand-offs between the stages, not here; a picture that is never
    released is simply garbage-collected. Thread-safe: acquired by the decoding thread, released by the encoding one.
    """

    def __init__(self) -> None:
        self._free: list[I420] = []
        self._free_alphas: list[U8] = []
        self._lock = Lock()
        self.allocated = 0

    def acquire(self, size_wh: tuple[int, int], color: ColorTags) -> I420:
        """A picture of that size with undefined content; allocates only if none is free."""
        with self._lock:
            while self._free:
                picture = self._free.pop()
                if picture.size_wh == size_wh:
                    return picture if picture.color == color else I420.over(picture.buffer, size_wh, color)
            self.allocated += 1
        return I420.allocate(size_wh, color)

    def release(self, picture: Picture) -> None:
        """Gives a picture back; the caller must not touch it afterwards. BGR pictures aren't pooled."""
        if isinstance(picture, I420):
            with self._lock:
                self._free.append(picture)

    def acquire_alpha(self, size_wh: tuple[int, int]) -> U8:
        """An (H, W) uint8 plane of that size with undefined content; allocates only if none is free."""
        with self._lock:
            while self._free_alphas:
                alpha_u8 = self._free_alphas.pop()
                if alpha_u8.shape == size_wh[::-1]:
                    return alpha_u8
            self.allocated += 1
        return np.empty(size_wh[::-1], np.uint8)

    def release_alpha(self, alpha_u8: U8) -> None:
        """Gives a plane back; the caller must not touch it afterwards."""
        with self._lock:
            self._free_alphas.append(alpha_u8)
