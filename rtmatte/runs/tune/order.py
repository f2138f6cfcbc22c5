"""Which candidate to measure next, so that a short time decides: one that surely keeps up, then the best mattes first.

A candidate's figure is known before it is measured, but for what carrying its masks costs; so what can't beat the best
one that keeps up needn't be measured, nor what can't keep up judging by another model.
"""

from __future__ import annotations

from collections.abc import Sequence

from rtmatte.runs.live.mask_policy import TOO_SLOW
from rtmatte.runs.tune.candidates import WORK_MS, Candidate
from rtmatte.runs.tune.decide import Row, Target, choose
from rtmatte.runs.tune.quality import expected_mad, grade

NOT_NEEDED = "not needed, can't be taken"
HOPELESS = "not measured, far too slow judging by another model"
_UNSURE = 3.0
"""How far the times of two models may be from their usual ratio: other processors do other arithmetic well."""
_NEARLY = 0.7
"""What keeps up with this share of the frames is measured once more before it is given up."""


class Order:
    """The rows of a search, seen at one moment. `looked_again`: candidates that have had their second chance."""

    def __init__(self, rows: Sequence[Row], target: Target, looked_again: set[Candidate]) -> None:
        self._rows = rows
        self._target = target
        self._looked_again = looked_again
        self.left = [row for row in rows if row.measured is None and not row.reason]
        best = choose(rows, target)
        self._best = best if best is not None and best.measured and target.met_by(best.measured) else None

    def next(self) -> Row | None:
        """What may yet change the decision; None: it is decided."""
        if self.left and all(row.measured is None for row in self._rows):
            return min(self.left, key=self._work)
        promising = [row for row in self.left if not self.hopeless(row) and self._beats_best(self._promise(row)[:2])]
        if promising:
            return min(promising, key=self._promise)
        return min(filter(self._nearly, self._rows), key=self._promise, default=None)

    def for_the_table(self) -> Row | None:
        """What tells most once it is decided: every model with its own masks before anything else."""
        return min(self.left, key=lambda row: (row.candidate.carried, -row.candidate.threads), default=None)

    def hopeless(self, row: Row) -> bool:
        """Whether its own masks can't keep up, judging by what other models take."""
        allowed_ms = TOO_SLOW * 1e3 / self._target.frame_rate
        return not row.candidate.carried and self.likely_ms(row.candidate.model) / _UNSURE > allowed_ms

    def likely_ms(self, model: str) -> float:
        """What its net takes for a frame: as measured, or judging by the least favourable other one; 0: no idea."""
        known = [(row.candidate.model, row.measured.estimate_ms_p50) for row in self._rows if row.measured]
        own = [ms for name, ms in known if name == model]
        if own:
            return min(own)
        work = WORK_MS.get(model)
        if work is None:
            return 0.0
        return max((ms * work / WORK_MS[name] for name, ms in known if name in WORK_MS), default=0.0)

    def _beats_best(self, quality: tuple[int, bool]) -> bool:
        return self._best is None or quality <= self._best.quality

    def _nearly(self, row: Row) -> bool:
        """Whether it would be taken if it were a little faster: other programs may just have been busy."""
        if row.measured is None or row.candidate in self._looked_again:
            return False
        better = self._best is None or row.quality < self._best.quality
        return (
            better and _NEARLY * self._target.frame_rate <= self._target.holds(row.measured) < self._target.frame_rate
        )

    def _promise(self, row: Row) -> tuple[int, bool, float, int]:
        """As `Row.quality` for what isn't measured yet, at best; then what is likelier to keep up."""
        candidate = row.candidate
        late_ms = min(
            (other.measured.estimate_ms_p50 for other in self._rows if self._same_model(other, row) and other.measured),
            default=0.0,
        )
        mad = expected_mad(candidate.model, carried=candidate.carried, estimate_ms=late_ms)
        return grade(mad), candidate.carried, mad, -candidate.threads

    @staticmethod
    def _same_model(row: Row, other: Row) -> bool:
        return row.candidate.model == other.candidate.model

    @staticmethod
    def _work(row: Row) -> tuple[float, bool, int]:
        return WORK_MS.get(row.candidate.model, 0.0), row.candidate.carried, -row.candidate.threads
