"""The open file descriptor of a v4l2loopback device: the format it takes, whether anybody watches, whether it is gone.

Reference: Linux Media User-space API, part I (VIDIOC_G_FMT, VIDIOC_SUBSCRIBE_EVENT, VIDIOC_DQEVENT).
"""

from __future__ import annotations

import contextlib
import select
import struct
from dataclasses import dataclass
from pathlib import Path

from rtmatte import v4l2
from rtmatte.v4l2 import argument_bytes, request_number

_VIDEO_OUTPUT = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT."""
_POINTER_BYTES = struct.calcsize("P")
_FORMAT_UNION_AT = 8 if _POINTER_BYTES == 8 else 4
_GET_FORMAT = request_number("rw", 4, _FORMAT_UNION_AT + 200)
_TAKE_EVENT = request_number("r", 89, 136)
_SUBSCRIBE = request_number("w", 90, 32)
_UNSUBSCRIBE = request_number("w", 91, 32)
_EVENT_UNION_AT = 8
_SEND_INITIAL = 1
_CLIENT_USAGE = 0x08000000 + 0x08E00000 + 1
"""v4l2loopback's own event (0.13 and later): whether somebody streams from the device."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """The frames that a device expects to be written: size in pixels, pixel format as its four letters ("YU12")."""

    size_wh: tuple[int, int]
    fourcc: str

    def __str__(self) -> str:
        return f"{self.size_wh[0]}x{self.size_wh[1]} {self.fourcc}"


def output_format(descriptor: int) -> OutputFormat:
    """Raises: OSError, ENODEV for a device that is gone."""
    answer = bytearray(argument_bytes(_GET_FORMAT))
    struct.pack_into("=I", answer, 0, _VIDEO_OUTPUT)
    v4l2.ioctl(descriptor, _GET_FORMAT, answer)
    width, height, fourcc = struct.unpack_from("=II4s", answer, _FORMAT_UNION_AT)
    return OutputFormat((width, height), fourcc.decode(errors="replace"))


def is_streamed_from(descriptor: int) -> bool | None:
    """Whether anybody streams from a v4l2loopback device; None where the driver can't tell (before 0.13).

    Asks for the state anew each time, so that no event can be missed: three ioctls, nothing waits.
    """
    if _POINTER_BYTES != 8:
        return None  # the event's layout differs there
    asked = struct.pack("=3I", _CLIENT_USAGE, 0, _SEND_INITIAL)
    subscription = bytearray(asked.ljust(argument_bytes(_SUBSCRIBE), b"\0"))
    event = bytearray(argument_bytes(_TAKE_EVENT))
    try:
        v4l2.ioctl(descriptor, _SUBSCRIBE, subscription)
    except OSError:
        return None
    try:
        if not events(descriptor) & select.POLLPRI:
            return None
        v4l2.ioctl(descriptor, _TAKE_EVENT, event)
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            v4l2.ioctl(descriptor, _UNSUBSCRIBE, subscription)
    (kind,), (count,) = struct.unpack_from("=I", event), struct.unpack_from("=I", event, _EVENT_UNION_AT)
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
