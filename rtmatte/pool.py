"""Picture buffers that are allocated once and go round."""

from __future__ import annotations

from threading import Lock

from rtmatte.frame import I420, ColorTags, Picture


class PicturePool:
    """Hands out I420 buffers and takes them back, so that a steady run allocates nothing of frame size.

    How many are out at a time is bounded by the hand-offs between the stages, not here; a picture that is never
    released is simply garbage-collected. Thread-safe: acquired by the decoding thread, released by the encoding one.
    """

    def __init__(self) -> None:
        self._free: list[I420] = []
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
