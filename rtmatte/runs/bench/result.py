"""What a benchmark found, and the form in which it is kept and shared: JSON of a numbered schema."""

from __future__ import annotations

import re
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rtmatte.matting.precision import precision_of
from rtmatte.matting.registry import find_model
from rtmatte.matting.weights import read_verified
from rtmatte.runs.bench.camera_run import COMPOSING
from rtmatte.runs.bench.cases import Case
from rtmatte.runs.bench.file_run import Used
from rtmatte.runs.bench.gpu.watch import GpuUse, use_of_all
from rtmatte.runs.bench.noise import Ratio, paired_ratio
from rtmatte.runs.bench.recorder import WARM_UP_FRAMES, WARM_UP_S, Measured
from rtmatte.stats import LatencyHistogram

SCHEMA, SCHEMA_VERSION = "rtmatte-bench", 2
_PERCENTILES = (50, 95, 99)
_CAMERA_BOUND_SHARE = 0.9

_FOLDERS = re.compile(r"""(?<!\w)(?:[A-Za-z]:[\\/]|\.{0,2}[\\/]|~[\\/])(?:[^\s\\/'":,;()]+[\\/])*(?=[^\s\\/])""")
"""The folders of an absolute path, or of one that begins with ~ or a dot."""

Status: TypeAlias = Literal["measured", "unavailable", "failed", "not run"]


@dataclass(frozen=True, slots=True)
class Round:
    """One run of a case.

    Memory in bytes: resident in the process before the model was loaded and at most since; None where it can't be read.
    `others_share` of the processor was used by other programs, 0 to 1. `gpu` None: the model didn't run on an NVIDIA
    GPU, or nothing asks it here.
    """

    measured: Measured
    before_bytes: int | None
    peak_bytes: int | None
    gpu: GpuUse | None
    others_share: float | None


@dataclass(frozen=True, slots=True)
class Bound:
    """What limits a case: the part of the run that has least slack.

    `share` of the time between two frames is spent working there (the rest waiting for others); `overhead` is the time
    between two frames over that work, so 1.00 means that everything else is hidden behind it. `what` is a stage, or
    "camera" if a live run waits for it.
    """

    what: str
    share: float

    @property
    def overhead(self) -> float:
        return 1 / self.share if self.share else 0.0


@dataclass(slots=True)
class CaseResult:
    """A case and all its rounds; `reason` says why there are none."""

    case: Case
    status: Status = "not run"
    reason: str = ""
    used: Used | None = None
    rounds: list[Round] = field(default_factory=list)

    @property
    def size_wh(self) -> tuple[int, int] | None:
        return self.used.size_wh if self.used is not None else self.case.size_wh

    @property
    def precision(self) -> str | None:
        """What the file of the net that ran says."""
        return precision_of(read_verified(find_model(self.used.net))) if self.used is not None else None

    @property
    def fps_by_round(self) -> list[float]:
        return [one.measured.fps for one in self.rounds]

    @property
    def fps(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.fps_by_round)

    @property
    def first_frame_s(self) -> float:
        """The median of the rounds: libraries are in memory, the model is loaded from its file each time."""
        return statistics.median(one.measured.first_frame_s for one in self.rounds)

    @property
    def peak_bytes(self) -> int | None:
        return max((one.peak_bytes for one in self.rounds if one.peak_bytes is not None), default=None)

    @property
    def added_bytes(self) -> int | None:
        """Memory over what the process held before the model was loaded, the most of the rounds: unlike `peak_bytes`
        the same whatever was measured before."""
        added = (one.peak_bytes - one.before_bytes for one in self.rounds if one.peak_bytes and one.before_bytes)
        return max(added, default=None)

    @property
    def gpu(self) -> GpuUse | None:
        """Over all rounds."""
        return use_of_all([one.gpu for one in self.rounds if one.gpu is not None])

    def latency(self) -> LatencyHistogram:
        """Of all frames of all rounds."""
        return sum((one.measured.latency for one in self.rounds), LatencyHistogram())

    def stages(self) -> dict[str, LatencyHistogram]:
        """Of all frames of all rounds, in the order of the run."""
        names = self.rounds[0].measured.stages if self.rounds else {}
        return {name: sum((one.measured.stages[name] for one in self.rounds), LatencyHistogram()) for name in names}

    def bound(self) -> Bound:
        """The stage that is busy for the largest share of the time between two frames.

        A stage is never busy for more than all of it: a mean that says so had a few slow frames at the window's edge.
        """
        interval_s = sum(one.measured.seconds for one in self.rounds) / sum(one.measured.frames for one in self.rounds)
        shares = {name: _mean_ms(times) / 1e3 / interval_s for name, times in self.stages().items()}
        shares["estimate"] += shares.pop("resize")  # the same threads do both
        if self.used is not None:
            shares["estimate"] /= self.used.frames_at_once
        what = max(shares, key=lambda name: shares[name])
        if "send" not in shares:
            return Bound(what, min(1.0, shares[what]))
        composing = min(1.0, sum(shares.get(name, 0.0) for name in COMPOSING))
        return Bound(what if composing >= _CAMERA_BOUND_SHARE else "camera", composing)

    def as_dict(self, first: CaseResult | None) -> dict[str, Any]:
        """Plain values; `first` is the case that the others of the same result are compared to."""
        size_wh = self.size_wh
        row: dict[str, Any] = {
            "model": self.case.model,
            "size_wh": None if size_wh is None else list(size_wh),
            "device": self.case.device,
            "threads": self.case.threads,
            "batch": self.case.batch,
            "status": self.status,
            "reason": impersonal(self.reason),
            "net": self.used.net if self.used else None,
            "provider": self.used.provider if self.used else None,
            "device_notices": list(self.used.device_notices) if self.used else [],
            "precision": self.precision,
            "output": impersonal(self.used.output) if self.used else None,
            "decoder": self.used.decoder if self.used else None,
            "rounds": [_round_dict(one) for one in self.rounds],
        }
        if self.rounds:
            bound = self.bound()
            row |= {
                "fps": {"median": self.fps, "min": min(self.fps_by_round), "max": max(self.fps_by_round)},
                "latency_ms": _percentiles_ms(self.latency()),
                "stages_ms": {name: _stage_dict(times) for name, times in self.stages().items()},
                "first_frame_s": self.first_frame_s,
                "bound": {"by": bound.what, "share": bound.share, "overhead": bound.overhead},
                "peak_bytes": self.peak_bytes,
                "added_bytes": self.added_bytes,
                "gpu": None if self.gpu is None else self.gpu.as_dict(),
                "ratio_to_first": None if first is None or first is self else ratio_between(self, first).as_dict(),
            }
        return row


def ratio_between(one: CaseResult, first: CaseResult) -> Ratio:
    """Frame rates of two cases of the same result, round by round."""
    return paired_ratio(one.fps_by_round, first.fps_by_round)


@dataclass(frozen=True, slots=True)
class BenchResult:
    """All of it. `complete`: every planned run was made; `notes` say what makes the figures hard to compare."""

    machine: dict[str, Any]
    conditions: dict[str, Any]
    source: dict[str, Any]
    background: str
    rounds_planned: int
    seconds_per_round: float
    gpu_read_by: str
    cases: tuple[CaseResult, ...]
    complete: bool
    notes: tuple[str, ...]

    @property
    def measured(self) -> list[CaseResult]:
        return [case for case in self.cases if case.rounds]

    def as_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON; nothing that says whose machine it was."""
        first = next(iter(self.measured), None)
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "complete": self.complete,
            "machine": self.machine,
            "conditions": self.conditions,
            "source": self.source,
            "background": self.background,
            "rounds_planned": self.rounds_planned,
            "seconds_per_round": self.seconds_per_round,
            "warm_up": {"frames": WARM_UP_FRAMES, "seconds_at_most": WARM_UP_S},
            "gpu_read_by": self.gpu_read_by,
            "cases": [case.as_dict(first) for case in self.cases],
            "notes": [impersonal(note) for note in self.notes],
        }


def _mean_ms(times: LatencyHistogram) -> float:
    return times.total_seconds / times.count * 1e3 if times.count else 0.0


def _percentiles_ms(times: LatencyHistogram) -> dict[str, float]:
    return {f"p{percent}": round(times.percentile_ms(percent), 3) for percent in _PERCENTILES}


def _stage_dict(times: LatencyHistogram) -> dict[str, float]:
    mean_ms = _mean_ms(times)
    return {**_percentiles_ms(times), "mean": round(mean_ms, 3), "fps": round(1e3 / mean_ms, 2) if mean_ms else 0.0}


def _round_dict(one: Round) -> dict[str, Any]:
    measured = one.measured
    return {
        "fps": measured.fps,
        "frames": measured.frames,
        "seconds": round(measured.seconds, 4),
        "first_frame_s": round(measured.first_frame_s, 4),
        "latency_ms": _percentiles_ms(measured.latency),
        "stages_ms": {name: _stage_dict(times) for name, times in measured.stages.items()},
        "cpu_percent": round(measured.cpu_percent, 1),
        "before_bytes": one.before_bytes,
        "peak_bytes": one.peak_bytes,
        "gpu": None if one.gpu is None else one.gpu.as_dict(),
        "others_share": None if one.others_share is None else round(one.others_share, 3),
    }


def impersonal(text: str) -> str:
    """The text with every path cut down to its last part: libraries' messages tell where things are installed."""
    for folder in (str(Path.home()), sys.prefix, str(Path.cwd())):
        if len(folder) > 1:
            text = text.replace(folder, "~")
    return _FOLDERS.sub("", text)
