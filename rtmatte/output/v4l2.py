"""The few questions that rtmatte asks of a Linux video device itself (V4L2 ioctls on an open file descriptor).

Request numbers are in the generic encoding of x86, ARM and RISC-V.

Reference: Linux Media User-space API, part I (VIDIOC_QUERYCAP, VIDIOC_G_FMT, VIDIOC_SUBSCRIBE_EVENT, VIDIOC_DQEVENT).
"""

from __future__ import annotations

import contextlib
import select
import struct
from dataclasses import dataclass
from pathlib import Path

CAN_CAPTURE, CAN_OUTPUT = 0x1, 0x2
"""V4L2_CAP_VIDEO_CAPTURE, V4L2_CAP_VIDEO_OUTPUT."""
_VIDEO_OUTPUT = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT."""
_POINTER_BYTES = struct.calcsize("P")
_FORMAT_UNION_AT = 8 if _POINTER_BYTES == 8 else 4
_FORMAT_BYTES = _FORMAT_UNION_AT + 200
_CAPABILITY_BYTES = 104
_SUBSCRIPTION_BYTES = 32
_EVENT_BYTES = 136
_EVENT_UNION_AT = 8
_SEND_INITIAL = 1
_CLIENT_USAGE = 0x08000000 + 0x08E00000 + 1
"""v4l2loopback's own event (0.13 and later): whether somebody streams from the device."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a device says it is: its driver, and whether it can be read from and written to just now."""

    driver: str
    can_capture: bool
    can_output: bool


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The frames that a device expects to be written: size in pixels, pixel format as its four letters ("YU12")."""

    size_wh: tuple[int, int]
    fourcc: str

    def __str__(self) -> str:
        return f"{self.size_wh[0]}x{self.size_wh[1]} {self.fourcc}"


def capabilities(descriptor: int) -> Capabilities:
    """Raises: OSError, ENODEV for a device that is gone, ENOTTY for what isn't a video device."""
    answer = bytearray(_CAPABILITY_BYTES)
    _ioctl(descriptor, _request("r", 0, _CAPABILITY_BYTES), answer)
    (flags,) = struct.unpack_from("<I", answer, 88)
    driver = bytes(answer[:16]).split(b"\0", 1)[0].decode(errors="replace")
    return Capabilities(driver, bool(flags & CAN_CAPTURE), bool(flags & CAN_OUTPUT))


def output_format(descriptor: int) -> OutputFormat:
    """Raises: OSError, ENODEV for a device that is gone."""
    answer = bytearray(_FORMAT_BYTES)
    struct.pack_into("<I", answer, 0, _VIDEO_OUTPUT)
    _ioctl(descriptor, _request("rw", 4, _FORMAT_BYTES), answer)
    width, height, fourcc = struct.unpack_from("<II4s", answer, _FORMAT_UNION_AT)
    return OutputFormat((width, height), fourcc.decode(errors="replace"))


def is_streamed_from(descriptor: int) -> bool | None:
    """Whether anybody streams from a v4l2loopback device; None where the driver can't tell (before 0.13).

    Asks for the state anew each time, so that no event can be missed: three ioctls, nothing waits.
    """
    if _POINTER_BYTES != 8:
        return None  # the event's layout differs there
    subscription = bytearray(struct.pack("<3I", _CLIENT_USAGE, 0, _SEND_INITIAL).ljust(_SUBSCRIPTION_BYTES, b"\0"))
    event = bytearray(_EVENT_BYTES)
    try:
        _ioctl(descriptor, _request("w", 90, _SUBSCRIPTION_BYTES), subscription)
    except OSError:
        return None
    try:
        if not events(descriptor) & select.POLLPRI:
            return None
        _ioctl(descriptor, _request("r", 89, _EVENT_BYTES), event)
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            _ioctl(descriptor, _request("w", 91, _SUBSCRIPTION_BYTES), subscription)
    (kind,), (count,) = struct.unpack_from("<I", event), struct.unpack_from("<I", event, _EVENT_UNION_AT)
    return bool(count) if kind == _CLIENT_USAGE else None


def events(descriptor: int) -> int:
    """The `select.POLL...` flags that hold now; `POLLERR` or `POLLHUP` once the device is gone."""
    poll = select.poll()
    poll.register(descriptor, select.POLLPRI)
    return next((flags for _, flags in poll.poll(0)), 0)


def descriptors_of(path: str) -> set[int]:
    """This process's open file descriptors for a device, by its real path."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(link.readlink()) == path:
                found.add(int(link.name))
    return found


def _request(direction: str, number: int, size: int) -> int:
    direction_bits = {"w": 1, "r": 2, "rw": 3}[direction]
    return direction_bits << 30 | size << 16 | ord("V") << 8 | number


def _ioctl(descriptor: int, request: int, argument: bytearray) -> None:
    import fcntl  # not on Windows

    fcntl.ioctl(descriptor, request, argument)
