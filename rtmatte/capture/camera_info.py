"""What is known of the cameras of a machine without opening one, and the protocol of those that know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

Fault: TypeAlias = Literal["gone", "denied", "busy", "broken"]
"""Why a camera can't be opened: not there, not permitted, in use by another program, or anything else."""


@dataclass(frozen=True, slots=True)
class CameraMode:
    """A pixel format, one size that it comes in, and the frame rates offered there, fastest first; () if unknown."""

    fourcc: str
    size_wh: tuple[int, int]
    frame_rates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera: `device` opens it now ("/dev/video0"; an index where there are no paths), `device_id` finds it again
    after it was replugged or the machine restarted.

    `virtual`: fed by a program, not by a lens; never chosen as the default. `denied`: this user may not open it. A
    `backend` is OpenCV's number of the interface that counts by that index; 0: the usual one.
    """

    name: str
    device: str
    device_id: str
    modes: tuple[CameraMode, ...] = ()
    virtual: bool = False
    denied: bool = False
    backend: int = 0


@dataclass(frozen=True, slots=True)
class VirtualOutput:
    """A virtual camera that programs can send pictures to.

    `accepts`: takes a sender now; `delivers`: can be opened as a camera now. Both: it doesn't hide its other side
    (`exclusive_caps=0`), and browsers don't see a camera in it. Neither: it is stuck until its module is reloaded.
    """

    name: str
    device: str
    accepts: bool
    delivers: bool


class CameraDevices(Protocol):
    """Knows the cameras of an operating system."""

    def cameras(self) -> list[CameraInfo]:
        """All there are now, in the system's order."""
        ...

    def outputs(self) -> list[VirtualOutput]:
        """Virtual cameras that can be sent to; empty where the system doesn't tell."""
        ...

    def find_again(self, camera: CameraInfo) -> CameraInfo | None:
        """The same camera, perhaps under another path; None while it isn't there. Cheap: asked twice a second."""
        ...

    def fault(self, camera: CameraInfo) -> Fault:
        """Why this one couldn't be opened or read."""
        ...
