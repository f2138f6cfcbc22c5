"""Filters over time by name, for settings and benchmarks."""

from __future__ import annotations

from rtmatte.errors import SettingsError
from rtmatte.temporal.adaptive import AdaptiveFilter
from rtmatte.temporal.exponential import ExponentialFilter
from rtmatte.temporal.smoother import Smoother

SMOOTHERS = ("adaptive", "exponential")
_LETS_GO_AT = 0.5
"""From this difference between alpha and its average on, the exponential filter takes it for motion."""


def make_smoother(name: str, time_constant_seconds: float) -> Smoother:
    """A new filter of that name.

    Raises: `SettingsError`: no such filter; states the names that there are; or as the filter itself.
    """
    if name == "adaptive":
        return AdaptiveFilter(time_constant_seconds)
    if name == "exponential":
        return ExponentialFilter(time_constant_seconds, lets_go_at=_LETS_GO_AT)
    raise SettingsError(f"Expected a filter over time of {', '.join(SMOOTHERS)}, got {name!r}.")
