"""Measures candidates in a bounded time, the best mattes first, until nothing better can come.

A candidate's figure is known before it is measured, but for what carrying its masks costs; so what can't beat the best
one that keeps up needn't be measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rtmatte.errors import ModelOutputError, WeightsError
from rtmatte.runs.tune.candidates import Candidate
from rtmatte.runs.tune.decide import Row, Target, choose
from rtmatte.runs.tune.probe import Loaded, Prober
from rtmatte.runs.tune.quality import expected_mad, grade

NOT_NEEDED = "not needed: can't be better than what keeps up"
NO_TIME = "not measured: no time left"
_NEARLY = 0.7
"""What keeps up with this share of the frames is measured once more before it is given up."""
_RUNS_AT_LEAST = 4
"""Of the slowest net so far: with less time left, nothing more is begun."""
_ON_CPU = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a search ends: at `deadline` of `clock`, when `should_stop` says so, or when it is decided.

    With `everything` it goes on after the decision, for the table's sake.
    """

    deadline: float
    everything: bool = False
    clock: Callable[[], float] = time.monotonic
    should_stop: Callable[[], bool] = lambda: False


class Search:
    """`rows` has every candidate, in the order given, with what was found out."""

    def __init__(self, candidates: Sequence[Candidate], prober: Prober, target: Target, limits: Limits) -> None:
        self._rows = {candidate: Row(candidate=candidate) for candidate in candidates}
        self._prober = prober
        self._target = target
        self._limits = limits
        self._several = len({candidate.model for candidate in candidates}) > 1
        self._held: tuple[tuple[str, int], Loaded] | None = None
        self._longest_load = 0.0
        self._failed: set[str] = set()
        self._looked_again: set[Candidate] = set()

    @property
    def rows(self) -> list[Row]:
        return list(self._rows.values())

    def run(self) -> list[Row]:
        """Measures; returns `rows`.

        A model that can't be loaded or fails is passed over, if there are others.

        Raises: what `Prober.load` raises for a runtime or device that isn't there; the model's own error if there is no
        other model, or if all of them fail.
        """
        failure: Exception | None = None
        while (row := self._next()) is not None:
            candidate = row.candidate
            try:
                self._rows[candidate] = self._measured(row)
            except (WeightsError, ModelOutputError, MemoryError) as error:
                if not self._several:
                    raise
                failure = error
                self._failed.add(candidate.model)
                self._give_up(candidate.model, f"fails: {error}")
        if failure is not None and self._failed == {candidate.model for candidate in self._rows}:
            raise failure
        return self.rows

    def _next(self) -> Row | None:
        """The candidate that promises most of those that are left; None at the end, with reasons for them all."""
        best = choose(self.rows, self._target)
        keeps_up = best is not None and best.measured is not None and self._target.met_by(best.measured)
        left = [row for row in self.rows if row.measured is None and not row.reason]
        row = min(left, key=self._promise, default=None)
        decided = keeps_up and best is not None and (row is None or best.quality < self._promise(row)[:2])
        if decided or row is None:
            again = [other for other in self.rows if self._deserves_another_look(other, best if keeps_up else None)]
            if again:
                row = min(again, key=self._promise)
            elif row is None or not self._limits.everything:
                self._leave(left, NOT_NEEDED)
                return None
            else:
                row = min(left, key=_tells_most)
        loading = self._held is None or self._held[0] != (row.candidate.model, row.candidate.threads)
        needed = self._longest_load * loading + _RUNS_AT_LEAST * self._longest_ms() / 1e3
        if self._limits.clock() + needed >= self._limits.deadline or self._limits.should_stop():
            self._leave(left, NO_TIME)
            return None
        return row

    def _deserves_another_look(self, row: Row, best: Row | None) -> bool:
        """Whether it would be taken if it were a little faster: other programs may just have been busy."""
        if row.measured is None or row.candidate in self._looked_again or (best and row.quality >= best.quality):
            return False
        return _NEARLY * self._target.frame_rate <= self._target.holds(row.measured) < self._target.frame_rate

    def _promise(self, row: Row) -> tuple[int, bool, float, int]:
        """As `Row.quality` for what isn't measured yet, at best; then what is likelier to keep up."""
        candidate = row.candidate
        mad = expected_mad(candidate.model, carried=candidate.carried, estimate_ms=self._shortest_ms(candidate.model))
        return grade(mad), candidate.carried, mad, -candidate.threads

    def _shortest_ms(self, model: str) -> float:
        found = [row.measured.estimate_ms_p50 for row in self.rows if row.measured and row.candidate.model == model]
        return min(found, default=0.0)

    def _longest_ms(self) -> float:
        return max((row.measured.estimate_ms_p50 for row in self.rows if row.measured), default=0.0)

    def _leave(self, left: Sequence[Row], reason: str) -> None:
        for row in left:
            self._rows[row.candidate] = replace(row, reason=reason)

    def _measured(self, row: Row) -> Row:
        candidate = row.candidate
        loaded = self._load(candidate.model, candidate.threads)
        row = replace(
            row, input_wh=loaded.input_wh, precision=loaded.precision, provider=loaded.matter.provider.split(",")[0]
        )
        if row.provider != _ON_CPU:
            self._give_up_other_threads(candidate, f"as with {candidate.threads} threads: on {row.provider}")
        before = row.measured
        found = self._prober.measure(loaded, carried=candidate.carried, deadline=self._limits.deadline)
        if before is not None:
            self._looked_again.add(candidate)
            found = before if found is None or found.frame_ms > before.frame_ms else found
        return replace(row, measured=found, reason="" if found else NO_TIME)

    def _load(self, model: str, threads: int) -> Loaded:
        if self._held is None or self._held[0] != (model, threads):
            self._held = None  # frees the one before
            begun = self._limits.clock()
            self._held = (model, threads), self._prober.load(model, threads)
            self._longest_load = max(self._longest_load, self._limits.clock() - begun)
        return self._held[1]

    def _give_up(self, model: str, reason: str) -> None:
        self._held = None
        for row in self.rows:
            if row.candidate.model == model and row.measured is None:
                self._rows[row.candidate] = replace(row, reason=reason)

    def _give_up_other_threads(self, measured: Candidate, reason: str) -> None:
        for row in self.rows:
            other = row.candidate
            if other.model == measured.model and other.threads != measured.threads and row.measured is None:
                self._rows[other] = replace(row, reason=reason)


def _tells_most(row: Row) -> tuple[bool, int]:
    """For the table, once it is decided: every model with its own masks before anything else."""
    return row.candidate.carried, -row.candidate.threads
