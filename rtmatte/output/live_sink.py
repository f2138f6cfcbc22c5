"""Where live pictures go: a sink that may break and be watched."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rtmatte.output.sink import Sink


@runtime_checkable
class LiveSink(Sink, Protocol):
    """A sink that is a device. Owned by one thread; `encoder` names the device.

    `send` raises `VirtualCameraError` where it notices by itself that the device is gone.
    """

    def check(self) -> None:
        """Whether the device still takes what is sent. Cheap; called about once a second.

        Raises: `VirtualCameraError` with what happened to it.
        """
        ...

    def readers(self) -> int | None:
        """How many other programs read the device now; None where the system doesn't tell."""
        ...
