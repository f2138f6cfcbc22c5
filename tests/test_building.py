"""Minutes in which TensorRT builds what it runs: told apart from its runs, and no stall of a clip's run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rtmatte.errors import StageStalledError
from rtmatte.frame import Frame
from rtmatte.matting import session
from rtmatte.matting.building import Building
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import seconds_building
from rtmatte.matting.providers import PROVIDERS
from rtmatte.matting.rvm import Rvm
from rtmatte.matting.session import OnnxSession
from rtmatte.runs.estimate_stage import estimate_stage
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.runs.segments import jobs
from rtmatte.runs.segments.jobs import Jobs
from rtmatte.runs.segments.worker import Kept
from rtmatte.settings import VideoSettings
from tests.fake_runtime import FakeRuntime
from tests.frames import flat_picture
from tests.live_runs import FunctionMatter, upper_half
from tests.nets import recurrent_net
from tests.test_session import model_bytes

MINUTES = 600.0
DEVICES = [provider.device for provider in PROVIDERS]


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of what builds, and of whoever looks for stalls."""
    clock = Clock()
    monkeypatch.setattr("rtmatte.matting.building.time", clock)
    monkeypatch.setattr("rtmatte.runs.pipeline.time", clock)
    return clock


@pytest.fixture
def on_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., FakeRuntime]:
    """Makes a runtime with that device the one that is installed; `during` is called in each run."""

    def install(device: str, during: Callable[[], bool]) -> FakeRuntime:
        (provider,) = (provider for provider in PROVIDERS if provider.device == device)
        runtime = FakeRuntime((provider.name,), fits=lambda _pictures: during())
        monkeypatch.setattr(session, "_import_runtime", lambda: (provider.distribution, runtime))
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
        return runtime

    return install


def passing(clock: Clock, works: Callable[[], bool] = lambda: True) -> Callable[[], bool]:
    """Each run takes minutes."""

    def run() -> bool:
        clock.now += MINUTES
        return works()

    return run


@pytest.mark.parametrize("device", DEVICES)
def test_a_first_run_of_a_shape_counts_as_building_on_tensorrt_alone(
    device: Any, clock: Clock, on_a_device: Callable[..., FakeRuntime]
) -> None:
    on_a_device(device, passing(clock))
    made = OnnxSession(model_bytes(), device=device, threads=1)
    built = []
    for shape in ((1, 2, 3), (1, 2, 3), (1, 4, 3), (1, 2, 3), (1, 4, 3)):
        made.run(made.bind(shape, shape))
        built.append(made.seconds_building / MINUTES)
    assert built == ([1, 1, 2, 2, 2] if device == "tensorrt" else [0] * 5)


def test_what_is_tried_in_its_place_is_built_as_well(clock: Clock, on_a_device: Callable[..., FakeRuntime]) -> None:
    answers = iter([False])
    on_a_device("tensorrt", passing(clock, lambda: next(answers, True)))
    made = OnnxSession(model_bytes(), device="tensorrt", threads=1)
    for _ in range(3):
        made.run(made.bind((1, 2, 3), (1, 2, 3)))
    assert made.seconds_building == 2 * MINUTES, "the session for one shape, and the ordinary one"
    made.start({made.input_name(): made.new_input(made.input_name(), (1, 9, 9))}, [made.output_name()])
    assert made.seconds_building == 3 * MINUTES


def test_a_net_that_remembers_builds_twice(clock: Clock, on_a_device: Callable[..., FakeRuntime]) -> None:
    """Its states have their size from the second run on."""
    on_a_device("tensorrt", passing(clock))
    matter = Rvm(OnnxSession(recurrent_net(), device="tensorrt", threads=1))
    built = []
    for number in range(3):
        matter.estimate(Frame(np.zeros((32, 48, 3), np.uint8), number, Fraction(1, 30), number))
        built.append(seconds_building(matter) / MINUTES)
    assert built == [1, 2, 2]


def test_it_is_told_while_it_builds(clock: Clock, on_a_device: Callable[..., FakeRuntime]) -> None:
    told: list[float] = []

    def during() -> bool:
        for _ in range(3):
            clock.now += MINUTES
            told.append(made.seconds_building / MINUTES)
        return True

    on_a_device("tensorrt", during)
    made = OnnxSession(model_bytes(), device="tensorrt", threads=1)
    made.run(made.bind((1, 2, 3), (1, 2, 3)))
    made.run(made.bind((1, 2, 3), (1, 2, 3)))
    assert told == [1, 2, 3, 3, 3, 3]


class Watched:
    """A run that takes minutes until the one who looks for stalls has looked, or has given up."""

    def __init__(self, clock: Clock) -> None:
        self.given_up = threading.Event()
        self._clock = clock
        self._looked = threading.Semaphore(0)

    def on_progress(self, _done: int) -> None:
        self._looked.release()

    def take_minutes(self) -> bool:
        while self._looked.acquire(blocking=False):
            pass
        self._clock.now += MINUTES
        for _ in range(3):  # the first may have begun before, and it takes two to see a stall
            while not self._looked.acquire(timeout=0.05) and not self.given_up.is_set():
                pass
        return True

    def run(self, source: Iterator[Any], stages: list[Stage]) -> None:
        try:
            run_pipeline(source, "s", stages, stall_timeout_s=60, on_progress=self.on_progress)
        finally:
            self.given_up.set()


def test_what_is_apart_is_no_stall_and_what_comes_after_it_is_one(clock: Clock) -> None:
    watched, building, out = Watched(clock), Building(builds=True), list[int]()

    def work(x: int) -> int:
        if x in (1, 3):
            with building.run("what is built in frame 1, and there again in frame 3"):
                watched.take_minutes()
        return x

    stage = Stage("work", work, seconds_apart=lambda: building.seconds)
    with pytest.raises(StageStalledError, match="The work stage made no progress for 60 s after 3 frames"):
        watched.run(iter(range(9)), [stage, Stage("x", out.append)])
    assert out == [0, 1, 2]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("device", ["tensorrt", "cuda"])
def test_a_clip_waits_for_tensorrt_only(
    device: Any, batch: int, clock: Clock, on_a_device: Callable[..., FakeRuntime]
) -> None:
    watched, is_first = Watched(clock), iter([True])

    def during() -> bool:
        return watched.take_minutes() if next(is_first, False) else True

    on_a_device(device, during)
    chain = MattingChain(load_matter("selfie", device=device, batch=batch), VideoSettings(background="green"))
    pictures = [flat_picture("i420", (320, 180), (value, 128, 128)) for value in range(20, 120, 20)]
    frames = [Frame(picture, number, Fraction(1, 30), number) for number, picture in enumerate(pictures)]
    through: list[Any] = []
    stages = [estimate_stage(chain), Stage("x", through.append)]
    if device == "tensorrt":
        watched.run(iter(frames), stages)
        assert len(through) == len(frames)
        return
    with pytest.raises(StageStalledError, match="The estimate stage made no progress for 60 s after 0 frames"):
        watched.run(iter(frames), stages)


class SilentJob:
    """In place of a process."""

    def __init__(self, number: int, task: Any, heard: Any) -> None:
        self._number, self._heard = number, heard

    def tell(self, message: Any) -> None:
        self._heard.put((self._number, message))

    def kill(self) -> None:
        pass

    def join(self) -> None:
        pass


@pytest.mark.parametrize(
    ("device", "own"), [("tensorrt", False), ("tensorrt", True), ("cuda", False), ("auto", False), ("cpu", False)]
)
def test_a_job_may_be_silent_until_tensorrt_has_built(
    device: Any, own: bool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An onnxruntime that keeps Python's lock while it builds stops the whole process, and nothing in it can tell."""
    monkeypatch.setattr(jobs, "time", clock)
    monkeypatch.setattr(jobs, "_Job", SilentJob)
    task: Any = SimpleNamespace(
        settings=VideoSettings(device=device), matter=FunctionMatter(upper_half) if own else None
    )
    silent = Jobs([task], stall_timeout_s=60)
    (job,) = silent._jobs
    assert isinstance(job, SilentJob)
    told = silent.messages()
    job.tell(Kept(0))
    assert next(told) == (0, Kept(0))
    clock.now += MINUTES
    if device == "tensorrt" and not own:
        assert next(told) is None
        job.tell(Kept(1))
        assert next(told) == (0, Kept(1))
        clock.now += MINUTES
    with pytest.raises(StageStalledError, match="A job said nothing for 120 s"):
        next(told)
