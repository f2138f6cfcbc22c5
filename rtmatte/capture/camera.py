"""Where live frames come from: the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias, runtime_checkable

from rtmatte.frame import Frame

CameraState: TypeAlias = Literal["opening", "running", "lost", "ended"]

CLOCK = Fraction(1, 1_000_000_000)
"""Time base of live frames: `pts` is `time.monotonic_ns()` at the moment of capture."""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """What a camera is doing, and one line for the user.

    `detail` is what was granted ("1280x720 MJPG, 30 fps") while it runs, and what happened and what is being done about
    it ("unplugged; waiting for it to come back") while it is lost. `ended`: a file that isn't looped is through.
    """

    state: CameraState
    detail: str


@runtime_checkable
class Camera(Protocol):
    """The newest frame, whenever it is asked for. A thread of the camera's own captures, and never waits for anybody.

    Frames are I420 pictures from the pool that the camera was made with; whoever takes one gives it back. Their
    `time_base` is `CLOCK`, their `index` counts every captured frame, so that a gap is a drop. Whatever happens to the
    device after `__enter__` is told by `status()`, never raised: the camera goes on trying until it is closed.

    `name` is for people; `device_id` finds the same device again after it was replugged; `size_wh` is what was granted,
    None until the device was open once. `captured` counts frames, `dropped` those that were replaced by a newer one
    before anybody took them, `reopened` how often the device came back.
    """

    name: str
    device_id: str
    size_wh: tuple[int, int] | None
    captured: int
    dropped: int
    reopened: int

    def newest(self, timeout_s: float) -> Frame | None:
        """The newest frame that wasn't taken yet, waiting at most so long for one; None if none came."""
        ...

    def status(self) -> CameraStatus:
        """What it is doing now. From any thread."""
        ...

    def close(self) -> None:
        """Ends the thread and frees the device, within a second even if the device hangs; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
