"""An open device node of a camera, and what it tells without OpenCV: formats, sizes, rates, and whether it is busy.

Structures as in rtmatte/v4l2.py.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from typing import Self

from rtmatte import v4l2
from rtmatte.capture.camera_info import CameraMode
from rtmatte.v4l2 import Capabilities, Ioctl, argument_bytes, request_number

ENUM_FMT = request_number("rw", 2, 64)
REQBUFS = request_number("rw", 8, 20)
ENUM_FRAMESIZES = request_number("rw", 74, 44)
ENUM_FRAMEINTERVALS = request_number("rw", 75, 52)
_BUFFER_CAPTURE, _BUFFER_CAPTURE_MPLANE, _MEMORY_MMAP = 1, 9, 1
_DISCRETE = 1
_MOST_ENTRIES = 256
"""Of one list: a driver that never ends one is broken."""


def parse_format(data: bytes) -> int:
    """struct v4l2_fmtdesc, 64 bytes: index, type, flags, description[32], pixelformat, ...; the pixel format."""
    return int(struct.unpack_from("=I", data, 44)[0])


def parse_frame_size(data: bytes) -> tuple[tuple[int, int], ...]:
    """struct v4l2_frmsizeenum, 44 bytes: one discrete (width, height), or the smallest and largest of a range."""
    (kind,) = struct.unpack_from("=I", data, 8)
    if kind == _DISCRETE:
        return (struct.unpack_from("=II", data, 12),)
    least_w, most_w, _, least_h, most_h, _ = struct.unpack_from("=6I", data, 12)
    return ((least_w, least_h), (most_w, most_h))


def parse_frame_interval(data: bytes) -> tuple[bool, float]:
    """struct v4l2_frmivalenum, 52 bytes: whether it is a discrete rate, and the rate; of a range the fastest."""
    kind, numerator, denominator = struct.unpack_from("=III", data, 16)
    return kind == _DISCRETE, denominator / numerator if numerator else 0.0


def fourcc_text(code: int) -> str:
    """The four letters of a pixel format: 0x56595559 is YUYV."""
    return (code & 0x7FFFFFFF).to_bytes(4, "little").decode("latin-1").rstrip()


def fourcc_code(text: str) -> int:
    """The number of a pixel format's four letters."""
    return int.from_bytes(text.ljust(4).encode("latin-1"), "little")


class V4l2Node:
    """An open device node. Asking it starts nothing: no light goes on, and others may be using it.

    Raises, on opening: OSError with the system's errno.
    """

    def __init__(self, path: str, ioctl: Ioctl = v4l2.ioctl, opener: Callable[[str, int], int] = os.open) -> None:
        self._ioctl = ioctl
        self._descriptor = opener(path, os.O_RDWR | os.O_NONBLOCK)

    def capabilities(self) -> Capabilities:
        """What it is. Raises: OSError if it is no video device."""
        return v4l2.capabilities(self._descriptor, self._ioctl)

    def modes(self, multi_planar: bool) -> tuple[CameraMode, ...]:
        """All pixel formats with their sizes and rates, in the driver's order."""
        kind = _BUFFER_CAPTURE_MPLANE if multi_planar else _BUFFER_CAPTURE
        codes = [parse_format(entry) for entry in self._list(ENUM_FMT, kind)]
        return tuple(
            CameraMode(fourcc_text(code), size_wh, self._rates(code, size_wh))
            for code in codes
            for entry in self._list(ENUM_FRAMESIZES, code)
            for size_wh in parse_frame_size(entry)
        )

    def _rates(self, code: int, size_wh: tuple[int, int]) -> tuple[float, ...]:
        rates = []
        for entry in self._list(ENUM_FRAMEINTERVALS, code, *size_wh):
            discrete, rate = parse_frame_interval(entry)
            rates.append(round(rate, 3))
            if not discrete:
                break
        return tuple(sorted(rates, reverse=True))

    def is_busy(self) -> bool:
        """True while another program captures: it then can't be given a buffer, which is given back at once."""
        try:
            for count in (1, 0):
                request = struct.pack("=5I", count, _BUFFER_CAPTURE, _MEMORY_MMAP, 0, 0)
                self._ioctl(self._descriptor, REQBUFS, bytearray(request))
        except OSError as error:
            return error.errno == errno.EBUSY
        return False

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _list(self, request: int, *asked: int) -> Iterator[bytes]:
        """The entries of one of V4L2's lists, which begin with an index and what is asked, and end with an error."""
        for index in range(_MOST_ENTRIES):
            entry = struct.pack(f"={1 + len(asked)}I", index, *asked)
            data = bytearray(entry.ljust(argument_bytes(request), b"\0"))
            try:
                self._ioctl(self._descriptor, request, data)
            except OSError:
                return
            yield bytes(data)
