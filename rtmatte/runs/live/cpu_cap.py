"""No more processor time than the user allows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rtmatte.machine import usable_cores

_LONGEST_PAUSE_S = 0.25
"""Longer would make masks old and bring the card; what is owed beyond is slept off before the next frames."""
_MOST_OWED_S = 2.0
_MOST_SAVED_S = 0.1
"""Time below the cap that may be made up for later; more would allow bursts after a rest."""


class CpuCap:
    """Pauses the thread that calls it until the whole process is back under its share of all cores.

    `percent` of all cores together; None: no cap. The thread that sets the pace calls `pause`
    before each frame.
    """

    def __init__(
        self,
        percent: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._cores = None if percent is None else percent / 100 * usable_cores()
        self._clock, self._used, self._sleep = clock, used, sleep
        self._at, self._used_then, self._debt = clock(), used(), 0.0

    def threads(self, wanted: int | None) -> int | None:
        """How many threads the model may have: as wanted, but no more than whole cores fit under the cap."""
        if self._cores is None:
            return wanted
        most = max(1, math.floor(self._cores))
        return most if wanted is None else min(wanted, most)

    def pause(self) -> None:
        """Sleeps for as long as what was used so far is more than the cap allows for."""
        if self._cores is None:
            return
        now, used = self._clock(), self._used()
        self._debt += (used - self._used_then) / self._cores - (now - self._at)
        self._debt = min(max(self._debt, -_MOST_SAVED_S), _MOST_OWED_S)
        self._at, self._used_then = now, used
        if self._debt > 0:
            self._sleep(min(self._debt, _LONGEST_PAUSE_S))
