"""The benchmark from beginning to end: plan, clips, rounds that take turns over the cases, result.

cases A B C, three rounds:   A B C   A B C   A B C        each letter: load the model, warm up, measure

Everything runs in this process; each run loads the model anew, so that the time to the first frame is one.
"""

from __future__ import annotations

import gc
import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import (
    ModelError,
    OutputError,
    ProviderUnavailableError,
    RtmatteError,
    RuntimeConflictError,
    RuntimeNotInstalledError,
    StageStalledError,
)
from rtmatte.matting.load import load_matter
from rtmatte.matting.precision import precision_of
from rtmatte.matting.registry import find_model
from rtmatte.matting.weights import read_verified
from rtmatte.runs.bench import camera_run, conditions, file_run
from rtmatte.runs.bench.cases import GENERATED_SIZE_WH, Case, Plan, build_cases, make_plan
from rtmatte.runs.bench.clips import make_resized_clip, make_scene_clip
from rtmatte.runs.bench.file_run import Load
from rtmatte.runs.bench.gpu.find import find_gpu
from rtmatte.runs.bench.gpu.state import Gpu, runs_on_it
from rtmatte.runs.bench.gpu.watch import GpuWatch
from rtmatte.runs.bench.machine import describe_machine
from rtmatte.runs.bench.memory import PeakMemory
from rtmatte.runs.bench.recorder import Measured, Recorder
from rtmatte.runs.bench.result import BenchResult, CaseResult, Round
from rtmatte.runs.others_watch import OthersWatch
from rtmatte.settings import BenchSettings, Blur, Color, ImageFile, VideoFile, parse_background

_LEAST_SHARE = 0.5
"""A run that was cut short counts if it was measured for at least this share of its time."""


@dataclass(frozen=True, slots=True)
class BenchProgress:
    """How far a benchmark is: `doing` is the present case, or "making clips"; `budget_s` is when it ends at the latest,
    counted like `elapsed_s` from its beginning."""

    runs_done: int
    plan: Plan
    cases: int
    doing: str
    elapsed_s: float

    @property
    def budget_s(self) -> float:
        return self.plan.budget_s


def run_bench(
    settings: BenchSettings | None = None,
    *,
    load: Load = load_matter,
    on_progress: Callable[[BenchProgress], None] | None = None,
    stop: Event | None = None,
) -> BenchResult:
    """Measures every case and returns what was found until the plan, the budget or `stop` ended it.

    `load` replaces the models of the registry. `on_progress` is called before each run, from this thread. A case that
    can't run here (no such device, an encoder that doesn't take the size) is in the result with the reason.

    Raises: `SettingsError`; `UnknownModelError`; `RuntimeNotInstalledError`, `RuntimeConflictError`; `InputError` if
    the clip or the camera can't be used; `ProviderUnavailableError` if the only device asked for isn't here.
    """
    with tempfile.TemporaryDirectory(prefix="rtmatte-bench-") as folder:
        bench = _Bench(settings or BenchSettings(), load, on_progress, stop or Event(), Path(folder))
        return bench.run()


class _Bench:
    def __init__(
        self,
        settings: BenchSettings,
        load: Load,
        on_progress: Callable[[BenchProgress], None] | None,
        stop: Event,
        folder: Path,
    ) -> None:
        self._settings = settings
        self._load = load
        self._on_progress = on_progress
        self._stop = stop
        self._folder = folder
        self._begun = time.monotonic()
        self._gpu: Gpu = find_gpu()
        precisions = {model: precision_of(read_verified(find_model(model))) for model in settings.models}
        cases = build_cases(settings, self._own_size_wh())
        self._results = [CaseResult(case, precisions[case.model]) for case in cases]
        sizes_wh = {case.size_wh for case in cases if case.size_wh is not None}
        self._clips_wh = sorted(sizes_wh) if self._makes_clips() else []
        self._clips: dict[tuple[int, int], Path] = {}
        self._plan = make_plan(settings, cases, self._clips_wh)
        self._runs_done = 0

    def run(self) -> BenchResult:
        before = conditions.read_conditions()
        self._make_clips()
        self._go_round()
        rounds = [one for result in self._results for one in result.rounds]
        found = conditions.as_dict(
            before,
            conditions.read_conditions(),
            others_shares=[one.others_share for one in rounds],
            gpu_slowed_by=[reason for one in rounds if one.gpu for reason in one.gpu.slowed_by],
        )
        return self._result(found)

    def _go_round(self) -> None:
        for _ in range(self._settings.rounds):
            for result in self._results:
                if result.status not in ("unavailable", "failed"):
                    self._tell(result.case.label)
                    if self._should_stop():
                        return
                    self._measure(result)
                self._runs_done += 1

    def _own_size_wh(self) -> tuple[int, int] | None:
        if self._settings.camera is not None:
            return None
        if self._settings.clip is None:
            return GENERATED_SIZE_WH
        with VideoFileSource(self._settings.clip) as clip:
            return clip.format.size_wh

    def _makes_clips(self) -> bool:
        return self._settings.camera is None and (self._settings.clip is None or bool(self._settings.sizes_wh))

    def _make_clips(self) -> None:
        for size_wh in self._clips_wh:
            if self._should_stop():
                return
            self._tell("making clips")
            path = self._folder / f"{size_wh[0]}x{size_wh[1]}.mp4"
            if self._settings.clip is None:
                make_scene_clip(path, size_wh)
            else:
                make_resized_clip(self._settings.clip, path, size_wh)
            self._clips[size_wh] = path

    def _should_stop(self) -> bool:
        return self._stop.is_set() or time.monotonic() - self._begun >= self._plan.budget_s

    def _tell(self, doing: str) -> None:
        if self._on_progress is not None:
            elapsed = time.monotonic() - self._begun
            self._on_progress(BenchProgress(self._runs_done, self._plan, len(self._results), doing, elapsed))

    def _measure(self, result: CaseResult) -> None:
        gc.collect()  # the model of the run before
        stages = file_run.STAGES if self._settings.camera is None else camera_run.STAGES
        recorder = Recorder(stages, self._plan.seconds_per_run)
        others = OthersWatch()
        try:
            with PeakMemory() as memory, GpuWatch(self._gpu) as gpu:
                result.used = self._run_case(result.case, recorder)
            others_share = others.share()
        except (RuntimeNotInstalledError, RuntimeConflictError):
            raise
        except ProviderUnavailableError as error:
            if len(self._settings.devices) == 1:
                raise
            result.status, result.reason = "unavailable", error.message
        except (ModelError, OutputError, StageStalledError, MemoryError) as error:
            result.status = "failed"
            result.reason = error.message if isinstance(error, RtmatteError) else "out of memory"
        else:
            measured = recorder.result()
            if measured is not None and self._counts(measured, recorder):
                result.status = "measured"
                gpu_use = gpu.use() if runs_on_it(result.used.provider) else None
                result.rounds.append(Round(measured, memory.before_bytes, memory.peak_bytes, gpu_use, others_share))

    def _counts(self, measured: Measured, recorder: Recorder) -> bool:
        return recorder.enough or measured.seconds >= _LEAST_SHARE * self._plan.seconds_per_run

    def _run_case(self, case: Case, recorder: Recorder) -> file_run.Used:
        background = self._settings.background
        if self._settings.camera is not None:
            return camera_run.run_camera(
                case, self._settings.camera, background, self._load, recorder, self._should_stop
            )
        assert case.size_wh is not None
        clip = self._clips.get(case.size_wh) or self._settings.clip
        assert clip is not None
        return file_run.run_clip(case, clip, self._folder, background, self._load, recorder, self._should_stop)

    def _result(self, found: dict[str, Any]) -> BenchResult:
        runnable = [one for one in self._results if one.status not in ("unavailable", "failed")]
        missing = sum(self._settings.rounds - len(one.rounds) for one in runnable)
        for one in runnable:
            if not one.rounds:
                one.reason = "interrupted" if self._stop.is_set() else "no frame in the time there was"
        return BenchResult(
            machine=describe_machine(self._gpu.names),
            conditions=found,
            source=self._source(),
            background=_background_kind(self._settings.background),
            rounds_planned=self._settings.rounds,
            seconds_per_round=self._plan.seconds_per_run,
            gpu_read_by=self._gpu.how,
            cases=tuple(self._results),
            complete=missing == 0,
            notes=tuple(conditions.warnings_of(found) + self._notes(missing)),
        )

    def _notes(self, missing: int) -> list[str]:
        told = []
        if self._plan.shortened:
            told.append(f"Runs were shortened to {self._plan.seconds_per_run:.2g} s to fit the budget.")
        if missing:
            why = "it was interrupted" if self._stop.is_set() else "the budget was used up"
            told.append(f"{missing} of {self._plan.runs} runs are missing: {why}.")
        return told

    def _source(self) -> dict[str, Any]:
        """What was matted; a file by its content, since its name is nobody's business."""
        if self._settings.camera is not None:
            return {"kind": "camera", "id": "pattern" if self._settings.camera == "pattern" else ""}
        if self._settings.clip is None:
            return {"kind": "generated", "id": "scene 1"}
        with self._settings.clip.open("rb") as file:
            digest = hashlib.sha256(file.read(2**20)).hexdigest()
        return {"kind": "file", "id": digest[:12]}


def _background_kind(text: str) -> str:
    """As it was written, but for a file's name."""
    match parse_background(text):
        case Color() | Blur():
            return text.strip().lower()
        case ImageFile():
            return "a picture"
        case VideoFile():
            return "a clip"
        case _:
            return "none"
