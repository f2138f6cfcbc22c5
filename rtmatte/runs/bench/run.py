"""The benchmark from beginning to end: rehearsal, rounds that take turns over the cases, result.

    rehearsal of every model    A B C   A B C   A B C      three rounds over the cases A, B and C
    kernels are compiled        each letter: load the model, warm up, measure; the first time, make its clip
                                └── the plan's clock runs

Everything runs in this process; each run loads the model anew, so that the time to the first frame is one. Rounds go
from small pictures to large ones, so that what is interrupted has measured something.
"""

from __future__ import annotations

import gc
import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

from rtmatte.capture.open_camera import open_camera
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import (
    DecoderUnavailableError,
    ModelError,
    OutputError,
    ProviderUnavailableError,
    RtmatteError,
    RuntimeConflictError,
    RuntimeNotInstalledError,
    StageStalledError,
)
from rtmatte.machine import give_back_memory
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import seconds_building
from rtmatte.matting.registry import find_model
from rtmatte.matting.weights import verify
from rtmatte.pool import PicturePool
from rtmatte.runs.bench import camera_run, conditions, file_run
from rtmatte.runs.bench.cases import GENERATED_SIZE_WH, Case, Plan, build_cases, make_plan, pixels_of, rehearsal_of
from rtmatte.runs.bench.clips import Clips, Stopped
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

_FAILURES = (ModelError, OutputError, StageStalledError, MemoryError)
"""Of a case; the others go on."""
_ANY_RATE = 30.0
_REHEARSAL_S = 120.0
"""The longest that a model is rehearsed, should no frame come through; what it builds first apart."""
_LEAST_SHARE = 0.5
"""A run that was cut short counts if it was measured for at least this share of its time."""


@dataclass(frozen=True, slots=True)
class BenchProgress:
    """How far a benchmark is: `doing` is the present case, or what is done before it; `budget_s` is when it ends at the
    latest, counted like `elapsed_s` from the end of the rehearsal."""

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

    Before the budget's time begins every model runs for a moment: the first time after an install, kernels are compiled
    then, which takes up to a minute.

    `load` replaces the models of the registry. `on_progress` is called before each run, from this thread. A case that
    can't run here (no such device, an encoder that doesn't take the size) is in the result with the reason.

    Raises: `SettingsError`; `UnknownModelError`; `RuntimeNotInstalledError`, `RuntimeConflictError`; `InputError` if
    the clip or the camera can't be used, or no hardware decodes here; `ProviderUnavailableError` if the only device
    asked for isn't here.
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
        self._stages = file_run.STAGES if settings.camera is None else camera_run.STAGES
        self._begun = time.monotonic()
        self._gpu: Gpu = find_gpu()
        for model in settings.models:
            verify(find_model(model))
        own_size_wh = self._own_size_wh()
        cases = build_cases(settings, own_size_wh)
        self._results = [CaseResult(case) for case in cases]
        self._clips = Clips(folder, settings.clip, None if settings.sizes_wh else own_size_wh)
        sizes_wh = {case.size_wh for case in cases if case.size_wh is not None and settings.camera is None}
        to_make = [size_wh for size_wh in sizes_wh if not self._clips.has(size_wh)]
        self._plan = make_plan(settings, cases, to_make)
        self._runs_done = 0

    def run(self) -> BenchResult:
        before = conditions.read_conditions()
        self._rehearse()
        self._begun = time.monotonic()
        for _ in range(self._settings.rounds):
            self._go_round()
        rounds = [one for result in self._results for one in result.rounds]
        found = conditions.as_dict(
            before,
            conditions.read_conditions(),
            others_shares=[one.others_share for one in rounds],
            gpu_slowed_by=[reason for one in rounds if one.gpu for reason in one.gpu.slowed_by],
        )
        return self._result(found)

    def _rehearse(self) -> None:
        """Runs every model for a few frames on every device, on small pictures of the same shapes: kernels are
        compiled, and a device that isn't there is told before anything is made for it."""
        done = set()
        for result in self._results:
            case = rehearsal_of(result.case)
            if case not in done and result.status != "unavailable" and not self._stop.is_set():
                done.add(case)
                self._rehearse_case(case)

    def _rehearse_case(self, case: Case) -> None:
        options: dict[str, Any] = {} if self._settings.camera else {"side_by_side": True, "batch": case.batch}
        try:
            matter = self._load(
                case.model, device=case.device, threads=case.threads, sample_aspect_ratio=Fraction(1), **options
            )
            self._tell(f"getting {case.model} ready on {case.device}")
            clip = self._clip_of(case, self._stop.is_set)
            source = clip if self._settings.camera is None else f"file:{clip}"
            recorder = Recorder(self._stages, seconds=0)
            latest = time.monotonic() + _REHEARSAL_S
            self._run_case(
                case,
                source,
                lambda *_, **__: matter,
                recorder,
                lambda: self._stop.is_set() or time.monotonic() - seconds_building(matter) >= latest,
            )
        except Stopped:
            pass
        except _FAILURES as error:
            self._is_unavailable(case, error)  # anything else happens to the case itself as well, and is told there

    def _go_round(self) -> None:
        for result in sorted(self._results, key=lambda result: pixels_of(result.case)):
            if self._should_stop():
                return
            if result.status not in ("unavailable", "failed"):
                self._measure(result)
            self._runs_done += 1

    def _own_size_wh(self) -> tuple[int, int] | None:
        """The clip's; None for a camera, of which only its name is looked at."""
        if self._settings.camera is not None:
            open_camera(self._settings.camera, None, _ANY_RATE, False, PicturePool()).close()
            return None
        if self._settings.clip is None:
            return GENERATED_SIZE_WH
        measured = not self._settings.sizes_wh
        with VideoFileSource(self._settings.clip, decoder=self._settings.decoder if measured else "software") as clip:
            return clip.format.size_wh

    def _should_stop(self) -> bool:
        return self._stop.is_set() or time.monotonic() - self._begun >= self._plan.budget_s

    def _tell(self, doing: str) -> None:
        if self._on_progress is not None:
            elapsed = time.monotonic() - self._begun
            self._on_progress(BenchProgress(self._runs_done, self._plan, len(self._results), doing, elapsed))

    def _measure(self, result: CaseResult) -> None:
        gc.collect()  # the model of the run before; what is free isn't "before" for this one
        give_back_memory()
        case = result.case
        try:
            source = self._settings.camera or self._clip_of(case, self._should_stop)
            self._tell(case.label)
            if self._should_stop():
                return
            recorder, others = Recorder(self._stages, self._plan.seconds_per_run), OthersWatch()
            with PeakMemory() as memory, GpuWatch(self._gpu) as gpu:
                used = self._run_case(case, source, self._load, recorder, self._should_stop)
            others_share = others.share()
        except Stopped:
            return
        except (*_FAILURES, DecoderUnavailableError) as error:  # it decoded the rehearsal, but not this size
            if not self._is_unavailable(case, error):
                result.status = "failed"
                result.reason = error.message if isinstance(error, RtmatteError) else "out of memory"
            return
        if not used.net:
            return  # a live run that was ended while it loaded its model
        result.used = used
        measured = recorder.result()
        if measured is not None and self._counts(measured, recorder):
            result.status = "measured"
            gpu_use = gpu.use() if runs_on_it(used.provider) else None
            result.rounds.append(Round(measured, memory.before_bytes, memory.peak_bytes, gpu_use, others_share))

    def _is_unavailable(self, case: Case, error: Exception) -> bool:
        """Whether the model can't run on the device, which is noted for all cases of both.

        Raises: the error, if no other case can do better.
        """
        if isinstance(error, (RuntimeNotInstalledError, RuntimeConflictError)):
            raise error
        if not isinstance(error, ProviderUnavailableError):
            return False
        if len(self._settings.devices) == 1:
            raise error
        for result in self._results:
            if (result.case.model, result.case.device) == (case.model, case.device):
                result.status, result.reason = "unavailable", error.message
        return True

    def _clip_of(self, case: Case, should_stop: Callable[[], bool]) -> Path:
        """Made, if it isn't there yet. Raises: `Stopped`."""
        assert case.size_wh is not None
        if not self._clips.has(case.size_wh):
            self._tell(f"making a clip of {case.size_wh[0]}x{case.size_wh[1]}")
        return self._clips.of(case.size_wh, should_stop)

    def _counts(self, measured: Measured, recorder: Recorder) -> bool:
        return recorder.enough or measured.seconds >= _LEAST_SHARE * self._plan.seconds_per_run

    def _run_case(
        self, case: Case, source: Path | str, load: Load, recorder: Recorder, should_stop: Callable[[], bool]
    ) -> file_run.Used:
        """On a clip, or on the camera of that name."""
        background = self._settings.background
        if isinstance(source, str):
            return camera_run.run_camera(case, source, background, load, recorder, should_stop)
        decoder = self._settings.decoder
        return file_run.run_clip(case, source, self._folder, background, decoder, load, recorder, should_stop)

    def _result(self, found: dict[str, Any]) -> BenchResult:
        runnable = [one for one in self._results if one.status not in ("unavailable", "failed")]
        missing = sum(self._settings.rounds - len(one.rounds) for one in runnable)
        granted_wh = next((one.used.size_wh for one in self._results if one.used is not None), None)
        for one in self._results:
            if one.case.size_wh is None:  # a camera grants all models the same
                one.case = replace(one.case, size_wh=granted_wh)
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
