"""What a GPU did while something ran."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from threading import Event, Thread
from typing import Any, Self

from rtmatte.runs.bench.gpu.state import Gpu, GpuState


@dataclass(frozen=True, slots=True)
class GpuUse:
    """Over a run or several; None: not told. Bytes before the model was loaded and at most since: of all programs, and
    of this process (before: 0 where it wasn't on the GPU yet).

    `power_w` is the mean, `temperature_c` the highest, `clock_mhz` the median; `slowed_by` all reasons that were seen.
    """

    before_bytes: int | None
    peak_bytes: int | None
    own_before_bytes: int | None
    own_peak_bytes: int | None
    power_w: float | None
    temperature_c: float | None
    clock_mhz: float | None
    slowed_by: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "slowed_by": list(self.slowed_by)}


def use_of_all(uses: Sequence[GpuUse]) -> GpuUse | None:
    """Of several runs together; None: there is none."""
    if not uses:
        return None
    return GpuUse(
        before_bytes=min(_told(one.before_bytes for one in uses), default=None),
        peak_bytes=max(_told(one.peak_bytes for one in uses), default=None),
        own_before_bytes=min(_told(one.own_before_bytes for one in uses), default=None),
        own_peak_bytes=max(_told(one.own_peak_bytes for one in uses), default=None),
        power_w=_mean(one.power_w for one in uses),
        temperature_c=max(_told(one.temperature_c for one in uses), default=None),
        clock_mhz=_median(one.clock_mhz for one in uses),
        slowed_by=tuple(sorted({reason for one in uses for reason in one.slowed_by})),
    )


class GpuWatch:
    """Asks while it is entered, in a thread `rtmatte-bench-gpu`; what happens between two answers isn't seen."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._ended = Event()
        self._before = gpu.read()
        self._states: list[GpuState] = []
        self._thread = Thread(target=self._ask, name="rtmatte-bench-gpu", daemon=True)

    def use(self) -> GpuUse | None:
        """So far; None: there is no GPU that tells anything."""
        if not self._gpu.names:
            return None
        before, states = self._before, [*self._states]
        own_peak = max(_told(one.own_bytes for one in [before, *states]), default=None)
        return GpuUse(
            before_bytes=before.used_bytes,
            peak_bytes=max(_told(one.used_bytes for one in [before, *states]), default=None),
            own_before_bytes=None if own_peak is None else before.own_bytes or 0,
            own_peak_bytes=own_peak,
            power_w=_mean(one.power_w for one in states),
            temperature_c=max(_told(one.temperature_c for one in states), default=None),
            clock_mhz=_median(one.clock_mhz for one in states),
            slowed_by=tuple(sorted({reason for one in states for reason in one.slowed_by})),
        )

    def _ask(self) -> None:
        while not self._ended.wait(self._gpu.interval_s):
            self._states.append(self._gpu.read())

    def __enter__(self) -> Self:
        if self._gpu.names:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()


def _told(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _mean(values: Iterable[float | None]) -> float | None:
    told = _told(values)
    return round(statistics.fmean(told), 1) if told else None


def _median(values: Iterable[float | None]) -> float | None:
    told = _told(values)
    return round(statistics.median(told)) if told else None
