"""Machines that exist on paper: what each model takes there, told to the tuner without running anything."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtmatte.runs.tune.candidates import WORK_MS
from rtmatte.runs.tune.decide import Measured
from rtmatte.runs.tune.probe import Loaded

BEST_AT_30 = "people"
"""What the usual `machine()` takes for thirty frames a second."""
_RUNS = 8


@dataclass
class FakeMatter:
    name: str
    provider: str


@dataclass
class FakeMachine:
    """A `Prober` with a clock of its own, in seconds: loading and running move it on.

    `net_ms` is what each model takes with all threads; half of them take `half` times as long. `broken` models raise
    when they are loaded. `loads` and `measured` list what was asked for.
    """

    net_ms: dict[str, float]
    rest_ms: float = 6.0
    carry_ms: float = 9.0
    load_s: float = 0.2
    half: float = 1.8
    threads: int = 2
    provider: str = "CPUExecutionProvider, 2 threads"
    broken: dict[str, Exception] = field(default_factory=dict)
    now: float = 100.0
    longest_step_s: float = 0.0
    loads: list[tuple[str, int]] = field(default_factory=list)
    measured: list[tuple[str, int, bool]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def load(self, model: str, threads: int) -> Loaded:
        self.loads.append((model, threads))
        self._pass(self.load_s)
        if model in self.broken:
            raise self.broken[model]
        return Loaded(FakeMatter(model, self.provider), (256, 192), "int8")  # type: ignore[arg-type]

    def measure(self, loaded: Loaded, *, carried: bool, deadline: float) -> Measured | None:
        model, threads = loaded.matter.name, self.loads[-1][1]
        self.measured.append((model, threads, carried))
        took = self.takes(model, threads, carried=carried)
        run_s = (took.estimate_ms_p50 if carried else took.frame_ms) / 1e3
        runs = 0
        while runs < _RUNS and self.now + run_s * (runs > 0) <= deadline:
            self._pass(run_s)
            runs += 1
        return took if runs > 1 else None

    def takes(self, model: str, threads: int, *, carried: bool) -> Measured:
        net = self.net_ms[model] * (1.0 if threads == self.threads else self.half) * (1.2 if carried else 1.0)
        frame = self.carry_ms if carried else net + self.rest_ms
        return Measured(estimate_ms_p50=net, estimate_ms_p95=1.1 * net, frame_ms=frame, cpu_ms=net * threads + frame)

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.longest_step_s = max(self.longest_step_s, seconds)


def machine(times: float = 1.0, **options: object) -> FakeMachine:
    """The two-core processor with VNNI that the figures were measured on, so many times as slow altogether."""
    net_ms = {model: 0.7 * ms * times for model, ms in WORK_MS.items()}
    rest = {"rest_ms": 6 * times, "carry_ms": 9 * times, "load_s": 0.2 * times}
    return FakeMachine(net_ms, **(rest | options))  # type: ignore[arg-type]
