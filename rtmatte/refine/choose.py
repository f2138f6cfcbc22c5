"""Refiners by name, for settings and benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from rtmatte.errors import SettingsError
from rtmatte.refine.closed_form import ClosedForm
from rtmatte.refine.guided import GuidedFilter
from rtmatte.refine.knn import KnnMatting
from rtmatte.refine.refiner import Refiner
from rtmatte.refine.upscale import Upscale

REFINERS: Mapping[str, Callable[[], Refiner]] = MappingProxyType(
    {"upscale": Upscale, "guided": GuidedFilter, "closed-form": ClosedForm, "knn": KnnMatting}
)


def make_refiner(name: str) -> Refiner:
    """A new refiner of that name with its usual options.

    Raises: `SettingsError`: no such refiner; states the names that there are. `RuntimeNotInstalledError`: it needs a
    package that isn't installed.
    """
    if name not in REFINERS:
        raise SettingsError(f"Expected a refiner of {', '.join(REFINERS)}, got {name!r}.")
    return REFINERS[name]()
