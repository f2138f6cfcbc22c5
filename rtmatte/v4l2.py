"""What Linux says of a video device, be it a camera or one of v4l2loopback: V4L2's ioctls, capabilities, and sysfs.

Structures and numbers: Linux' include/uapi/linux/videodev2.h, in the generic encoding of x86, ARM and RISC-V. Integers
are 32 bits in the machine's byte order.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

LOOPBACK_DRIVER = "v4l2 loopback"

Ioctl: TypeAlias = Callable[[int, int, bytearray], object]
"""Sends a request to an open file descriptor; reads its argument, and writes the answer there."""

_CAPTURE, _OUTPUT, _CAPTURE_MPLANE = 0x1, 0x2, 0x1000
_MEMORY_TO_MEMORY = 0x4000 | 0x8000
_DEVICE_CAPS = 0x80000000
_DIRECTIONS = {"w": 1, "r": 2, "rw": 3}


def request_number(direction: Literal["r", "w", "rw"], number: int, size: int) -> int:
    """With an argument of `size` bytes: what the kernel calls `_IOR('V', number, ...)`, `_IOW` and `_IOWR`."""
    return _DIRECTIONS[direction] << 30 | size << 16 | ord("V") << 8 | number


def argument_bytes(request: int) -> int:
    """The size of a request's argument."""
    return request >> 16 & 0x3FFF


def ioctl(descriptor: int, request: int, argument: bytearray) -> None:
    """Raises: OSError with the system's errno."""
    import fcntl  # not on Windows

    fcntl.ioctl(descriptor, request, argument)


QUERYCAP = request_number("r", 0, 104)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a node is: whether it `captures` pictures, takes them (`outputs`), or converts (`converts`) just now."""

    driver: str
    card: str
    captures: bool
    outputs: bool
    converts: bool
    multi_planar: bool


def capabilities(descriptor: int, ask: Ioctl = ioctl) -> Capabilities:
    """Of an open node.

    Raises: OSError, ENODEV for a device that is gone, ENOTTY for what isn't a video device.
    """
    answer = bytearray(argument_bytes(QUERYCAP))
    ask(descriptor, QUERYCAP, answer)
    return parse_capabilities(answer)


def parse_capabilities(data: bytes | bytearray) -> Capabilities:
    """struct v4l2_capability, 104 bytes: driver[16], card[32], bus_info[32], version, capabilities, device_caps."""
    driver, card, _bus, _version, whole, node = struct.unpack_from("=16s32s32sIII", data)
    caps = node if whole & _DEVICE_CAPS else whole
    return Capabilities(
        _text(driver),
        _text(card),
        captures=bool(caps & (_CAPTURE | _CAPTURE_MPLANE)),
        outputs=bool(caps & _OUTPUT),
        converts=bool(caps & _MEMORY_TO_MEMORY),
        multi_planar=bool(caps & _CAPTURE_MPLANE),
    )


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")


def read_sysfs(path: Path) -> str:
    """A file of sysfs; empty if it isn't there, or went away with its device."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
