"""What every camera has in common: a thread that captures, and a slot for the newest frame."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from rtmatte.capture.camera import CLOCK, CameraState, CameraStatus
from rtmatte.frame import I420, Frame
from rtmatte.newest import Newest
from rtmatte.pool import PicturePool

T = TypeVar("T")

CLOSE_SECONDS = 0.8
"""How long `close` waits for the thread; one that hangs in a driver for longer is left behind, it is a daemon."""
RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Captured(Generic[T]):
    item: T
    captured_ns: int
    index: int


class ThreadedCamera(ABC, Generic[T]):
    """A `Camera` whose thread calls `_run`, which hands over what it captures with `_deliver`.

    What is captured (`T`) is made a picture by `_picture` only when somebody takes it: dropped frames are never
    decoded. `_run` ends when `_closing` is set; when it raises, that is told and it is called again.
    """

    def __init__(self, name: str, device_id: str, pool: PicturePool) -> None:
        self.name = name
        self.device_id = device_id
        self.size_wh: tuple[int, int] | None = None
        self.captured = 0
        self.dropped = 0
        self.reopened = 0
        self._pool = pool
        self._closing = threading.Event()
        self._slot: Newest[_Captured[T]] = Newest()
        self._status = CameraStatus("opening", "opening")
        self._thread = threading.Thread(target=self._survive, name="rtmatte-camera", daemon=True)

    @abstractmethod
    def _run(self) -> None:
        """Captures until `_closing` is set or there is nothing more to capture."""

    @abstractmethod
    def _picture(self, item: T) -> I420 | None:
        """The picture of something captured, in a buffer of the pool; None if it is damaged. In the taker's thread."""

    @abstractmethod
    def _discard(self, item: T) -> None:
        """Frees something captured that nobody takes."""

    def newest(self, timeout_s: float) -> Frame | None:
        """The newest frame that wasn't taken yet, waiting at most so long for one; None if none came."""
        deadline = time.monotonic() + timeout_s
        while taken := self._slot.take(max(0.0, deadline - time.monotonic())):
            picture = self._picture(taken.item)
            if picture is not None:
                return Frame(picture, taken.captured_ns, CLOCK, taken.index)
        return None

    def status(self) -> CameraStatus:
        """What it is doing now. From any thread."""
        return self._status

    def close(self) -> None:
        """Ends the thread and frees the device, within a second even if the device hangs; may be called twice."""
        self._closing.set()
        if left := self._slot.close():
            self._discard(left.item)
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _deliver(self, item: T, captured_ns: int | None = None) -> None:
        """Makes this the newest frame, captured then; None: now."""
        if self._closing.is_set():
            self._discard(item)
            return
        captured = _Captured(item, captured_ns or time.monotonic_ns(), self.captured)
        self.captured += 1
        if displaced := self._slot.put(captured):
            self.dropped += displaced is not captured
            self._discard(displaced.item)

    def _tell(self, state: CameraState, detail: str) -> None:
        self._status = CameraStatus(state, detail)

    def _survive(self) -> None:
        while not self._closing.is_set():
            try:
                self._run()
                return
            except Exception as error:
                self._tell("lost", f"{error or type(error).__name__}; trying again")
            self._closing.wait(RETRY_SECONDS)


class PictureCamera(ThreadedCamera[I420]):
    """A camera that captures pictures of the pool."""

    def _picture(self, item: I420) -> I420 | None:
        return item

    def _discard(self, item: I420) -> None:
        self._pool.release(item)
