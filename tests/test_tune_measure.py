"""Self-tuning: what is kept from one start to the next, measuring for real, and the decision as a whole."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmatte.errors import UnknownModelError
from rtmatte.frame import F32, Frame
from rtmatte.machine import busy_seconds, usable_cores
from rtmatte.runs import others_watch
from rtmatte.runs.tune import probe as probe_module
from rtmatte.runs.tune import tuner
from rtmatte.runs.tune.candidates import FALLBACK, MODELS, Candidate
from rtmatte.runs.tune.kept import kept_folder
from rtmatte.runs.tune.probe import Probe
from rtmatte.runs.tune.quality import MAD
from rtmatte.runs.tune.stand_in import Beside, StandIn
from rtmatte.runs.tune.tuner import BUDGET_S, Tuning, tune
from rtmatte.settings import LiveSettings
from tests.fake_machines import BEST_AT_30, FakeMachine, machine
from tests.live_runs import FunctionMatter, upper_half

HD = (1280, 720)


@pytest.fixture(autouse=True)
def _nobody_else_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """And two threads whatever the machine of the tests has, as the fake ones do."""
    monkeypatch.setattr(others_watch, "busy_seconds", lambda: None)
    monkeypatch.setattr(tuner, "default_threads", lambda: 2)


def tune_on(prober: FakeMachine, folder: Path, *, size_wh: tuple[int, int] = HD, **options: Any) -> Tuning:
    settings = LiveSettings(device="cpu", **options.pop("settings", {}))
    return tune(settings, size_wh, folder=folder, prober=lambda: prober, clock=prober.clock, **options)


# --- what is kept ---


def test_the_second_start_measures_nothing(tmp_path: Path) -> None:
    asked: list[int] = []
    folder = tmp_path / "new" / "folder"
    first = tune_on(machine(), folder, before_measuring=lambda: asked.append(1))
    prober = machine(50)
    second = tune_on(prober, folder, before_measuring=lambda: asked.append(2))
    assert asked == [1]
    assert not prober.loads
    assert (first.kept, second.kept) == (False, True)
    assert second.rows == first.rows
    assert second.taken == first.taken
    assert second.notices == ()
    assert 0 < first.seconds <= BUDGET_S
    assert second.as_dict() == first.as_dict() | {"kept": True, "seconds": 0.0}
    json.dumps(second.as_dict())


def test_again_measures_and_replaces_what_was_kept(tmp_path: Path) -> None:
    tune_on(machine(), tmp_path)
    slower = tune_on(machine(2.2), tmp_path, again=True)
    assert not slower.kept
    assert tune_on(machine(), tmp_path).taken == slower.taken
    assert len(list(tmp_path.iterdir())) == 1, "and no partial file is left"


@pytest.mark.parametrize(
    "other",
    [
        {"size_wh": (640, 480)},
        {"settings": {"frame_rate_requested": 60}},
        {"settings": {"clean_plate": True}},
        {"settings": {"when_slow": "drop"}},
        {"settings": {"threads": 1}},
        {"settings": {"model": "selfie"}},
    ],
    ids=str,
)
def test_another_question_is_answered_for_itself(tmp_path: Path, other: dict[str, Any]) -> None:
    tune_on(machine(), tmp_path)
    prober = machine(threads=other.get("settings", {}).get("threads", 2))
    assert not tune_on(prober, tmp_path, **other).kept
    assert prober.loads
    assert tune_on(machine(), tmp_path).kept, "and the first answer is still there"


@pytest.mark.parametrize("name", ["processor", "cores", "gpus", "rtmatte", "onnxruntime"])
def test_another_machine_or_version_measures_again(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tune_on(machine(), tmp_path)
    described = tuner.describe_machine
    monkeypatch.setattr(tuner, "describe_machine", lambda gpus: described(gpus) | {name: "another"})
    changed = tune_on(machine(), tmp_path)
    assert not changed.kept
    assert changed.notices == (), "to be out of date is no fault"
    assert tune_on(machine(), tmp_path).kept


def test_other_weights_measure_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tune_on(machine(), tmp_path)
    whole = tuner.net_of
    monkeypatch.setattr(tuner, "net_of", lambda settings, model: (whole(settings, model)[0], b"other weights"))
    assert not tune_on(machine(), tmp_path).kept


def _damage(file: Path, kind: str) -> None:
    text = file.read_text()
    if kind == "cut":
        file.write_text(text[: len(text) // 2])
    elif kind == "bytes":
        file.write_bytes(b"\xff\xfe\x00\x80")
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    elif kind == "list":
        file.write_text("[1, 2]")
    else:
        kept = json.loads(text)
        measured = next(row["measured"] for row in kept["rows"] if row["measured"])
        if kind == "no rows":
            del kept["rows"]
        elif kind == "unknown field":
            measured["luck"] = 7.0
        else:
            measured["frame_ms"] = {"negative": -1.0, "text": "fast", "nan": float("nan")}[kind]
        file.write_text(json.dumps(kept))


@pytest.mark.parametrize(
    "kind", ["cut", "bytes", "folder", "list", "no rows", "unknown field", "negative", "text", "nan"]
)
def test_what_cannot_be_read_is_measured_again_with_a_notice(tmp_path: Path, kind: str) -> None:
    whole = tune_on(machine(), tmp_path)
    (file,) = tmp_path.iterdir()
    _damage(file, kind)
    found = tune_on(machine(), tmp_path)
    assert not found.kept
    assert found.taken == whole.taken
    assert "can't be read" in found.notices[0]
    assert str(file) in found.notices[0]
    if kind == "folder":
        assert "can't be kept" in found.notices[1]
    else:
        assert tune_on(machine(), tmp_path).kept, "mended"


def test_a_folder_that_cannot_be_written_is_a_notice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = tune_on(machine(), tmp_path / "file" / "folder")
    assert found.taken.model == BEST_AT_30
    assert "can't be kept" in found.notices[-1]


def test_what_was_measured_beside_busy_programs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others_watch, "busy_seconds", lambda: 1e3 * time.monotonic())
    found = tune_on(machine(), tmp_path)
    assert found.taken.model == BEST_AT_30
    assert "Other programs used 100%" in found.notices[0]
    assert list(tmp_path.iterdir()) == []


def test_how_busy_the_kernel_says_it_is(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    assert busy_seconds(stat) is None
    before = busy_seconds()
    if before is None:
        pytest.skip("this system doesn't tell")
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    after = busy_seconds()
    assert after is not None
    assert after - before >= 0.05
    one_core = [f"cpu{number} 100 0 50 9999 9999 0 50 0 7 7" for number in range(4096)]
    stat.write_text("\n".join(["cpu  1 2 3 4 5 6 7 8", *one_core, "intr 1 2"]))
    in_ticks = busy_seconds(stat)
    assert in_ticks is not None
    assert in_ticks * 100 == pytest.approx(200 * usable_cores(), rel=1e-6), "at the usual 100 ticks a second"


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTMATTE_TUNING", str(tmp_path))
    assert kept_folder() == tmp_path
    monkeypatch.delenv("RTMATTE_TUNING")
    assert kept_folder().name == "tuning"


# --- the decision as a whole ---


def test_a_stop_ends_it_at_once(tmp_path: Path) -> None:
    prober = machine()
    found = tune_on(prober, tmp_path, should_stop=lambda: len(prober.measured) >= 1)
    assert len(prober.measured) == 1
    assert found.taken.model in MODELS
    assert list(tmp_path.iterdir()) == [], "half a table isn't kept"


def test_with_nothing_left_open_nothing_is_measured(tmp_path: Path) -> None:
    prober, settings = machine(), {"model": "selfie", "threads": 2, "when_slow": "drop"}
    found = tune_on(prober, tmp_path, settings=settings)
    assert not prober.loads
    assert found.taken == Candidate(model="selfie", threads=2, carried=False)
    assert found.chosen is None
    assert list(tmp_path.iterdir()) == []
    shown = tune_on(prober, tmp_path, settings=settings, everything=True)
    assert shown.chosen is not None, "but for the table"


def test_a_users_model_stays(tmp_path: Path) -> None:
    found = tune_on(machine(4), tmp_path, settings={"model": "selfie-multiclass"})
    assert found.taken.model == "selfie-multiclass"
    assert found.taken.carried


def test_a_machine_too_slow_to_measure_takes_the_usual_model(tmp_path: Path) -> None:
    found = tune_on(machine(load_s=9.0), tmp_path)
    assert found.chosen is None
    assert found.taken == Candidate(model=FALLBACK, threads=2, carried=False)
    assert FALLBACK in found.summary
    assert list(tmp_path.iterdir()) == []


def test_a_cap_on_processor_time_takes_a_lighter_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuner, "usable_cores", lambda: 4)
    free = tune_on(machine(0.5, threads=2), tmp_path)
    capped = tune_on(machine(0.5, threads=2), tmp_path, settings={"max_cpu_percent": 8, "threads": 2})
    assert free.taken.model == BEST_AT_30
    assert MAD[capped.taken.model] > MAD[free.taken.model]


def test_an_unknown_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="nope"):
        tune(LiveSettings(model="nope"), (64, 48), folder=tmp_path)


# --- measuring for real, on small frames ---

SMALL = LiveSettings(size_wh=(160, 96), frame_rate_requested=60, backgrounds=("#00b140",))


def slowly(_frame: Frame) -> F32:
    time.sleep(0.01)
    return upper_half(_frame)


def load(monkeypatch: pytest.MonkeyPatch, matter: FunctionMatter) -> None:
    """Whatever is to be loaded, it is that matter, which passes for the net of selfie."""
    matter.name = "selfie"
    monkeypatch.setattr(probe_module, "load_matter", lambda *_args, **_options: matter)


@pytest.mark.parametrize("carried", [False, True])
def test_a_measurement_has_the_net_and_the_rest(carried: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, FunctionMatter(slowly))
    prober = Probe(SMALL, (160, 96), lambda: False)
    loaded = prober.load("selfie", 2)
    assert loaded.input_wh == (256, 144)
    assert loaded.precision == "float32, weights float16"
    took = prober.measure(loaded, carried=carried, deadline=time.monotonic() + 30)
    assert took is not None
    assert took.estimate_ms_p95 >= took.estimate_ms_p50 >= 10
    assert took.cpu_ms > 0
    assert took.frame_ms > (0 if carried else took.estimate_ms_p50)


def test_without_time_there_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    load(monkeypatch, FunctionMatter(slowly))
    prober = Probe(SMALL, (160, 96), lambda: False)
    loaded = prober.load("selfie", 2)
    assert prober.measure(loaded, carried=False, deadline=time.monotonic() - 1) is None
    assert Probe(SMALL, (160, 96), lambda: True).measure(loaded, carried=True, deadline=float("inf")) is None


def test_a_hopeless_net_is_not_measured_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def hopeless(frame: Frame) -> F32:
        time.sleep(0.05)
        return upper_half(frame)

    matter = FunctionMatter(hopeless)
    load(monkeypatch, matter)
    prober = Probe(SMALL, (160, 96), lambda: False)
    took = prober.measure(prober.load("selfie", 2), carried=False, deadline=float("inf"))
    assert took is not None
    assert took.estimate_ms_p50 >= 50
    assert matter.calls == 4, "two to warm up and two to see"


def test_an_error_in_the_thread_beside_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in, failed = StandIn(SMALL, (160, 96)), threading.Event()

    def fail(_captured: Frame) -> None:
        failed.set()
        raise ZeroDivisionError

    monkeypatch.setattr(stand_in, "show_carried", fail)
    with pytest.raises(ZeroDivisionError), Beside(stand_in, (24, 40)):
        assert failed.wait(20)


def test_the_stand_in_shows_a_person_who_moves() -> None:
    stand_in = StandIn(SMALL, (160, 96))
    alphas = []
    for _ in range(4):
        frame = stand_in.framed(stand_in.captured())
        alphas.append(stand_in.alpha(frame, (48, 80)))
        stand_in.done(frame)
    assert all(alpha.dtype == np.float32 and 0.05 < alpha.mean() < 0.8 for alpha in alphas)
    assert all(alpha.min() == 0 and alpha.max() == 1 for alpha in alphas)
    assert not np.array_equal(alphas[0], alphas[1])
    assert stand_in._pool.allocated <= 3
