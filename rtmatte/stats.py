"""How long things took, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

_BUCKETS_PER_DECADE = 200
"""Relative width of a bucket: 10^(1/200), 1.2 %."""


class LatencyHistogram:
    """Durations in logarithmic buckets: any number of them in a few hundred counters, percentiles within 1.2 %.

    Written by one thread; reading while it is written gives a slightly stale answer, never a wrong one.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self.count = 0
        self.total_seconds = 0.0

    def add(self, seconds: float) -> None:
        """Counts one duration."""
        self._counts[math.floor(math.log10(max(seconds, 1e-9)) * _BUCKETS_PER_DECADE)] += 1
        self.count += 1
        self.total_seconds += seconds

    def __add__(self, other: LatencyHistogram) -> LatencyHistogram:
        """A new histogram of the durations of both."""
        both = LatencyHistogram()
        both._counts = self._counts + other._counts
        both.count = self.count + other.count
        both.total_seconds = self.total_seconds + other.total_seconds
        return both

    def percentile_ms(self, percent: float) -> float:
        """The duration in milliseconds that `percent` % of all durations don't exceed; 0 if there are none."""
        rank = max(1, math.ceil(self.count * percent / 100))
        for bucket, count in sorted(self._counts.items()):
            rank -= count
            if rank <= 0:
                return 10 ** ((bucket + 0.5) / _BUCKETS_PER_DECADE) * 1e3
        return 0.0


@dataclass(frozen=True, slots=True)
class StageTime:
    """What one stage cost: the time it worked, without the time that it waited for its neighbours."""

    stage: str
    p50_ms: float
    p95_ms: float
    total_seconds: float


def stage_time(stage: str, histogram: LatencyHistogram) -> StageTime:
    """The summary of one stage."""
    return StageTime(stage, histogram.percentile_ms(50), histogram.percentile_ms(95), histogram.total_seconds)


class RecentLatency:
    """Percentiles of the last `window_seconds` to twice that: two histograms that take turns.

    Written by one thread. A percentile over a whole run of hours would hide what happens now.
    """

    def __init__(self, window_seconds: float = 5.0) -> None:
        self._window = window_seconds
        self._current, self._before = LatencyHistogram(), LatencyHistogram()
        self._begun: float | None = None

    def add(self, seconds: float, now: float) -> None:
        """Counts one duration that was measured at `now`, in seconds of any steady clock."""
        if self._begun is None or now - self._begun >= self._window:
            self._before, self._current, self._begun = self._current, LatencyHistogram(), now
        self._current.add(seconds)

    def percentile_ms(self, percent: float) -> float:
        """As `LatencyHistogram.percentile_ms`, over the window."""
        return (self._before + self._current).percentile_ms(percent)

    @property
    def count(self) -> int:
        return self._before.count + self._current.count
