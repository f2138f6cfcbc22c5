"""Nothing of the room ever leaves: each fault is driven with a camera of a known colour, and its pixels are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rtmatte.capture.scripted_camera import ScriptedCamera
from rtmatte.composite.compositor import Compositor
from rtmatte.frame import F32, I420, Frame
from rtmatte.matting.matter import Matter
from rtmatte.refine.guided import GuidedFilter
from rtmatte.temporal.flow_filter import FlowFilter
from tests.live_runs import FunctionMatter, LiveRun, live, nobody

RAW = (120, 200, 220)
"""Code values of the room, a colour that neither card nor background has; its range and matrix change on the way."""
_NEAR = 40


def the_room(picture: I420, _number: int) -> None:
    for plane, value in zip(picture.planes, RAW, strict=True):
        plane.fill(value)


class Watcher:
    """Looks at every frame that the device gets."""

    def __init__(self) -> None:
        self.frames = 0
        self.raw_pixels = 0

    def __call__(self, frame: Frame) -> None:
        picture = frame.picture
        assert isinstance(picture, I420)
        near = (np.abs(picture.u.astype(int) - RAW[1]) < _NEAR) & (np.abs(picture.v.astype(int) - RAW[2]) < _NEAR)
        self.raw_pixels += int(near.sum())
        self.frames += 1


def left_half(_frame: Frame) -> F32:
    alpha = np.zeros((24, 40), np.float32)
    alpha[:, :20] = 1
    return alpha


def test_the_watcher_would_see_the_room() -> None:
    """The test of the test: with everything foreground in half of the picture, that half is seen."""
    watcher = Watcher()

    with live(lambda: FunctionMatter(left_half), look=watcher, draw=the_room) as run:
        run.script().frames(1000)
        run.wait(lambda: watcher.raw_pixels > 1000)


def faulty(value: F32) -> Callable[[Frame], F32]:
    return lambda _frame: value


class Switched:
    """Nobody in the picture, until `fault` is set: then it does that."""

    def __init__(self, fault: Callable[[Frame], F32]) -> None:
        self.on = False
        self.fault = fault

    def __call__(self, frame: Frame) -> F32:
        return self.fault(frame) if self.on else nobody(frame)


def raising(_frame: Frame) -> F32:
    raise RuntimeError("the model broke")


FAULTS: dict[str, Callable[[Frame], F32]] = {
    "raises": raising,
    "nan": faulty(np.full((24, 40), np.nan, np.float32)),
    "one nan": faulty(np.where(np.arange(960).reshape(24, 40) == 77, np.nan, 0).astype(np.float32)),
    "three dimensions": faulty(np.ones((1, 24, 40), np.float32)),
    "nothing at all": faulty(np.ones((0, 40), np.float32)),
    "bytes": faulty(np.full((24, 40), 255, np.uint8)),  # type: ignore[arg-type]
    "out of range": faulty(np.full((24, 40), 3, np.float32)),
    "everything is foreground": faulty(np.ones((24, 40), np.float32)),
    "no idea": faulty(np.full((24, 40), 0.5, np.float32)),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_model_that_fails_shows_a_card_and_comes_back(fault: Callable[[Frame], F32]) -> None:
    watcher, model = Watcher(), Switched(fault)
    with live(lambda: FunctionMatter(model), look=watcher, draw=the_room) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        model.on = True
        run.wait_status(lambda status: status.showing != "picture")
        cards = run.statuses[-1].cards
        run.wait_status(lambda status: status.cards >= cards + 5)
        model.on = False
        run.wait_status(lambda status: status.showing == "picture")
    assert watcher.frames > 10
    assert watcher.raw_pixels == 0


@pytest.mark.parametrize(
    ("owner", "method"),
    [(GuidedFilter, "refine"), (FlowFilter, "apply"), (Compositor, "composite")],
    ids=["refine", "smooth", "composite"],
)
def test_a_stage_that_raises_shows_a_card_and_comes_back(
    owner: type, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, broken, original = Watcher(), threading.Event(), getattr(owner, method)

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        if broken.is_set():
            raise ValueError("broken on purpose")
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, method, sometimes)
    with live(lambda: FunctionMatter(nobody), look=watcher, draw=the_room, smoothing_s=0.1) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        broken.set()
        run.wait_status(lambda status: "broken on purpose" in status.showing)
        assert "ValueError" in run.statuses[-1].fault
        broken.clear()
        run.wait_status(lambda status: status.showing == "picture")
    assert watcher.raw_pixels == 0


def test_while_the_model_loads_and_while_it_fails_to_load_again() -> None:
    watcher, loaded, failing = Watcher(), threading.Event(), Switched(raising)
    loads: list[int] = []

    def load() -> Matter:
        loads.append(1)
        if len(loads) == 1:
            assert loaded.wait(20)
        return FunctionMatter(failing)

    with live(load, look=watcher, draw=the_room) as run:
        run.script().frames(100_000)
        run.wait_sent(5)
        assert run.statuses[-1].showing == "starting"
        assert run.statuses[-1].sent == 0
        loaded.set()
        run.wait_status(lambda status: status.showing == "picture")
        failing.on = True
        run.wait(lambda: len(loads) >= 2)
        failing.on = False
        run.wait_status(lambda status: status.showing == "picture")
    assert watcher.raw_pixels == 0


@pytest.mark.parametrize("when_slow", ["drop", "propagate"])
def test_a_model_that_hangs(when_slow: str) -> None:
    watcher, released = Watcher(), threading.Event()

    def hang(frame: Frame) -> F32:
        assert released.wait(20)
        return nobody(frame)

    model = Switched(hang)
    try:
        loads: list[int] = []

        def load() -> Matter:
            loads.append(1)
            return FunctionMatter(model)

        with live(load, look=watcher, draw=the_room, when_slow=when_slow) as run:
            run.script().frames(100_000)
            run.wait_status(lambda status: status.showing == "picture")
            model.on = True
            run.wait_status(lambda status: status.showing in ("no picture", "waiting for the model"))
            cards = run.statuses[-1].cards
            run.wait_status(lambda status: status.cards > cards + 3)
            model.on = False
            released.set()
            run.wait_status(lambda status: status.showing == "picture")
        assert run.result is not None
        assert run.result.faults == 0, "to be late is no fault"
        assert loads == [1]
    finally:
        released.set()
    assert watcher.raw_pixels == 0


def unplugged(run: LiveRun, camera: ScriptedCamera) -> None:
    camera.unplug()
    run.wait_status(lambda status: status.camera_state == "lost" and status.showing != "picture")
    camera.replug()
    camera.frames(100_000)


def another_size(_run: LiveRun, camera: ScriptedCamera) -> None:
    for size_wh in ((96, 160), (322, 242), (17, 19), (160, 96)):
        camera.replug(size_wh)
        camera.frames(30)
    camera.frames(100_000)


def stalled(run: LiveRun, camera: ScriptedCamera) -> None:
    camera.stall(1.2)
    run.wait_status(lambda status: status.showing == "no picture")
    camera.frames(100_000)


def camera_thread_fails(_run: LiveRun, camera: ScriptedCamera) -> None:
    camera.fail(OSError("bus error"))
    camera.frames(100_000)


@pytest.mark.parametrize("event", [unplugged, another_size, stalled, camera_thread_fails])
def test_whatever_the_camera_does(event: Callable[[LiveRun, ScriptedCamera], None]) -> None:
    watcher = Watcher()
    with live(lambda: FunctionMatter(nobody), look=watcher, draw=the_room) as run:
        camera = run.script()
        camera.frames(30)
        run.wait_status(lambda status: status.sent >= 5)
        event(run, camera)
        sent = run.statuses[-1].sent
        run.wait_status(lambda status: status.sent >= sent + 30 and status.showing == "picture")
    assert watcher.raw_pixels == 0


def test_when_the_device_is_lost_and_found() -> None:
    watcher = Watcher()
    with live(lambda: FunctionMatter(nobody), look=watcher, draw=the_room) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        run.opening_fails = 2
        run.output.send_fault = "the module was unloaded"
        run.wait_status(lambda status: "module was unloaded" in status.output_problem or status.output_faults)
        run.wait(lambda: len(run.outputs) == 2)
        run.wait_status(lambda status: status.showing == "picture" and not status.output_problem)
        run.output.fault = "it takes no frames"
        run.wait(lambda: len(run.outputs) == 3)
        run.wait_status(lambda status: status.showing == "picture")
        assert run.statuses[-1].output_faults == 2
    assert all(output.closed for output in run.outputs)
    assert watcher.raw_pixels == 0


def test_the_last_frame_on_the_device_is_a_card() -> None:
    last: list[Frame] = []
    whole = Watcher()

    def look(frame: Frame) -> None:
        picture = frame.picture
        assert isinstance(picture, I420)
        last[:] = [Frame(I420.over(picture.buffer.copy(), picture.size_wh, picture.color), 0, frame.time_base, 0)]

    with live(lambda: FunctionMatter(left_half), look=look, draw=the_room) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.sent > 3)
        whole(last[0])
    assert whole.raw_pixels > 1000
    after = Watcher()
    after(last[0])
    assert after.raw_pixels == 0
