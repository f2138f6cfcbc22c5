"""All alphas and small pictures of a clip, and what the future makes of them, for whoever wants to look ahead."""

from __future__ import annotations

import zlib
from array import array

import cv2
import numpy as np

from rtmatte.frame import F32, U8
from rtmatte.temporal.one_way import Moment, Said
from rtmatte.temporal.spool import Spool

_LEVEL = 1
_JPEG_QUALITY = 90
_STEPS = 4
"""Of a weight of 1."""


class RememberedMoments:
    """Alpha and small luma of each frame.

    Alpha is rounded to 255 steps and compressed without loss, luma as JPEG: together about 7 KB a frame of 256x192.
    """

    def __init__(self) -> None:
        self._spool = Spool(2)
        self._shapes: list[tuple[int, int]] = []
        self.seconds = array("d")
        """When each frame is shown."""
        self.cuts = array("b")
        """1 where a new shot begins."""

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, alpha: F32, luma: U8, seconds: float, *, cut: bool) -> None:
        """Keeps alpha, (h, w) float32 in [0, 1], and luma, (h, w) uint8, of the frame of that time.

        Raises: `OutputWriteError` if the disk for temporary files is full.
        """
        _, drawn = cv2.imencode(".jpg", luma, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
        self._spool.append(_packed(alpha, 255), drawn.tobytes())
        # One object for all frames of a size: an hour of tuples would be megabytes.
        shape = (alpha.shape[0], alpha.shape[1])
        self._shapes.append(self._shapes[-1] if self._shapes and self._shapes[-1] == shape else shape)
        self.seconds.append(seconds)
        self.cuts.append(cut)

    def moment(self, index: int) -> Moment:
        """The frame's alpha and luma in new arrays, and its time."""
        packed, drawn = self._spool[index]
        luma = cv2.imdecode(np.frombuffer(drawn, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert luma is not None
        return Moment(_unpacked(packed, self._shapes[index], 255), np.asarray(luma, np.uint8), self.seconds[index])

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._spool.close()


class RememberedFuture:
    """What the frames after each frame say of it: written from the clip's end to its beginning, read in any order.

    Means are rounded to 255 steps, weights to quarters of a frame's: together about 9 KB a frame of 256x192.
    """

    def __init__(self) -> None:
        self._spool = Spool(2)
        self._shapes: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, said: Said) -> None:
        """Keeps what is said of the last frame, then of the one before, and so on.

        Raises: `OutputWriteError` if the disk for temporary files is full.
        """
        self._spool.append(_packed(said.mean, 255), _packed(said.weight, _STEPS))
        shape = (said.mean.shape[0], said.mean.shape[1])
        self._shapes.append(self._shapes[-1] if self._shapes and self._shapes[-1] == shape else shape)

    def of(self, index: int) -> Said:
        """What is said of that frame, counted from the clip's beginning, in new arrays."""
        place = len(self) - 1 - index
        mean, weight = self._spool[place]
        shape = self._shapes[place]
        return Said(_unpacked(mean, shape, 255), _unpacked(weight, shape, _STEPS))

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._spool.close()


def _packed(values: F32, steps: int) -> bytes:
    rounded = np.rint(values * np.float32(steps))
    return zlib.compress(np.minimum(rounded, 255, out=rounded).astype(np.uint8).tobytes(), _LEVEL)


def _unpacked(packed: bytes, shape: tuple[int, int], steps: int) -> F32:
    rounded = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape)
    return np.multiply(rounded, np.float32(1 / steps), dtype=np.float32)
