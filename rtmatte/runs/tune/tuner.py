"""Which model, with how many threads, and whose masks: asked of what was measured before, or measured now.

question ──► kept? ──yes──► rows ──► decision
               └──no──► compile, load and measure for five seconds at most ──► rows, kept ──► decision
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rtmatte.errors import RtmatteError
from rtmatte.machine import usable_cores
from rtmatte.matting.session import check_runtime, default_threads
from rtmatte.runs.bench.gpu.find import find_gpu
from rtmatte.runs.bench.machine import describe_machine
from rtmatte.runs.live.cpu_cap import CpuCap
from rtmatte.runs.others_watch import OthersWatch
from rtmatte.runs.tune.candidates import AUTO, FALLBACK, Candidate, candidates
from rtmatte.runs.tune.decide import Row, Target, choose
from rtmatte.runs.tune.kept import Question, keep, kept_folder, read_kept
from rtmatte.runs.tune.probe import Probe, Prober, names_behind, net_of
from rtmatte.runs.tune.search import Limits, Search
from rtmatte.runs.tune.stand_in import compile_stages
from rtmatte.runs.tune.words import summary
from rtmatte.settings import LiveSettings, MovingSettings

BUDGET_S = 5.0
ONLY_ONE = "nothing else to choose from"
_OTHERS_SHARE = 0.25
"""Of the processor, for other programs while something is measured: more, and it isn't kept."""
_HARDWARE = ("processor", "cores", "gpus", "rtmatte", "onnxruntime", "onnxruntime-gpu", "opencv", "numba")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """A decision and the table that it was made from.

    `chosen` None: nothing could be measured in the time there was. `taken` is its candidate, or then the usual one.
    `kept`: from an earlier run; else `seconds` is what measuring took. `notices` are sentences for the user.
    """

    target: Target
    size_wh: tuple[int, int]
    rows: tuple[Row, ...]
    chosen: Row | None
    taken: Candidate
    kept: bool
    seconds: float
    machine: dict[str, Any]
    notices: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The decision and its reason in a sentence."""
        return summary(self.taken, self.chosen, self.target)

    def as_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON."""
        rows = [{**asdict(row), "mad": row.mad, "chosen": row == self.chosen} for row in self.rows]
        return {**asdict(self), "rows": rows, "chosen": self.summary}


def tune(
    settings: LiveSettings,
    size_wh: tuple[int, int],
    *,
    again: bool = False,
    everything: bool = False,
    folder: Path | None = None,
    prober: Callable[[], Prober] | None = None,
    clock: Callable[[], float] = time.monotonic,
    should_stop: Callable[[], bool] = lambda: False,
    before_measuring: Callable[[], None] = lambda: None,
) -> Tuning:
    """Decides for frames of `size_wh`; takes `BUDGET_S` at most, but for compiling kernels that every run needs, and
    for a model that is being loaded or is running when the time is up.

    `again` measures although there are kept measurements; `everything` doesn't end with the decision. `folder` is where
    measurements are kept, by default in the user's cache; `prober` makes what measures.

    Raises: what `load_matter` raises, if no candidate can be loaded; `UnknownModelError`.
    """
    most = CpuCap(settings.max_cpu_percent).threads(settings.threads) or default_threads()
    options = candidates(settings, size_wh, most)
    target = _target(settings)
    question = Question(_about(settings, size_wh, options), _machine(settings))
    folder = folder or kept_folder()
    rows, notice = (None, "") if again else read_kept(question, options, folder)
    notices = [notice]
    seconds, kept = 0.0, rows is not None
    if rows is None and len(options) == 1 and not everything:
        rows = [Row(candidate=options[0], reason=ONLY_ONE)]
    if rows is None:
        before_measuring()
        if prober is None:
            compile_stages(settings)
        others = OthersWatch()
        begun = clock()
        limits = Limits(begun + BUDGET_S, everything, clock, should_stop)
        probe = prober() if prober is not None else Probe(settings, size_wh, should_stop)
        rows = Search(options, probe, target, limits).run()
        seconds = clock() - begun
        if not should_stop() and any(row.measured for row in rows):
            notices.append(_others_complaint(others) or keep(question, rows, folder))
    chosen = choose(rows, target)
    return Tuning(
        target=target,
        size_wh=size_wh,
        rows=tuple(rows),
        chosen=chosen,
        taken=chosen.candidate if chosen is not None else _usual(settings, most),
        kept=kept,
        seconds=seconds,
        machine=dict(question.machine),
        notices=tuple(filter(None, notices)),
    )


def _others_complaint(others: OthersWatch) -> str:
    """A notice if they used so much that what was measured meanwhile isn't worth keeping, else ""."""
    share = others.share()
    if share is None or share < _OTHERS_SHARE:
        return ""
    return (
        f"Other programs used {share:.0%} of the processor meanwhile: this isn't kept, and measured again "
        "at the next start."
    )


def _usual(settings: LiveSettings, threads: int) -> Candidate:
    model = FALLBACK if settings.model == AUTO else settings.model
    return Candidate(model=model, threads=threads, carried=settings.when_slow == "propagate")


def _target(settings: LiveSettings) -> Target:
    percent = settings.max_cpu_percent
    return Target(
        frame_rate=settings.frame_rate_requested,
        cores=None if percent is None else percent / 100 * usable_cores(),
    )


def _about(settings: LiveSettings, size_wh: tuple[int, int], options: list[Candidate]) -> dict[str, Any]:
    """All that the measurements depend on, other than the machine."""
    return {
        "size_wh": list(size_wh),
        "frame_rate": settings.frame_rate_requested,
        "mirror": settings.mirror,
        "settings": {field.name: str(getattr(settings, field.name)) for field in fields(MovingSettings)},
        "candidates": [asdict(candidate) for candidate in options],
        "weights": _weights(settings, options),
    }


def _weights(settings: LiveSettings, options: list[Candidate]) -> str:
    """One hash of all models' files; what can't be read is told when it is loaded."""
    digest = hashlib.sha256()
    for model in dict.fromkeys(candidate.model for candidate in options):
        for name in names_behind(settings, model):
            with contextlib.suppress(RtmatteError, OSError):
                digest.update(net_of(settings, name)[1])
    return digest.hexdigest()[:16]


def _machine(settings: LiveSettings) -> dict[str, Any]:
    """Hardware and versions. Raises: as `check_runtime`."""
    has_cuda = settings.device != "cpu" and any(name.startswith("CUDA") for name in check_runtime().providers)
    described = describe_machine(find_gpu().names if has_cuda else ())
    return {name: described[name] for name in _HARDWARE if name in described}
