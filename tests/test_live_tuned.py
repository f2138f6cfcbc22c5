"""The live run and its tuner: a card while it measures, its choice from then on, and a quick stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtmatte.errors import WeightsError
from rtmatte.matting.matter import Matter
from rtmatte.runs.live import tuned_model
from rtmatte.runs.live.tuned_model import MEASURING
from rtmatte.runs.tune.candidates import Candidate
from rtmatte.runs.tune.decide import Measured, Row, Target
from rtmatte.runs.tune.tuner import Tuning
from rtmatte.settings import LiveSettings
from tests.live_runs import FunctionMatter, live, nobody
from tests.test_live_leaks import Watcher, the_room

OWN = Candidate(model="selfie", threads=1, carried=False)
CARRIED = replace(OWN, carried=True)


def tuning(candidate: Candidate, *, notices: tuple[str, ...] = ()) -> Tuning:
    took = Measured(estimate_ms_p50=4, estimate_ms_p95=5, frame_ms=9, cpu_ms=9)
    row = Row(candidate=candidate, measured=took)
    other = Row(candidate=replace(candidate, threads=2), reason="not needed")
    return Tuning(
        target=Target(frame_rate=30),
        size_wh=(160, 96),
        rows=(row, other),
        chosen=row,
        taken=candidate,
        kept=False,
        seconds=1.0,
        machine={},
        notices=notices,
    )


class FakeTuner:
    """Stands for `tune` and `load_matter`; measures until `measured` is set."""

    def __init__(self, decide: Callable[[], Tuning], matter: Matter) -> None:
        self.measured = threading.Event()
        self.measured.set()
        self.asked: list[tuple[LiveSettings, tuple[int, int]]] = []
        self.loaded: list[tuple[Any, dict[str, Any]]] = []
        self.stopped = False
        self._decide = decide
        self._matter = matter

    def tune(
        self,
        settings: LiveSettings,
        size_wh: tuple[int, int],
        *,
        should_stop: Callable[[], bool],
        before_measuring: Callable[[], None],
    ) -> Tuning:
        self.asked.append((settings, size_wh))
        before_measuring()
        while not self.measured.wait(0.01):
            if should_stop():
                self.stopped = True
                break
        return self._decide()

    def load(self, model: str, **options: Any) -> Matter:
        self.loaded.append((model, options))
        return self._matter


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeTuner]:
    def installed(decide: Callable[[], Tuning], alpha_of: Callable[..., Any] = nobody) -> FakeTuner:
        fake = FakeTuner(decide, FunctionMatter(alpha_of))
        monkeypatch.setattr(tuned_model, "tune", fake.tune)
        monkeypatch.setattr(tuned_model, "load_matter", fake.load)
        return fake

    return installed


def tuned_run(**options: Any) -> Any:
    return live(None, **options)  # type: ignore[arg-type]


def test_a_card_is_shown_while_it_measures(install: Callable[..., FakeTuner]) -> None:
    watcher = Watcher()
    fake = install(lambda: tuning(OWN, notices=("Nothing was kept.",)))
    fake.measured.clear()
    try:
        with tuned_run(look=watcher, draw=the_room, when_slow="auto") as run:
            run.script().frames(100_000)
            run.wait_status(lambda status: status.showing == MEASURING)
            frames = watcher.frames
            run.wait(lambda: watcher.frames >= frames + 10)
            assert run.statuses[-1].sent == 0
            assert run.statuses[-1].chosen == ""
            fake.measured.set()
            run.wait_status(lambda status: status.showing == "picture")
            status = run.statuses[-1]
    finally:
        fake.measured.set()
    assert watcher.raw_pixels == 0
    assert "selfie with 1 thread and own masks" in status.chosen
    assert "Nothing was kept." in status.chosen
    assert [size_wh for _, size_wh in fake.asked] == [(160, 96)]
    ((model, loaded_with),) = fake.loaded
    assert model == "selfie"
    assert loaded_with["threads"] == 1


@pytest.mark.parametrize(
    ("candidate", "when_slow", "masks"),
    [
        (OWN, "auto", "own"),
        (CARRIED, "auto", "carried"),
        (CARRIED, "propagate", "carried"),
        (OWN, "drop", "own"),
    ],
)
def test_it_begins_with_the_masks_that_were_chosen(
    candidate: Candidate, when_slow: str, masks: str, install: Callable[..., FakeTuner]
) -> None:
    install(lambda: tuning(candidate))
    with tuned_run(when_slow=when_slow) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        first = next(status for status in run.statuses if status.model)
    assert first.masks == masks


def test_measured_once_also_if_the_model_fails_later(install: Callable[..., FakeTuner]) -> None:
    broken = threading.Event()

    def sometimes(frame: Any) -> Any:
        if broken.is_set():
            raise RuntimeError("the model broke")
        return nobody(frame)

    fake = install(lambda: tuning(OWN), sometimes)
    with tuned_run() as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        broken.set()
        run.wait(lambda: len(fake.loaded) >= 2)
        broken.clear()
        run.wait_status(lambda status: status.showing == "picture")
    assert len(fake.asked) == 1


def test_a_stop_ends_the_measuring(install: Callable[..., FakeTuner]) -> None:
    fake = install(lambda: tuning(OWN))
    fake.measured.clear()
    with tuned_run() as run:
        run.wait_status(lambda status: status.showing == MEASURING)
        run.stop.set()
        run.wait(lambda: run.result is not None)
    assert fake.stopped


def test_what_no_candidate_can_do_ends_the_run(install: Callable[..., FakeTuner]) -> None:
    def nothing_loads() -> Tuning:
        raise WeightsError("all weights are damaged")

    install(nothing_loads)
    with pytest.raises(WeightsError, match="all weights"), tuned_run() as run:
        run.wait(lambda: False)


def test_a_matter_of_ones_own_is_not_tuned(install: Callable[..., FakeTuner]) -> None:
    fake = install(lambda: tuning(OWN))
    with live(lambda: FunctionMatter(nobody)) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        assert run.statuses[-1].chosen == ""
    assert not fake.asked


def test_the_real_tuner_in_a_real_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped nets on small frames: measured, kept unless the machine was busy, and shown."""
    monkeypatch.setenv("RTMATTE_TUNING", str(tmp_path))
    watcher = Watcher()
    with tuned_run(look=watcher, draw=the_room, model="selfie", when_slow="auto", frame_rate_requested=15) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.chosen)
        run.wait_status(lambda status: status.model == "selfie")
        chosen = run.statuses[-1].chosen
    assert chosen.startswith("selfie with ")
    assert bool(list(tmp_path.iterdir())) != ("Other programs" in chosen)
