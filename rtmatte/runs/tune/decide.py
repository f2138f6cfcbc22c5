"""From what was measured to what is taken. Nothing here measures, and nothing depends on the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rtmatte.runs.live.mask_policy import TOO_SLOW
from rtmatte.runs.tune.candidates import Candidate
from rtmatte.runs.tune.quality import expected_mad, grade


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a candidate takes on this machine, in milliseconds.

    `estimate_ms_*`: the model, for one frame. `frame_ms`: all that the composing thread does for a shown frame once it
    has it, the model included where masks are own (median). `cpu_ms`: processor time of the whole process for a shown
    frame.
    """

    estimate_ms_p50: float
    estimate_ms_p95: float
    frame_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A candidate and what is known about it. `measured` None: `reason` says why not.

    `input_wh` is the picture that the net sees; None, and "" for `precision` and `provider`: not known.
    """

    candidate: Candidate
    input_wh: tuple[int, int] | None = None
    precision: str = ""
    provider: str = ""
    measured: Measured | None = None
    reason: str = ""

    @property
    def mad(self) -> float:
        """What is to be expected, MAD x1e3; for carried masks that weren't measured, at best."""
        late_ms = self.measured.estimate_ms_p50 if self.measured else 0.0
        return expected_mad(self.candidate.model, carried=self.candidate.carried, estimate_ms=late_ms)

    @property
    def quality(self) -> tuple[int, bool]:
        """Sorts by the matte, best first: as good as the figures can tell, own masks before carried ones."""
        return grade(self.mad), self.candidate.carried


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is wanted: frames a second, and the processor time that there is for them, in cores; None: all there is."""

    frame_rate: float
    cores: float | None = None

    def holds(self, measured: Measured) -> float:
        """How many frames a second a candidate can hold, with the live run's own reserve for what comes between."""
        by_time = TOO_SLOW * 1e3 / measured.frame_ms
        return by_time if self.cores is None else min(by_time, self.cores * 1e3 / measured.cpu_ms)

    def met_by(self, measured: Measured) -> bool:
        """Whether a candidate keeps up."""
        return self.holds(measured) >= self.frame_rate


def choose(rows: Sequence[Row], target: Target) -> Row | None:
    """The best matte among the candidates that keep up; of equally good ones that with the least processor time.

    If none keeps up, the one that comes nearest. None if nothing was measured.
    """
    measured = [(row, row.measured) for row in rows if row.measured is not None]
    if not measured:
        return None
    keeping_up = [(row, took) for row, took in measured if target.met_by(took)]
    if keeping_up:
        return min(keeping_up, key=lambda pair: (pair[0].quality, pair[1].cpu_ms))[0]
    return min(measured, key=lambda pair: (-target.holds(pair[1]), pair[0].quality))[0]
