"""A live run in a thread of its own: a camera that does what the test says, a device that looks at every frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from rtmatte.capture.scripted_camera import ScriptedCamera
from rtmatte.errors import VirtualCameraError
from rtmatte.frame import F32, I420, Frame
from rtmatte.matting.matter import Matter
from rtmatte.output.fake_virtual_camera import CountingCamera
from rtmatte.pool import PicturePool
from rtmatte.runs.live.run import run_live
from rtmatte.runs.live.status import LiveStatus
from rtmatte.settings import LiveSettings

SIZE_WH = (160, 96)
_PATIENCE_S = 20.0


class FunctionMatter:
    """A `Matter` that calls a function for each frame."""

    name = "function"
    provider = "test"

    def __init__(self, alpha_of: Callable[[Frame], F32]) -> None:
        self.alpha_of = alpha_of
        self.calls = 0
        self.resets = 0

    def estimate(self, frame: Frame) -> F32:
        self.calls += 1
        return self.alpha_of(frame)

    def reset(self) -> None:
        self.resets += 1


def nobody(_frame: Frame) -> F32:
    """Nothing of the frame is foreground."""
    return np.zeros((24, 40), np.float32)


def upper_half(_frame: Frame) -> F32:
    """The upper half is foreground."""
    alpha = np.zeros((24, 40), np.float32)
    alpha[:12] = 1
    return alpha


class LiveRun:
    """What a test sees of the run: the camera to command, every sent frame, the statuses."""

    def __init__(self, look: Callable[[Frame], None] | None) -> None:
        self.pool: PicturePool | None = None
        self.camera: ScriptedCamera | None = None
        self.outputs: list[CountingCamera] = []
        self.opening_fails = 0
        self.statuses: list[LiveStatus] = []
        self.result: LiveStatus | None = None
        self.error: BaseException | None = None
        self.look_errors: list[BaseException] = []
        self.began = threading.Event()
        self.stop = threading.Event()
        self._look = look

    @property
    def output(self) -> CountingCamera:
        return self.outputs[-1]

    def script(self) -> ScriptedCamera:
        self.wait(self.began.is_set)
        assert self.camera is not None
        return self.camera

    def wait(self, happened: Callable[[], object]) -> None:
        """Until it did; a run that has failed meanwhile fails the test."""
        deadline = time.monotonic() + _PATIENCE_S
        while not happened():
            if self.error is not None:
                raise self.error
            assert not self.look_errors, self.look_errors
            assert time.monotonic() < deadline, f"never happened; last status: {self.statuses[-1:]}"
            time.sleep(0.005)

    def wait_status(self, is_so: Callable[[LiveStatus], object]) -> None:
        self.wait(lambda: self.statuses and is_so(self.statuses[-1]))

    def wait_sent(self, more: int) -> None:
        """Until so many more frames, composites or cards, were sent."""
        self.wait(lambda: self.outputs)
        output, wanted = self.output, self.output.frames_sent + more
        self.wait(lambda: self.output is not output or output.frames_sent >= wanted)

    def open_output(self, size_wh: tuple[int, int]) -> CountingCamera:
        if self.opening_fails > 0:
            self.opening_fails -= 1
            raise VirtualCameraError("still gone")
        self.outputs.append(CountingCamera(size_wh, on_frame=self._looked))
        return self.outputs[-1]

    def _looked(self, frame: Frame) -> None:
        try:
            if self._look is not None:
                self._look(frame)
        except BaseException as error:
            self.look_errors.append(error)


@contextmanager
def live(
    matter: Callable[[], Matter],
    *,
    look: Callable[[Frame], None] | None = None,
    draw: Callable[[I420, int], None] | None = None,
    camera_rate: float | None = 60.0,
    size_wh: tuple[int, int] = SIZE_WH,
    **settings: Any,
) -> Iterator[LiveRun]:
    """Begins a run, and ends it when the block does; what went wrong in it is raised here. Green background."""
    run = LiveRun(look)

    def open_camera(pool: PicturePool) -> ScriptedCamera:
        extra = {} if draw is None else {"draw": draw}
        run.pool = pool
        run.camera = ScriptedCamera(size_wh, pool, frame_rate=camera_rate, **extra)
        run.began.set()
        return run.camera

    def body() -> None:
        try:
            with patch("rtmatte.runs.live.run._STATUS_INTERVAL_S", 0.05):  # tests wait for statuses
                run.result = run_live(
                    LiveSettings(**{"backgrounds": ("#00b140",), "smoothing_s": 0.0, "when_slow": "drop"} | settings),
                    camera=open_camera,
                    output=run.open_output,
                    matter=matter,
                    on_status=run.statuses.append,
                    stop=run.stop,
                )
        except BaseException as error:
            run.error = error

    thread = threading.Thread(target=body, name="live-test")
    thread.start()
    try:
        yield run
    finally:
        run.stop.set()
        thread.join(_PATIENCE_S)
        assert not thread.is_alive()
    if run.error is not None:
        raise run.error
    assert not run.look_errors, run.look_errors
