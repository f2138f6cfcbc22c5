"""Who makes alpha calm over time: the protocol, and when the past no longer counts."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol, runtime_checkable

from rtmatte.frame import F32, Frame

_GAP_SECONDS = 0.5


@runtime_checkable
class Smoother(Protocol):
    """Filters alpha over time, frame by frame, in order, from one thread."""

    def apply(self, frame: Frame, alpha: F32, *, cut: bool = False) -> F32:
        """The smoothed alpha of the frame: (h, w) float32, owned by the filter until the next call, or `alpha` itself.

        `alpha` is (h, w) float32 in [0, 1] at any resolution and is only read, as is the frame. With `cut` the frame
        begins another shot.
        """
        ...

    def reset(self) -> None:
        """Forgets the past."""
        ...


class Clock:
    """Seconds since the frame before. The past doesn't count after a gap, and when time goes backwards."""

    def __init__(self, gap_seconds: float = _GAP_SECONDS) -> None:
        self._gap = gap_seconds
        self._last = 0.0

    def elapsed(self, pts_seconds: Fraction) -> float | None:
        """Seconds from the last call's frame to this one; None if the past doesn't count."""
        seconds = float(pts_seconds)
        elapsed = seconds - self._last
        self._last = seconds
        return elapsed if 0 <= elapsed <= self._gap else None
