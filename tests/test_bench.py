"""The benchmark: what it runs in which order, what it counts, what it tells, and what it leaves."""

from __future__ import annotations

import csv
import getpass
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from threading import Event
from typing import Any, get_args
from xml.etree import ElementTree

import av
import av.error
import numpy as np
import pytest
from PIL import Image, ImageFont
from typer.testing import CliRunner

from rtmatte import errors
from rtmatte.cli import app, bench_tables
from rtmatte.frame import F32, Frame
from rtmatte.machine import give_back_memory, resident_bytes
from rtmatte.matting.registry import SHIPPED
from rtmatte.runs import others_watch
from rtmatte.runs.bench import camera_run, file_run
from rtmatte.runs.bench import run as bench_run
from rtmatte.runs.bench.cases import Case, build_cases, make_plan
from rtmatte.runs.bench.clips import Stopped, make_resized_clip, make_scene_clip
from rtmatte.runs.bench.drawing import Rectangle, Text
from rtmatte.runs.bench.file_run import Load, Used
from rtmatte.runs.bench.files import ResultFiles
from rtmatte.runs.bench.gpu.state import Gpu, GpuState
from rtmatte.runs.bench.gpu.watch import GpuUse
from rtmatte.runs.bench.page import page
from rtmatte.runs.bench.plot import plot
from rtmatte.runs.bench.recorder import WARM_UP_FRAMES, Measured, Recorder
from rtmatte.runs.bench.result import BenchResult, CaseResult, Round, impersonal
from rtmatte.runs.bench.run import BenchProgress, run_bench
from rtmatte.runs.bench.words import gpu_note, label_of, ran_on
from rtmatte.settings import BenchSettings, Device, VideoSettings
from rtmatte.stats import LatencyHistogram
from tests import clips
from tests.decoding import decode
from tests.fake_hardware import FakeContainer, open_fake

ROOT = Path(__file__).parents[1]
HARDWARE = "rtmatte.capture.hardware_decoder.open_accelerated"
DEVICES = ("cuda", "videotoolbox", "d3d11va")
TINY = (64, 48)
FILE_STAGES = ["decode", "resize", "estimate", "smooth", "refine", "composite", "encode"]


class Someone:
    """A matter that finds the middle of the picture, at once."""

    provider = "test provider"

    def __init__(self, name: str) -> None:
        self.name = name

    def estimate(self, frame: Frame) -> F32:
        alpha = np.zeros((12, 16), np.float32)
        alpha[:, 4:12] = 1
        return alpha

    def reset(self) -> None:
        pass


class Loader:
    """Stands in for `load_matter`: remembers what was asked for; `fail` may raise."""

    def __init__(self, fail: Callable[[str, str], None] = lambda name, device: None) -> None:
        self.asked: list[tuple[str, str, int | None]] = []
        self._fail = fail

    def __call__(
        self,
        name: str,
        *,
        device: Any,
        threads: int | None,
        sample_aspect_ratio: Any,
        side_by_side: bool = False,
        batch: int | None = 1,
    ) -> Someone:
        self.asked.append((name, device, threads))
        self._fail(name, device)
        return Someone(name)


def no_cuda(_name: str, device: str) -> None:
    if device == "cuda":
        raise errors.ProviderUnavailableError("no CUDA in /opt/someone/lib/libcuda.so", hint="Use the CPU.")


def measure(load: Load | None = None, **options: Any) -> BenchResult:
    extra = {name: options.pop(name) for name in ("on_progress", "stop") if name in options}
    options = {"models": ("u2netp",), "sizes_wh": (TINY,), "seconds_per_case": 0.1, "rounds": 1} | options
    return run_bench(BenchSettings(**options), load=load or Loader(), **extra)


# --- the matrix and the plan


def test_the_matrix_is_every_combination_once() -> None:
    settings = BenchSettings(
        models=("u2netp", "selfie"), sizes_wh=((64, 48), (32, 32)), devices=("cpu", "cuda"), threads=(1, 2)
    )
    cases = build_cases(settings, None)
    assert len(cases) == len(set(cases)) == 2 * 2 * (2 + 1)  # on CUDA threads make no difference
    assert cases[:3] == [
        Case("u2netp", (64, 48), "cpu", 1),
        Case("u2netp", (64, 48), "cpu", 2),
        Case("u2netp", (64, 48), "cuda", None),
    ]
    several = build_cases(BenchSettings(models=("u2netp",), devices=get_args(Device), threads=(1, 2)), None)
    on_cores = {case.device for case in several if case.threads is not None}
    assert on_cores == {"auto", "cpu", "openvino"}
    assert {case.device for case in several} == set(get_args(Device))
    assert cases[1].label == "u2netp 64x48 cpu, 2 threads"
    batched = build_cases(
        BenchSettings(models=("u2netp",), threads=(2,), devices=("cpu", "cuda"), batches=(1, 4)), TINY
    )
    assert [case.label for case in batched] == [
        "u2netp 64x48 cpu, 2 threads, batch 1",
        "u2netp 64x48 cpu, 2 threads, batch 4",
        "u2netp 64x48 cuda, batch 1",
        "u2netp 64x48 cuda, batch 4",
    ]
    usual = [case.model for case in build_cases(BenchSettings(), (1280, 720))]
    assert usual == [VideoSettings.model, "selfie"], "what clips and calls use, and something to compare it with"
    assert build_cases(BenchSettings(camera="pattern"), None)[1].label == "selfie as granted auto"


def test_the_plan_keeps_to_the_budget() -> None:
    cases = [Case("u2netp", TINY, "cpu", threads) for threads in (1, 2)]
    free = make_plan(BenchSettings(rounds=3), cases, [TINY])
    assert (free.runs, free.seconds_per_run, free.shortened) == (6, 5.0, False)
    assert 6 * 5 < free.budget_s < 60
    ample = make_plan(BenchSettings(rounds=3, budget_s=1000), cases, [TINY])
    assert (ample.budget_s, ample.seconds_per_run) == (1000, 5.0)
    tight = make_plan(BenchSettings(rounds=3, budget_s=30), cases, [TINY])
    assert tight.budget_s == 30
    assert tight.shortened
    assert tight.runs * tight.seconds_per_run < 30
    assert tight.fitting == tight.runs == free.fitting == ample.fitting
    tighter = make_plan(BenchSettings(rounds=3, budget_s=10), cases, [TINY])
    assert (tighter.budget_s, tighter.seconds_per_run, tighter.fitting) == (10, 0.5, 2)
    with pytest.raises(errors.SettingsError, match="--budget: expected 6 s at least"):
        make_plan(BenchSettings(rounds=3, budget_s=1), cases, [TINY])
    assert make_plan(BenchSettings(rounds=1, budget_s=6), cases, [TINY]).fitting == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"clip": Path("a.mp4"), "camera": "0"}, "got both"),
        ({"models": ()}, "at least one"),
        ({"devices": ("cpu", "tpu")}, "got 'tpu'"),
        ({"batches": (0,)}, "--batches: expected 1 to 64, got 0"),
        ({"batches": (4,), "camera": "pattern"}, "--batches: expected a clip"),
        ({"decoder": "hardware", "camera": "pattern"}, "--decoder: expected a clip"),
        ({"decoder": "cuda"}, "--decoder"),
        ({"threads": (0,)}, "--threads: expected 1 to 256, got 0"),
        ({"sizes_wh": ((63, 48),)}, "got 63x48"),
        ({"rounds": 0}, "--rounds: expected 1 to 100, got 0"),
        ({"seconds_per_case": 0}, "--seconds-per-case"),
        ({"budget_s": 0.5}, "--budget"),
        ({"camera": "pattern", "background": "none"}, "can't be transparent"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.SettingsError, match=re.escape(says)):
        BenchSettings(**options)


# --- what counts


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_warm_up_is_apart_and_the_rest_is_counted_exactly() -> None:
    clock = Clock()
    recorder = Recorder(["work"], 0.98, clock=clock, used=lambda: 0.5 * clock.now)
    clock.now += 2  # loading
    for frame in range(100):
        recorder.entered(frame, clock.now)
        slow = frame < WARM_UP_FRAMES
        clock.now += 0.15 if slow else 0.05
        recorder.stage("work", clock.now - (0.14 if slow else 0.04), clock.now)
        recorder.left(frame)
        if recorder.enough:
            break
    measured = recorder.result()
    assert measured is not None
    assert measured.first_frame_s == pytest.approx(2.15)
    assert measured.frames == 20
    assert measured.seconds == pytest.approx(1)
    assert measured.fps == pytest.approx(20)
    assert measured.latency.count == measured.stages["work"].count == 20
    assert measured.latency.percentile_ms(99) == pytest.approx(50, rel=0.013)
    assert measured.stages["work"].percentile_ms(99) == pytest.approx(40, rel=0.013)
    before = measured.frames
    recorder.entered(200, clock.now)
    recorder.left(200)
    after = recorder.result()
    assert after is not None
    assert after.frames == before, "what comes after the end doesn't count"


def test_a_slow_model_is_warm_before_eight_frames_and_dropped_frames_are_forgotten() -> None:
    clock = Clock()
    recorder = Recorder(["work"], 1.0, clock=clock)
    assert recorder.result() is None
    for frame in range(0, 30, 3):  # two in three are dropped
        for captured in range(frame, frame + 3):
            recorder.entered(captured, clock.now)
        clock.now += 0.9
        recorder.left(frame + 2)
        if recorder.enough:
            break
    measured = recorder.result()
    assert measured is not None
    assert measured.frames == 2
    assert not recorder._entered


def test_what_began_in_the_warm_up_is_not_counted() -> None:
    """A frame that was worked on for ten seconds while kernels compiled leaves just after the warm-up's end."""
    clock = Clock()
    recorder = Recorder(["resize", "estimate"], 0.5, clock=clock)
    for frame in range(WARM_UP_FRAMES + 1):
        recorder.entered(frame, clock.now)
    begun = clock.now
    clock.now += 10
    for frame in range(WARM_UP_FRAMES + 1):
        clock.now += 0.01
        recorder.stage("estimate", begun, clock.now)
        recorder.left(frame)
    spanning = recorder.result()
    assert spanning is not None
    assert spanning.latency.count == spanning.stages["estimate"].count == 1, "there is nothing else yet"
    for frame in range(100, 200):
        recorder.entered(frame, clock.now)
        clock.now += 0.05
        recorder.stage("estimate", clock.now - 0.05, clock.now)
        recorder.left(frame)
    measured = recorder.result()
    assert measured is not None
    assert measured.frames == measured.latency.count + 1 == 11, "it came out, so it counts as a frame"
    for times in (measured.latency, measured.stages["estimate"]):
        assert times.percentile_ms(100) == pytest.approx(50, rel=0.013)
    rounds = [Round(measured, None, None, None, None)]
    bound = CaseResult(Case("u2netp", TINY, "cpu", 2), "measured", "", None, rounds).bound()
    assert bound.share == 1
    assert bound.overhead == 1


def case_result(model: str, fps: list[float], stage_ms: dict[str, float]) -> CaseResult:
    """A measured case whose every frame is like the others."""
    rounds = []
    for rate in fps:
        stages = {name: LatencyHistogram() for name in stage_ms}
        for name, times in stages.items():
            times.add(stage_ms[name] / 1e3)
        latency = LatencyHistogram()
        latency.add(3 / rate)
        rounds.append(Round(Measured(round(10 * rate), 10.0, 0.3, latency, stages, 80.0), 100, 2**28, None, 0.02))
    return CaseResult(Case(model, TINY, "cpu", 2), "measured", "", Used(TINY, model, "a provider", "x264"), rounds)


def test_frames_that_are_worked_on_together_each_have_their_part_of_the_time() -> None:
    clock = Clock()
    recorder = Recorder(["work"], 0.98, clock=clock)
    for frame in range(0, 100, 4):
        for number in range(frame, frame + 4):
            recorder.entered(number, clock.now)
        clock.now += 0.2
        recorder.stage("work", clock.now - 0.16, clock.now, 4)
        for number in range(frame, frame + 4):
            recorder.left(number)
    measured = recorder.result()
    assert measured is not None
    assert measured.stages["work"].count >= measured.frames > 10
    assert measured.stages["work"].percentile_ms(50) == pytest.approx(40, rel=0.013)


def test_resizing_is_apart_from_estimating() -> None:
    clock = Clock()
    recorder = Recorder(["resize", "estimate"], 0.5, clock=clock)
    for frame in range(100):
        recorder.entered(frame, clock.now)
        clock.now += 0.05
        recorder.estimated(clock.now - 0.05, clock.now, 0.02)
        recorder.left(frame)
    measured = recorder.result()
    assert measured is not None
    assert measured.stages["resize"].percentile_ms(50) == pytest.approx(20, rel=0.013)
    assert measured.stages["estimate"].percentile_ms(50) == pytest.approx(30, rel=0.013)


def test_what_bounds_a_run_is_the_busiest_stage() -> None:
    stages = {"decode": 3.0, "resize": 3.0, "estimate": 37.0, "encode": 38.0}
    of_file = case_result("u2netp", [20.0, 20.0], stages).bound()
    assert of_file.what == "estimate"
    assert of_file.share == pytest.approx(0.8)
    assert of_file.overhead == pytest.approx(1.25)
    of_two = case_result("u2netp", [20.0, 20.0], {"decode": 3, "resize": 1, "estimate": 69, "encode": 40})
    of_two.used = Used(TINY, of_two.case.model, "a provider", "x264", frames_at_once=2)
    assert (of_two.bound().what, of_two.bound().share) == ("encode", pytest.approx(0.8)), "two frames in 70 ms"
    stages = {"decode": 1.0, "framing": 0.5, "resize": 1.5, "estimate": 18.0}
    stages |= {"smooth": 2.0, "refine": 1.0, "composite": 2.0, "send": 30.0}
    assert case_result("u2netp", [30.0], stages).bound().what == "camera"  # 26 of 33 ms
    busy = case_result("u2netp", [38.0], stages).bound()
    assert busy.what != "camera"
    assert busy.share == pytest.approx(0.988)


# --- whole benchmarks


def test_rounds_take_turns_and_the_result_holds_everything(tmp_path: Path) -> None:
    loader = Loader(no_cuda)
    told: list[BenchProgress] = []
    result = measure(
        loader, models=("u2netp", "selfie"), devices=("cpu", "cuda"), rounds=3, threads=(2,), on_progress=told.append
    )
    rehearsed = [("u2netp", "cpu", None), ("u2netp", "cuda", None), ("selfie", "cpu", None), ("selfie", "cuda", None)]
    assert loader.asked == rehearsed + [("u2netp", "cpu", 2), ("selfie", "cpu", 2)] * 3
    assert [one.doing for one in told][:4] == [
        "getting u2netp ready on cpu",
        "making a clip of 64x48",
        "getting selfie ready on cpu",
        "u2netp 64x48 cpu, 2 threads",
    ]
    assert told[-1].runs_done == 10
    assert told[-1].plan.runs == 12

    kept = result.as_dict()
    assert json.loads(json.dumps(kept)) == kept
    assert (kept["schema"], kept["schema_version"], kept["complete"]) == ("rtmatte-bench", 2, True)
    assert kept["source"] == {"kind": "generated", "id": "scene 1"}
    assert {"processor", "cores", "memory_gib", "gpus", "system", "python", "numpy", "pyav"} <= set(kept["machine"])
    assert set(kept["conditions"]) == {"governors", "throttled", "on_battery", "others_share", "gpu_slowed_by"}
    assert [case["status"] for case in kept["cases"]] == ["measured", "unavailable"] * 2
    first, _, other, missing = kept["cases"]
    assert missing["reason"] == "no CUDA in libcuda.so"
    assert missing["rounds"] == []
    ran = [first[name] for name in ("provider", "precision", "output", "decoder")]
    assert ran == ["test provider", "float32", "libx264", "software"]
    assert missing["decoder"] is None
    assert ran_on(first) == "test provider; float32; libx264"
    assert other["precision"] == "float32, weights float16"
    assert first["ratio_to_first"] is None
    assert set(other["ratio_to_first"]) == {"ratio", "low", "high", "verdict"}
    assert list(first["stages_ms"]) == FILE_STAGES
    assert first["bound"]["by"] in FILE_STAGES
    assert len(first["rounds"]) == 3
    for one in first["rounds"]:
        assert one["frames"] > 0
        assert one["fps"] == pytest.approx(one["frames"] / one["seconds"], rel=0.01)
        assert one["first_frame_s"] > 0
        assert 0 < one["latency_ms"]["p50"] <= one["latency_ms"]["p95"] <= one["latency_ms"]["p99"]
        assert one["stages_ms"]["estimate"]["p50"] > 0
    assert first["fps"]["min"] <= first["fps"]["median"] <= first["fps"]["max"]
    if sys.platform == "linux":
        assert first["peak_bytes"] >= first["rounds"][0]["before_bytes"] > 0


def test_a_batch_is_a_case_of_its_own(tmp_path: Path) -> None:
    result = run_bench(
        BenchSettings(
            models=("selfie",),
            sizes_wh=(TINY,),
            devices=("cpu",),
            threads=(1,),
            batches=(1, 3),
            seconds_per_case=0.2,
            rounds=1,
        )
    ).as_dict()
    alone, batched = result["cases"]
    assert (alone["batch"], batched["batch"]) == (1, 3)
    assert alone["provider"] == "CPUExecutionProvider, 1 thread"
    assert batched["provider"] == "CPUExecutionProvider, 1 thread, 3 frames a run"
    for case in (alone, batched):
        assert case["stages_ms"]["resize"]["mean"] > 0
        assert case["stages_ms"]["estimate"]["mean"] > 0
    assert label_of(batched) == "selfie 64x48 cpu, 1 thread, batch 3"
    assert label_of(alone | {"batch": None}) == "selfie 64x48 cpu, 1 thread"
    with ResultFiles(json_to=None, csv_to=tmp_path / "a.csv", plot_to=None, overwrite=False) as files:
        files.write(result | {"cases": [batched]}, None)
    (row,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert row["batch"] == "3"


def test_a_result_says_nothing_about_whose_machine_it_is(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "private-talk.mp4")
    background = tmp_path / "living-room.png"
    Image.new("RGB", (64, 48), "#336699").save(background)
    kept = measure(clip=clip, background=str(background)).as_dict()
    assert kept["source"]["kind"] == "file"
    assert kept["background"] == "a picture"
    assert [case["status"] for case in kept["cases"]] == ["measured"]
    text = json.dumps(kept)
    for secret in ("private-talk", "living-room", str(tmp_path), str(Path.home()), sys.prefix, platform.node()):
        assert secret not in text
    assert not re.search(rf"\b{re.escape(getpass.getuser())}\b", text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("can't load /home/anna/lib/x.so: no file", "can't load x.so: no file"),
        (r"can't load C:\Users\Anna\x.dll, or D:/y/z.dll", "can't load x.dll, or z.dll"),
        ("see file:///home/anna/a.log", "see file://a.log"),
        (f"in {Path.home()}/venv/lib and ./own/folder", "in lib and folder"),
        ("32 ms/frame, yes/no, 1/2", "32 ms/frame, yes/no, 1/2"),
    ],
)
def test_paths_are_cut_out_of_messages(text: str, wanted: str) -> None:
    assert impersonal(text) == wanted


def test_the_only_device_that_was_asked_for_has_to_be_there() -> None:
    with pytest.raises(errors.ProviderUnavailableError):
        measure(Loader(no_cuda), devices=("cuda",))


def test_a_case_that_fails_is_told_and_the_others_go_on() -> None:
    def fail(name: str, device: str) -> None:
        if name == "selfie":
            raise errors.WeightsError("selfie is damaged")

    loader = Loader(fail)
    result = measure(loader, models=("selfie", "u2netp"), rounds=2)
    assert [(one.status, one.reason) for one in result.cases] == [("failed", "selfie is damaged"), ("measured", "")]
    rehearsed, measured = 2, 3
    assert len(loader.asked) == rehearsed + measured, "a case that failed isn't tried again"
    assert result.complete

    def no_runtime(name: str, device: str) -> None:
        raise errors.RuntimeNotInstalledError("none")

    with pytest.raises(errors.RuntimeNotInstalledError):
        measure(Loader(no_runtime))
    with pytest.raises(errors.UnknownModelError):
        measure(models=("nope",))
    with pytest.raises(errors.InputNotFoundError):
        measure(clip=Path("nowhere.mp4"))


def test_programs_that_are_busy_during_a_run_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others_watch, "busy_seconds", lambda: 1e3 * time.monotonic())
    kept = measure(rounds=2).as_dict()
    assert [one["others_share"] for one in kept["cases"][0]["rounds"]] == [1, 1]
    assert kept["conditions"]["others_share"] == 1
    assert "Other programs used up to 100% of the processor during a run." in kept["notes"]
    monkeypatch.setattr(others_watch, "busy_seconds", lambda: None)
    assert measure().as_dict()["conditions"]["others_share"] is None


def test_the_gpu_is_told_where_the_model_ran_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    state = GpuState(2**30, 2**29, 200.0, 66, 1900, ("heat",))
    monkeypatch.setattr(bench_run, "find_gpu", lambda: Gpu(("G",), lambda: state, "read by a test", 0.01))
    kept = measure().as_dict()
    assert kept["machine"]["gpus"] == ["G"]
    assert kept["cases"][0]["gpu"] is None
    assert kept["conditions"]["gpu_slowed_by"] == []
    assert gpu_note(kept) == "", "nothing ran on it"
    monkeypatch.setattr(Someone, "provider", "CUDAExecutionProvider")
    kept = measure().as_dict()
    wanted = GpuUse(2**30, 2**30, 2**29, 2**29, 200.0, 66, 1900, ("heat",)).as_dict()
    assert kept["cases"][0]["gpu"] == kept["cases"][0]["rounds"][0]["gpu"] == wanted
    assert "The GPU was slowed down by heat." in kept["notes"]
    assert gpu_note(kept) == "The GPU's state was read by a test."


@pytest.mark.parametrize("source", [{}, {"camera": "pattern"}], ids=["file", "camera"])
def test_a_device_that_did_not_come_up_is_told(source: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    (case,) = measure(**source).as_dict()["cases"]
    assert case["device_notices"] == []
    monkeypatch.setattr(Someone, "provider_missed", "CUDA didn't come up: no driver", raising=False)
    (case,) = measure(**source).as_dict()["cases"]
    (said,) = case["device_notices"]
    assert said.endswith("CUDA didn't come up: no driver.")
    assert ran_on(case).endswith(said)


@pytest.mark.parametrize("own", [False, True], ids=["generated", "a file"])
def test_a_clip_is_decoded_by_hardware_if_so_chosen(own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[int, int]] = []

    def noted(path: Path, device: str) -> FakeContainer:
        with av.open(str(path)) as container:
            opened.append((container.streams.video[0].width, container.streams.video[0].height))
        return open_fake(path, device)

    monkeypatch.setattr(HARDWARE, noted)
    source = {"clip": clips.plain(tmp_path / "in.mp4", frame_count=12), "sizes_wh": ()} if own else {}
    result = measure(decoder="hardware", rounds=2, seconds_per_case=0.5, **source)
    (case,) = result.as_dict()["cases"]
    assert case["status"] == "measured"
    assert case["decoder"] in DEVICES
    assert ran_on(case) == f"test provider; float32; libx264; decoded by {case['decoder']}"
    assert result.cases[0].rounds[0].measured.frames > 12, "longer than it lasts"
    looks = 1 + own + 2  # rehearsal, the clip's size, two rounds: once to try it, once to read
    assert opened == [clips.SIZE_WH if own else TINY] * 2 * looks, "and none to begin again"
    with ResultFiles(json_to=None, csv_to=tmp_path / "a.csv", plot_to=None, overwrite=False) as files:
        files.write(result.as_dict(), None)
    (row,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert row["decoder"] == case["decoder"]


@pytest.mark.parametrize("options", [{}, {"clip": True}, {"clip": True, "sizes_wh": ()}], ids=str)
def test_a_decoder_that_is_not_there_is_told_as_for_a_run(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: Path, _device: str) -> FakeContainer:
        raise av.error.PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(HARDWARE, fail)
    if "clip" in options:
        options = options | {"clip": clips.plain(tmp_path / "in.mp4", frame_count=3)}
    with pytest.raises(errors.DecoderUnavailableError, match="No hardware decoder works on this machine"):
        measure(decoder="hardware", **options)


def test_a_size_that_the_decoder_does_not_take_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def small_only(path: Path, device: str) -> FakeContainer:
        if path.stem == "800x600":
            raise av.error.ExternalError(1, "Generic error in an external library")
        return open_fake(path, device)

    monkeypatch.setattr(HARDWARE, small_only)
    kept = measure(decoder="hardware", sizes_wh=((800, 600), TINY)).as_dict()
    assert [case["status"] for case in kept["cases"]] == ["failed", "measured"]
    assert "Generic error in an external library" in kept["cases"][0]["reason"]


def test_stopping_gives_what_there_is_so_far() -> None:
    stop = Event()

    def on_progress(progress: BenchProgress) -> None:
        if progress.runs_done == 3:
            stop.set()

    loader = Loader()
    result = measure(loader, models=("u2netp", "selfie"), rounds=50, on_progress=on_progress, stop=stop)
    assert [len(one.rounds) for one in result.cases] == [2, 1]
    assert not result.complete
    assert "97 of 100 runs are missing: it was interrupted." in result.notes
    at_once = Event()
    at_once.set()
    nothing = measure(rounds=2, stop=at_once)
    assert [(one.status, one.reason) for one in nothing.cases] == [("not run", "interrupted")]
    json.dumps(nothing.as_dict())


def test_clips_are_made_when_they_are_due_small_ones_first_and_given_up_when_it_is_stopped(tmp_path: Path) -> None:
    stop = Event()
    told = []

    def on_progress(progress: BenchProgress) -> None:
        told.append(progress.doing)
        if progress.doing == "making a clip of 1280x720":
            stop.set()

    result = measure(models=("u2netp",), sizes_wh=((1280, 720), TINY), on_progress=on_progress, stop=stop)
    assert told[-4:] == [
        "getting u2netp ready on auto",
        "making a clip of 64x48",
        "u2netp 64x48 auto",
        "making a clip of 1280x720",
    ]
    assert [(one.size_wh, one.status) for one in result.cases] == [((1280, 720), "not run"), (TINY, "measured")]

    source = tmp_path / "source.mp4"
    make_scene_clip(source, TINY)
    frames = 0

    def after_three() -> bool:
        nonlocal frames
        frames += 1
        return frames > 3

    for make in (make_scene_clip, lambda *arguments: make_resized_clip(source, *arguments)):
        frames = 0
        with pytest.raises(Stopped):
            make(tmp_path / "stopped.mp4", TINY, after_three)
        assert frames == 4
    assert [path.name for path in tmp_path.iterdir()] == ["source.mp4"]


_COUNT_KERNELS = """
import sys
from rtmatte.runs.bench.run import run_bench
from rtmatte.settings import BenchSettings
from numba.core.dispatcher import Dispatcher
from tests.test_bench import Loader

def kernels():
    modules = [module for name, module in sys.modules.items() if name.startswith("rtmatte")]
    found = {id(one): one for module in modules for one in vars(module).values() if isinstance(one, Dispatcher)}
    return {f"{one.py_func.__module__}.{one.__name__} {types}" for one in found.values() for types in one.overloads}

def on_progress(progress):
    if progress.doing.startswith("u2netp"):
        before.append(kernels())

for source in ({"sizes_wh": ((800, 600),)}, {"camera": "pattern", "sizes_wh": ((640, 480),)}):
    before = []
    settings = BenchSettings(models=("u2netp",), seconds_per_case=0.1, rounds=1, **source)
    result = run_bench(settings, load=Loader(), on_progress=on_progress)
    assert result.complete
    assert len(before[0]) > 10, before
    assert kernels() == before[0], kernels() - before[0]
"""


def test_kernels_are_compiled_before_anything_is_measured() -> None:
    """In a process of its own, where none is there yet; compiling or reading from a cache makes no difference."""
    done = subprocess.run([sys.executable, "-c", _COUNT_KERNELS], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_nothing_begins_after_the_budget_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of which ten seconds are gone whenever a run is told of, and more before, which don't count."""
    clock = Clock()

    class Time:
        monotonic = staticmethod(clock)

    def on_progress(progress: BenchProgress) -> None:
        clock.now += 10 * (progress.doing.startswith(("u2netp", "selfie"))) + 100 * progress.doing.startswith("getting")

    monkeypatch.setattr(bench_run, "time", Time)
    loader = Loader()
    result = measure(loader, models=("u2netp", "selfie"), rounds=10, budget_s=45, on_progress=on_progress)
    assert sum(len(one.rounds) for one in result.cases) == 4
    assert not result.complete
    assert any("the budget was used up" in note for note in result.notes)


def test_the_live_run_is_measured_with_a_camera() -> None:
    kept = measure(camera="pattern", models=("selfie",)).as_dict()
    assert kept["source"] == {"kind": "camera", "id": "pattern"}
    (case,) = kept["cases"]
    assert case["status"] == "measured"
    assert case["size_wh"] == list(TINY)
    before, after = ["decode", "framing", "resize", "estimate"], ["smooth", "refine", "composite", "send"]
    assert list(case["stages_ms"]) == before + after
    assert case["output"] == "a device that counts"
    assert case["rounds"][0]["frames"] > 0
    for name, stage in case["stages_ms"].items():
        assert stage["mean"] > 0 or name in ("decode", "resize"), "a drawn pattern, and no net"
    with pytest.raises(errors.CameraNotFoundError):
        measure(camera="no such camera")


def test_what_was_measured_is_kept_where_a_live_run_is_stopped_while_it_loads_its_model() -> None:
    stop, released = Event(), Event()

    def load_slowly(name: str, _device: str) -> None:
        if [asked for asked, *_ in loader.asked].count(name) == 2 and name == "selfie":  # the first is the rehearsal's
            stop.set()
            released.wait(30)

    loader = Loader(load_slowly)
    try:
        kept = measure(loader, camera="pattern", models=("u2netp", "selfie"), stop=stop).as_dict()
    finally:
        released.set()
    assert [(case["status"], case["reason"], case["net"]) for case in kept["cases"]] == [
        ("measured", "", "u2netp"),
        ("not run", "interrupted", None),
    ]


def test_a_case_tells_which_net_stood_behind_its_name(tmp_path: Path) -> None:
    result = measure(lambda *_, **__: Someone("selfie-multiclass-fp16"), models=("people",))
    (case,) = result.as_dict()["cases"]
    assert (case["model"], case["net"], case["precision"]) == ("people", "selfie-multiclass-fp16", "float16")
    assert ran_on(case) == "test provider; selfie-multiclass-fp16 (float16); libx264"


def test_a_camera_case_that_cannot_run_has_the_size_that_the_others_were_granted() -> None:
    kept = measure(Loader(no_cuda), camera="pattern", devices=("cuda", "cpu"), sizes_wh=()).as_dict()
    assert [label_of(case) for case in kept["cases"]] == ["u2netp 1280x720 cuda", "u2netp 1280x720 cpu"]
    assert [case["status"] for case in kept["cases"]] == ["unavailable", "measured"]


def test_the_model_looks_at_every_frame_of_a_still_clip(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "in.mp4", frame_count=1)
    seen = []

    class Watched(Someone):
        def estimate(self, frame: Frame) -> F32:
            seen.append(frame.index)
            return super().estimate(frame)

    def load(name: str, *, skip_still: bool = False, **_: Any) -> Someone:
        assert not skip_still
        return Watched(name)

    result = measure(load, clip=clip, sizes_wh=())
    assert len(seen) >= result.cases[0].rounds[0].measured.frames + WARM_UP_FRAMES


def test_a_clip_without_sizes_is_measured_as_it_is_and_longer_than_it_lasts(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "in.mp4", frame_count=3)
    result = measure(clip=clip, sizes_wh=())
    assert result.cases[0].size_wh == clips.SIZE_WH
    assert result.cases[0].rounds[0].measured.frames + WARM_UP_FRAMES > 3
    transparent = measure(clip=clip, sizes_wh=(), background="none")
    assert transparent.cases[0].used is not None
    assert transparent.cases[0].used.output == "prores_ks"


def test_the_scene_moves_and_is_always_the_same(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_scene_clip(tmp_path / name, TINY)
    first, again = decode(tmp_path / "a.mp4").luma, decode(tmp_path / "b.mp4").luma
    assert len(first) == 48
    # Not to the bit: x264 doesn't code small pictures the same way every time, given the same ones.
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(first, again, strict=True)) < 3
    assert np.abs(first[0].astype(int) - first[12]).mean() > 4
    make_resized_clip(tmp_path / "a.mp4", tmp_path / "c.mp4", (32, 32))
    resized = decode(tmp_path / "c.mp4").luma
    assert len(resized) == 48
    assert resized[0].shape == (32, 32)


# --- files


def kept_result() -> dict[str, Any]:
    """Two measured cases, one of a name that needs escaping, and one that isn't there."""
    stages = dict.fromkeys(FILE_STAGES, 2.0)
    gone = CaseResult(Case("u2netp", TINY, "cuda", None), "unavailable", "no <CUDA> & no driver")
    return BenchResult(
        machine={"processor": "A <B> & C", "cores": 2, "memory_gib": 8.0, "gpus": ["G"], "system": "S"},
        conditions={"governors": [], "throttled": None, "on_battery": None, "others_share": 0.02, "gpu_slowed_by": []},
        source={"kind": "generated", "id": "scene 1"},
        background="blur",
        rounds_planned=3,
        seconds_per_round=5.0,
        gpu_read_by="not readable",
        cases=(
            case_result("u2netp", [20.0, 21.0, 22.0], stages),
            case_result("selfie", [90.0, 91.0, 92.0], stages),
            gone,
        ),
        complete=True,
        notes=("A note & more.",),
    ).as_dict()


def test_memory_is_told_over_what_was_held_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one process, what other cases left behind isn't a case's own."""
    one = case_result("selfie", [20.0, 21.0], dict.fromkeys(FILE_STAGES, 2.0))
    one.rounds = [
        replace(kept, before_bytes=before * 2**20, peak_bytes=peak * 2**20)
        for kept, before, peak in zip(one.rounds, (200, 350), (350, 480), strict=True)
    ]
    assert one.added_bytes == 150 * 2**20
    kept = kept_result() | {"cases": [one.as_dict(None)]}
    bench_tables.print_tables(kept, None)
    assert "480 MiB (+150)" in capsys.readouterr().out
    assert "480 MiB (+150)" in page(kept, None)
    with ResultFiles(json_to=None, csv_to=tmp_path / "a.csv", plot_to=None, overwrite=False) as files:
        files.write(kept, None)
    (row,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert (row["peak_mib"], row["added_mib"]) == ("480.0", "150.0")


def test_memory_that_is_free_goes_back_before_a_case() -> None:
    """Blocks too small for mappings of their own, of which the last keeps the others' room from going by itself."""
    before = resident_bytes()
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or before is None:
        pytest.skip("only glibc can be told to")
    blocks = [bytearray(60_000) for _ in range(4000)]
    last = blocks.pop()
    del blocks
    give_back_memory()
    after = resident_bytes()
    assert after is not None
    assert after - before < 100 * 2**20 < 4000 * 60_000
    assert len(last) == 60_000


def test_no_figure_of_the_stages_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    longest = max((spec.name for spec in SHIPPED), key=len)
    stages = {stage: 1e3 + number for number, stage in enumerate(camera_run.STAGES)}
    of_cases = [case_result(longest, [0.1] * 3, stages).as_dict(None) for _ in range(7)]
    kept = kept_result() | {"cases": [one | {"threads": threads} for threads, one in enumerate(of_cases, 1)]}
    for width in (80, 120):
        monkeypatch.setattr(bench_tables, "_LEAST_WIDTH", width)
        bench_tables.print_tables(kept, None)
        told = capsys.readouterr().out
        assert max(map(len, told.splitlines())) <= width
        for stage in camera_run.STAGES:
            figures = kept["cases"][0]["stages_ms"][stage]
            assert told.count("/".join(f"{figures[which]:.0f}" for which in ("p50", "p95", "p99"))) >= 7, stage


class Page(HTMLParser):
    """What a browser would open and fetch, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta",):
            self.open.append(tag)
        self.fetched += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "xlink:href", "data")]
        self.fetched += [tag] * (tag in ("script", "link", "iframe", "img"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_files_are_what_their_names_say(tmp_path: Path) -> None:
    kept = kept_result()
    for plot_name in ("plot.png", "plot.html"):
        paths = {"json_to": tmp_path / "r.json", "csv_to": tmp_path / "r.csv", "plot_to": tmp_path / plot_name}
        with ResultFiles(**paths, overwrite=True) as files:
            files.write(kept, {"differences": [], "warnings": ["Not the same <machine>."]})
    assert json.loads((tmp_path / "r.json").read_text())["cases"] == kept["cases"]
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["u2netp", "selfie", "u2netp"]
    assert [row["fps_median"] for row in rows] == ["21.0", "91.0", ""]
    assert rows[2]["reason"] == "no <CUDA> & no driver"
    assert float(rows[0]["encode_p95_ms"]) == pytest.approx(2, rel=0.013)
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.format == "PNG"
        colors = {color for _, color in picture.convert("RGB").getcolors(2**20) or []}
        assert {(255, 255, 255), (0, 0x72, 0xB2), (0xD5, 0x5E, 0)} <= colors
    html = (tmp_path / "plot.html").read_text(encoding="utf-8")
    browser = Page()
    browser.feed(html)
    browser.close()
    assert browser.open == []
    assert browser.fetched == []
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in html
    for told in (
        "Without figures",
        "4.34x, faster (",
        "A <B> & C",
        "no <CUDA> & no driver",
        "A note & more.",
        "Not the same <machine>.",
        "bound by",
    ):
        assert told in browser.text
    assert "GPU" not in browser.text, "no model ran on one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plot.html", "plot.png", "r.csv", "r.json"]


def test_bars_are_as_long_as_the_rates(tmp_path: Path) -> None:
    svg = ElementTree.fromstring(plot(kept_result()).svg())
    rectangles = [node.attrib for node in svg.iter("{http://www.w3.org/2000/svg}rect")]
    first, second = [float(node["width"]) for node in rectangles if node["fill"] == "#0072b2"][:2]
    assert second / first == pytest.approx(91 / 21, rel=0.01)
    width, height = (float(text) for text in svg.attrib["viewBox"].split()[2:])
    assert all(float(r.get("x", 0)) + float(r["width"]) <= width for r in rectangles)
    assert all(float(node.attrib["y"]) < height for node in svg.iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("stages", [file_run.STAGES, camera_run.STAGES], ids=["file", "live"])
def test_every_stage_has_a_colour_of_its_own(stages: tuple[str, ...]) -> None:
    case = case_result("u2netp", [20.0, 21.0, 22.0], dict.fromkeys(stages, 2.0)).as_dict(None)
    drawing = plot(kept_result() | {"cases": [case]})
    fps_bar, *work = [shape.color for shape in drawing.shapes if isinstance(shape, Rectangle)]
    assert fps_bar
    assert len(set(work)) == len(stages)


def test_nothing_in_the_plot_is_cut_off() -> None:
    """With the longest name that ships, a machine with several GPUs, and a long reason, in the PNG's font."""
    kept = kept_result()
    longest = max((spec.name for spec in SHIPPED), key=len)
    kept["cases"][0] |= {"model": longest, "size_wh": [3840, 2160], "device": "openvino-gpu", "threads": 16}
    kept["machine"] |= {"processor": "A processor with a name " * 5, "gpus": ["A GPU with a name"] * 8}
    kept["cases"][2]["reason"] = reason = "no provider of that name. " * 20 + "x" * 300 + " the end"
    kept["notes"] = [note] = ["a note that goes on and on " * 12]
    drawing = plot(kept)
    texts = [shape for shape in drawing.shapes if isinstance(shape, Text)]
    for text in texts:
        width = ImageFont.load_default(text.size).getlength(text.text)
        left = text.x - width * {"start": 0, "middle": 0.5, "end": 1}[text.anchor]
        assert left >= 0, text.text
        assert left + width <= drawing.width, text.text
    told = "".join(text.text for text in texts).replace(" ", "")
    for whole in (longest, kept["machine"]["processor"], reason, note):
        assert whole.replace(" ", "") in told
    ends = [text.x for text in texts if text.anchor == "end"]
    bars = [shape.x for shape in drawing.shapes if isinstance(shape, Rectangle)]
    assert max(ends) <= min(bars), "names of cases end before the bars begin"


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}")
    with pytest.raises(errors.OutputExistsError):
        ResultFiles(json_to=old, csv_to=None, plot_to=None, overwrite=False)
    with pytest.raises(errors.OutputWriteError):
        ResultFiles(json_to=tmp_path / "new.json", csv_to=tmp_path / "no" / "r.csv", plot_to=None, overwrite=False)
    with pytest.raises(errors.UnsupportedOutputError, match=r"\.png or \.html"):
        ResultFiles(json_to=None, csv_to=None, plot_to=tmp_path / "r.gif", overwrite=False)
    with (
        pytest.raises(RuntimeError),
        ResultFiles(json_to=tmp_path / "new.json", csv_to=None, plot_to=None, overwrite=False),
    ):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--sizes", "big"], 2, "--sizes: expected WIDTHxHEIGHT"),
        (["--threads", "two"], 2, "--threads: expected whole numbers"),
        (["--batches", "2,many"], 2, "--batches: expected whole numbers"),
        (["--decoder", "hardware", "--camera", "pattern"], 2, "--decoder: expected a clip"),
        (["--rounds", "0"], 2, "--rounds"),
        (["--budget", "1"], 2, "--budget: expected"),
        (["--camera", __file__], 3, "--camera file:"),
        (["--models", "nope"], 5, "u2netp"),
        (["nowhere.mp4"], 3, "nowhere.mp4"),
        (["--compare", "nowhere.json"], 3, "nowhere.json"),
        (["--plot", "r.gif"], 4, ".html"),
        (["--json", "no-such-folder/r.json"], 4, "no-such-folder"),
    ],
)
def test_what_goes_wrong_is_told_before_anything_is_measured(arguments: list[str], code: int, says: str) -> None:
    error = CliRunner().invoke(app, ["bench", *arguments]).exception
    assert isinstance(error, errors.RtmatteError)
    assert error.exit_code == code
    assert says in str(error)


def command(*arguments: object) -> list[str]:
    tiny = ["--sizes", "64x48", "--models", "selfie", "--devices", "cpu", "--seconds-per-case", "0.2"]
    return [sys.executable, "-m", "rtmatte", "bench", *tiny, *map(str, arguments)]


def test_from_the_command_line(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run: Callable[..., Any] = subprocess.run
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment, "timeout": 100}
    done = run(command("--rounds", 3, "--json", "r.json", "--csv", "r.csv", "--plot", "r.html"), **options)
    assert done.returncode == 0, done.stderr
    assert "1 case x 3 rounds x 0.2 s" in done.stderr
    for told in ("End to end", "selfie 64x48 cpu", "CPUExecutionProvider", "Stages", "bound by", "float32"):
        assert told in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.csv", "r.html", "r.json"]

    again = run(command("--rounds", 1, "--json", "-", "--compare", "r.json", "--devices", "cpu,cuda"), **options)
    assert again.returncode == 0, again.stderr
    kept = json.loads(again.stdout)
    assert kept["comparison"]["differences"][0]["fps"]["verdict"] == "too few rounds to tell"
    if kept["cases"][1]["status"] == "unavailable":
        alone = run(command("--devices", "cuda"), **options)
        assert alone.returncode == 5
        assert "CUDA" in alone.stderr
        assert "Traceback" not in alone.stderr


def test_ctrl_c_keeps_what_there_is(tmp_path: Path) -> None:
    running = subprocess.Popen(
        command("--rounds", 100, "--json", "r.json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert running.stderr is not None
    assert "100 rounds" in running.stderr.readline()
    time.sleep(3)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=30)
    assert running.returncode == 130, stderr
    assert "Traceback" not in stderr
    kept = json.loads((tmp_path / "r.json").read_text())
    assert not kept["complete"]
    assert "it was interrupted" in stdout
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
