"""A camera that does what it is told: for tests and for trying out faults without a device."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from rtmatte.capture.synthetic import TAGS_BT709, draw_test_pattern
from rtmatte.capture.threaded_camera import PictureCamera
from rtmatte.frame import I420
from rtmatte.pool import PicturePool


class ScriptedCamera(PictureCamera):
    """Carries out commands in order: `frames`, `stall`, `unplug`, `replug`, `fail`, `end`; they return at once.

    With a `frame_rate` frames come at that rate, like a device's; without one each waits until the one before was
    taken, so that none is ever dropped and a test sees all of them. `draw(picture, number)` fills each I420 picture,
    number = `captured`; BT.709, limited range.
    """

    def __init__(
        self,
        size_wh: tuple[int, int],
        pool: PicturePool,
        *,
        frame_rate: float | None = None,
        draw: Callable[[I420, int], None] = draw_test_pattern,
    ) -> None:
        super().__init__("scripted camera", "scripted", pool)
        self.size_wh = size_wh
        self._frame_rate = frame_rate
        self._draw = draw
        self._commands: deque[Callable[[], object]] = deque()
        self._told = threading.Condition()
        self._ended = False
        self._busy = False
        self._due = time.monotonic()
        self._taken = threading.Event()
        self._taken.set()

    def frames(self, count: int) -> None:
        """Captures so many frames."""
        self._command(lambda: self._capture(count))

    def stall(self, seconds: float) -> None:
        """Delivers nothing for so long, and doesn't say so at first: as a device that hangs."""
        self._command(lambda: self._pause(seconds))

    def unplug(self) -> None:
        """Is lost until `replug`."""
        self._command(lambda: self._tell("lost", "unplugged; waiting for it to come back"))

    def replug(self, size_wh: tuple[int, int] | None = None) -> None:
        """Is back, with pictures of another size if one is given."""
        self._command(lambda: self._come_back(size_wh))

    def fail(self, error: Exception) -> None:
        """Raises this in the camera's thread, which must survive it."""

        def raise_it() -> None:
            raise error

        self._command(raise_it)

    def end(self) -> None:
        """Is through, as a file that isn't looped."""
        self._command(self._finish)

    def wait_done(self, timeout_s: float = 10.0) -> bool:
        """Waits until all commands so far were carried out; False if they weren't in that time."""
        with self._told:
            return self._told.wait_for(lambda: not self._commands and not self._busy, timeout_s)

    def close(self) -> None:
        """Ends the thread and forgets the commands that are left; may be called twice."""
        with self._told:
            self._commands.clear()
            self._closing.set()
            self._told.notify_all()
        self._taken.set()
        super().close()

    def _picture(self, item: I420) -> I420:
        self._taken.set()
        return item

    def _command(self, command: Callable[[], object]) -> None:
        with self._told:
            self._commands.append(command)
            self._told.notify_all()

    def _run(self) -> None:
        self._running()
        while not self._ended:
            with self._told:
                self._told.wait_for(lambda: self._commands or self._closing.is_set())
                if self._closing.is_set():
                    return
                command = self._commands.popleft()
                self._busy = True
            try:
                command()
            finally:
                with self._told:
                    self._busy = False
                    self._told.notify_all()

    def _running(self) -> None:
        assert self.size_wh is not None
        self._tell("running", f"{self.size_wh[0]}x{self.size_wh[1]} on command")

    def _capture(self, count: int) -> None:
        assert self.size_wh is not None
        for _ in range(count):
            if not self._pause(max(0.0, self._due - time.monotonic())) or not self._wait_taken():
                return
            picture = self._pool.acquire(self.size_wh, TAGS_BT709)
            self._draw(picture, self.captured)
            self._taken.clear()
            self._deliver(picture)
            self._due = time.monotonic() + 1 / self._frame_rate if self._frame_rate else 0.0

    def _wait_taken(self) -> bool:
        """Waits for the taker of the frame before, unless there is a rate; False once closed."""
        if self._frame_rate is None:
            self._taken.wait()
        return not self._closing.is_set()

    def _pause(self, seconds: float) -> bool:
        """False once closed."""
        return not self._closing.wait(seconds)

    def _come_back(self, size_wh: tuple[int, int] | None) -> None:
        self.size_wh = size_wh or self.size_wh
        self.reopened += 1
        self._running()

    def _finish(self) -> None:
        self._ended = True
        self._tell("ended", "the script is through")
