"""All alphas and small pictures of a clip, and what the future makes of them, for whoever wants to look ahead."""

from __future__ import annotations

import zlib
from struct import Struct

import cv2
import numpy as np

from rtmatte.frame import F32, U8
from rtmatte.temporal.one_way import Moment, Said
from rtmatte.temporal.spool import Spool

_LEVEL = 1
_JPEG_QUALITY = 90
_MOST_WEIGHT = 255 / 4
"""A little more than `OneWayMean` ever gives."""
_SHAPE = Struct("=II")
_SHOWN = Struct("=d?")
"""When a frame is shown, and whether it begins a shot."""


class RememberedMoments:
    """Alpha and small luma of each frame.

    Alpha is rounded to 255 steps and compressed without loss, luma as JPEG: together 6 to 7 KB a frame of 256x192.
    """

    def __init__(self) -> None:
        self._spool = Spool(3)
        self._shape_hw = 0, 0

    def __len__(self) -> int:
        return len(self._spool)

    def append(self, alpha: F32 | None, luma: U8, seconds: float, *, cut: bool) -> None:
        """Keeps alpha, (h, w) float32 in [0, 1], and luma, (h, w) uint8, of the frame of that time.

        Without an alpha the frame was spared; the first one can't be. Raises: `OutputWriteError` if the disk for
        temporary files is full.
        """
        if alpha is not None:
            self._shape_hw = alpha.shape[0], alpha.shape[1]
        _, drawn = cv2.imencode(".jpg", luma, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
        packed = _SHAPE.pack(*self._shape_hw) if alpha is None else _packed(alpha)
        self._spool.append(packed, drawn.tobytes(), _SHOWN.pack(seconds, cut))

    def moment(self, index: int) -> Moment:
        """What was kept of a frame, in new arrays."""
        packed, drawn, shown = self._spool[index]
        luma = cv2.imdecode(np.frombuffer(drawn, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert luma is not None
        spared = len(packed) == _SHAPE.size
        alpha = np.zeros(_SHAPE.unpack(packed), np.float32) if spared else _unpacked(packed)
        seconds, cut = _SHOWN.unpack(shown)
        return Moment(alpha, np.asarray(luma, np.uint8), seconds, cut, spared)

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._spool.close()


class RememberedFuture:
    """What the frames after each frame say of it: written from the clip's end to its beginning, read in any order.

    Means are rounded to 255 steps, roots of weights likewise, so that small ones stay: where nobody is sure of a spared
    frame, both sides count for as little. Together 8 to 10 KB a frame of 256x192.
    """

    def __init__(self) -> None:
        self._spool = Spool(2)

    def __len__(self) -> int:
        return len(self._spool)

    def append(self, said: Said) -> None:
        """Keeps what is said of the last frame, then of the one before, and so on.

        Raises: `OutputWriteError` if the disk for temporary files is full.
        """
        share = np.sqrt(said.weight * np.float32(1 / _MOST_WEIGHT))
        self._spool.append(_packed(said.mean), _packed(share))

    def of(self, index: int) -> Said:
        """What is said of that frame, counted from the clip's beginning, in new arrays."""
        mean, weight = self._spool[len(self) - 1 - index]
        share = _unpacked(weight)
        return Said(_unpacked(mean), share * share * np.float32(_MOST_WEIGHT))

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._spool.close()


def _packed(values: F32) -> bytes:
    rounded = np.rint(values * np.float32(255))
    rounded_u8 = np.minimum(rounded, 255, out=rounded).astype(np.uint8)
    # Runs of 0 and 255 are most of it; to look for anything else takes half as long again and finds less.
    packer = zlib.compressobj(_LEVEL, strategy=zlib.Z_RLE)
    return _SHAPE.pack(*values.shape) + packer.compress(rounded_u8.tobytes()) + packer.flush()


def _unpacked(packed: bytes) -> F32:
    rounded = np.frombuffer(zlib.decompress(packed[_SHAPE.size :]), np.uint8).reshape(_SHAPE.unpack_from(packed))
    return np.multiply(rounded, np.float32(1 / 255), dtype=np.float32)
