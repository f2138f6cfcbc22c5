"""Own masks or carried ones: as the user says, or as the measurements say."""

from __future__ import annotations

from typing import Protocol

from rtmatte.settings import WhenSlow
from rtmatte.stats import RecentLatency

TOO_SLOW, _FAST_ENOUGH = 0.9, 0.45
"""Shares of the camera's interval: of a whole frame's work with own masks, and of the model's alone while carried."""
_LEAST_FRAMES = 5
_LEAST_SECONDS = 10.0
"""Between two changes back to own masks, so that a machine at the edge doesn't swing."""


class HasTimes(Protocol):
    """What takes time for a frame."""

    times: RecentLatency


class MaskPolicy:
    """Begins with own masks unless told otherwise; `carries` is the present choice. Owned by one thread."""

    def __init__(self, when_slow: WhenSlow, frame_rate: float) -> None:
        self.carries = when_slow == "propagate"
        self._auto = when_slow == "auto"
        self._interval_ms = 1e3 / frame_rate
        self._changed_at = float("-inf")

    def begin(self, *, carries: bool) -> None:
        """With which masks to begin, if the user left it open; from then on what is measured decides."""
        if self._auto:
            self.carries = carries

    def reconsider(self, busy: RecentLatency, masks: HasTimes | None, now: float) -> bool:
        """Whether the choice has just changed, at `now` on a steady clock.

        `busy` is what a frame takes altogether, `masks.times` what the model takes.
        """
        if not self._auto or masks is None:
            return False
        if not self.carries:
            slow = busy.count >= _LEAST_FRAMES and busy.percentile_ms(50) > TOO_SLOW * self._interval_ms
            change = slow
        else:
            fast = (
                masks.times.count >= _LEAST_FRAMES and masks.times.percentile_ms(50) < _FAST_ENOUGH * self._interval_ms
            )
            change = fast and now - self._changed_at >= _LEAST_SECONDS
        if change:
            self.carries = not self.carries
            self._changed_at = now
        return change
