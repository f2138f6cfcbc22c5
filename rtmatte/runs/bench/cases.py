"""What is measured: the matrix of models, sizes, devices, threads and batches, and the time that it may take."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product

from rtmatte.errors import SettingsError
from rtmatte.settings import BenchSettings

GENERATED_SIZE_WH = (1280, 720)
_AROUND_A_RUN_S = 3.0
"""Loading the model and warming up, at most; a GPU that needs longer takes it from later rounds."""
_PREPARATION_S, _PREPARATION_S_PER_MEGAPIXEL = 2.0, 6.0
_SHORTEST_S = 0.5
_ON_CORES = ("auto", "cpu", "openvino")
_REHEARSED_PIXELS = 640 * 360


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the matrix; `size_wh` None: as the camera grants, `threads` None: the model's default, `batch` None:
    what suits the device."""

    model: str
    size_wh: tuple[int, int] | None
    device: str
    threads: int | None
    batch: int | None = None

    @property
    def label(self) -> str:
        """For people and progress, such as `u2netp 1280x720 cpu, 2 threads, batch 4`."""
        size = "as granted" if self.size_wh is None else f"{self.size_wh[0]}x{self.size_wh[1]}"
        threads = "" if self.threads is None else f", {self.threads} thread{'s' * (self.threads > 1)}"
        batch = "" if self.batch is None else f", batch {self.batch}"
        return f"{self.model} {size} {self.device}{threads}{batch}"


def pixels_of(case: Case) -> int:
    """How large its pictures are; 0 if that is the camera's affair."""
    return 0 if case.size_wh is None else case.size_wh[0] * case.size_wh[1]


def rehearsal_of(case: Case) -> Case:
    """The same model on the same device, with pictures of 640x360 at most and the same shape: a net sees those in the
    same size."""
    width, height = case.size_wh or GENERATED_SIZE_WH
    scale = math.sqrt(_REHEARSED_PIXELS / (width * height))
    if scale < 1:
        width, height = (max(16, round(side * scale / 2) * 2) for side in (width, height))
    return replace(case, size_wh=(width, height), threads=None)


def build_cases(settings: BenchSettings, own_size_wh: tuple[int, int] | None) -> list[Case]:
    """Every combination once, in the order in which a round goes through them; on a GPU threads make no difference.

    `own_size_wh` is the source's, for when no sizes were asked for.
    """
    combinations = product(
        settings.models,
        settings.sizes_wh or (own_size_wh,),
        settings.devices,
        settings.threads or (None,),
        settings.batches or (None,),
    )
    cases = (
        Case(model, size_wh, device, threads if device in _ON_CORES else None, batch)
        for model, size_wh, device, threads, batch in combinations
    )
    return list(dict.fromkeys(cases))


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each run is measured, how many there are, and when everything ends at the latest.

    `shortened`: the runs are shorter than was asked for, to fit the budget. `fitting`: so many of them fit into it for
    certain.
    """

    runs: int
    seconds_per_run: float
    budget_s: float
    shortened: bool
    fitting: int


def make_plan(settings: BenchSettings, cases: list[Case], clips_wh: list[tuple[int, int]]) -> Plan:
    """The plan for those cases, with clips of `clips_wh` to be made before.

    Without a budget, what it needs at most. With one that is too small for that, shorter runs; where even half a second
    a run is too much, the last rounds will be missing.

    Raises: `SettingsError` for a budget that not even one run fits into.
    """
    runs = len(cases) * settings.rounds
    clips_s = [_PREPARATION_S + width * height / 1e6 * _PREPARATION_S_PER_MEGAPIXEL for width, height in clips_wh]
    preparation = sum(clips_s)
    asked = settings.seconds_per_case
    needed = preparation + runs * (asked + _AROUND_A_RUN_S)
    if settings.budget_s is None or settings.budget_s >= needed:
        return Plan(runs, asked, settings.budget_s or needed, shortened=False, fitting=runs)
    shortest = min(asked, _SHORTEST_S)
    least = min(clips_s, default=0.0) + _AROUND_A_RUN_S + shortest
    if settings.budget_s < least:
        raise SettingsError(
            f"--budget: expected {math.ceil(least)} s at least, to load and measure one model once, got "
            f"{settings.budget_s:g}."
        )
    left = settings.budget_s - preparation
    seconds = min(asked, max(shortest, left / runs - _AROUND_A_RUN_S))
    fitting = min(runs, max(1, math.floor(left / (seconds + _AROUND_A_RUN_S) + 1e-9)))
    return Plan(runs, seconds, settings.budget_s, shortened=seconds < asked, fitting=fitting)
