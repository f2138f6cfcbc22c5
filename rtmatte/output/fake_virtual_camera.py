"""Virtual cameras that need no device: a sink that counts, and a device for pyvirtualcam that a test can spoil."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Self

import numpy as np

from rtmatte.errors import VirtualCameraError
from rtmatte.frame import I420, U8, ColorTags, Frame
from rtmatte.output.virtual_camera import VIRTUAL_CAMERA_COLOR, register_backend


class CountingCamera:
    """A live sink that shows nothing: for benchmarks (`--output null`) and for tests.

    Counts frames in `frames_sent` and keeps copies of the last `keep` pictures in `kept` (none unless asked for).
    `on_frame` is called with every frame, in the sending thread, before `send` returns. Set `fault` to a sentence and
    `check` raises it, `send_fault` and `send` does; `watchers` is what `readers` answers.
    """

    def __init__(
        self,
        size_wh: tuple[int, int],
        frame_rate: float = 30.0,
        *,
        keep: int = 0,
        on_frame: Callable[[Frame], None] | None = None,
    ) -> None:
        self.size_wh = size_wh
        self.frame_rate = frame_rate
        self.color: ColorTags = VIRTUAL_CAMERA_COLOR
        self.notices: list[str] = []
        self.encoder = "null"
        self.frames_sent = 0
        self.kept: deque[I420] = deque(maxlen=keep)
        self.fault: str | None = None
        self.send_fault: str | None = None
        self.watchers: int | None = None
        self.closed = False
        self._on_frame = on_frame

    def send(self, frame: Frame, alpha_u8: U8 | None = None) -> None:  # noqa: ARG002 - of the protocol
        """Counts one picture.

        Raises: `VirtualCameraError` for another kind, size or colours, and for `send_fault`.
        """
        picture = frame.picture
        if self.send_fault is not None:
            raise VirtualCameraError(self.send_fault)
        if not isinstance(picture, I420) or picture.size_wh != self.size_wh or picture.color.full_range:
            raise VirtualCameraError(f"Expected an I420 picture of {self.size_wh}, got another kind or size.")
        if self.kept.maxlen:
            self.kept.append(I420.over(picture.buffer.copy(), picture.size_wh, picture.color))
        self.frames_sent += 1
        if self._on_frame is not None:
            self._on_frame(frame)

    def check(self) -> None:
        """Raises: `VirtualCameraError` with the sentence in `fault`, if there is one."""
        if self.fault is not None:
            raise VirtualCameraError(self.fault)

    def readers(self) -> int | None:
        return self.watchers

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeDevice:
    """A virtual camera device in memory, which pyvirtualcam can be told to use.

        device = FakeDevice()
        with VirtualCamera((640, 360), 30, backend=device.register(), watch=device) as camera: ...

    Keeps the last frame's bytes in `newest` and counts in `frames_sent`. `open_fault` makes opening fail, `fault` the
    health check; like a real device it then takes frames and loses them. `watchers` is what `readers` answers.
    """

    def __init__(self) -> None:
        self.frames_sent = 0
        self.newest: U8 | None = None
        self.opened_with: dict[str, object] = {}
        self.is_open = False
        self.open_fault: str | None = None
        self.fault: str | None = None
        self.watchers: int | None = 1

    def register(self, name: str = "fake") -> str:
        """Makes it known to pyvirtualcam and returns the name to pass as `backend`."""
        register_backend(name, self._open)
        return name

    def check(self, frames_sent: int) -> None:
        """Raises: `VirtualCameraError` with the sentence in `fault`, or if frames were lost."""
        if self.fault is not None:
            raise VirtualCameraError(self.fault)
        if frames_sent != self.frames_sent:
            raise VirtualCameraError(f"Expected {frames_sent} frames to have arrived, got {self.frames_sent}.")

    def readers(self) -> int | None:
        return self.watchers

    def _open(self, **arguments: object) -> _FakeBackend:
        if self.open_fault is not None:
            raise RuntimeError(self.open_fault)
        self.opened_with = arguments
        self.is_open = True
        return _FakeBackend(self)


class _FakeBackend:
    """pyvirtualcam's side of a `FakeDevice`: the methods of its `Backend`."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device

    def send(self, frame: U8) -> None:
        if self._device.fault is not None:
            return  # as pyvirtualcam: a failed write is lost
        if self._device.newest is None or self._device.newest.shape != frame.shape:
            self._device.newest = np.empty_like(frame)
        np.copyto(self._device.newest, frame)
        self._device.frames_sent += 1

    def close(self) -> None:
        self._device.is_open = False

    def device(self) -> str:
        return str(self._device.opened_with.get("device") or "fake device")

    def native_fourcc(self) -> None:
        return None
