"""How much a frame weighs in an average over time, and when the past no longer counts."""

from __future__ import annotations

import math
from fractions import Fraction

from rtmatte.errors import SettingsError

GAP_SECONDS = 0.5


class Memory:
    """The clock of a filter over time: a past of τ seconds, forgotten at cuts, gaps and when time goes backwards.

    Raises: `SettingsError` for a negative time constant.
    """

    def __init__(self, time_constant_seconds: float, gap_seconds: float = GAP_SECONDS) -> None:
        if not time_constant_seconds >= 0:
            raise SettingsError(f"Expected a time constant of 0 s or more, got {time_constant_seconds!r}.")
        self.time_constant_seconds = time_constant_seconds
        self._gap = gap_seconds
        self._last_seconds = 0.0

    def weight(self, pts_seconds: Fraction | float, *, cut: bool) -> float | None:
        """1 − exp(−Δt/τ), Δt being the time since the call before; None where the frame begins a new past."""
        seconds = float(pts_seconds)
        elapsed, self._last_seconds = seconds - self._last_seconds, seconds
        if cut or self.time_constant_seconds == 0 or not 0 <= elapsed <= self._gap:
            return None
        return -math.expm1(-elapsed / self.time_constant_seconds)

    def forget(self) -> None:
        """The next frame begins a new past."""
        self._last_seconds = math.inf  # all time lies before
