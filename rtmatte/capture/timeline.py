"""Time stamps that a sink can rely on: one for every frame, each later than the one before."""

from __future__ import annotations

from fractions import Fraction


class Timeline:
    """Passes a decoder's time stamps on and mends only those that cannot be: missing ones and ones that don't increase.

    `frame_rate` fills in where there is no time stamp; all values in units of `time_base`.
    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction) -> None:
        self.filled = 0
        self.moved = 0
        self._step = 1 / (frame_rate * time_base)
        self._frame_rate = frame_rate
        self._last: int | None = None
        self._anchor = Fraction(0)
        """Where the next frame without a time stamp belongs."""

    def stamp(self, pts: int | None) -> int:
        """The time stamp of the next frame in presentation order."""
        if pts is None:
            self.filled += 1
            exact = self._anchor
            value = round(exact)
        else:
            exact = Fraction(pts)
            value = pts
        if self._last is not None and value <= self._last:
            self.moved += 1
            value = self._last + 1
            exact = Fraction(value)
        self._last = value
        self._anchor = exact + self._step
        return value

    def notices(self) -> list[str]:
        found: list[str] = []
        if self.filled:
            rate = float(self._frame_rate)
            found.append(f"{self.filled} frames came without a time stamp and were put {rate:g} a second.")
        if self.moved:
            found.append(f"{self.moved} time stamps did not increase and were moved one tick behind the one before.")
        return found
