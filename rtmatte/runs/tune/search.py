"""Measures candidates in a bounded time, until nothing better can come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rtmatte.errors import ModelOutputError, WeightsError
from rtmatte.runs.tune.candidates import Candidate
from rtmatte.runs.tune.decide import Row, Target
from rtmatte.runs.tune.order import HOPELESS, NOT_NEEDED, Order
from rtmatte.runs.tune.probe import Loaded, Prober

NO_TIME = "not measured, no time left"
_RUNS_AT_LEAST = 4
"""With less time left, nothing more is begun."""
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
        """What to measure now; None at the end, with reasons for all that wasn't."""
        order = Order(self.rows, self._target, self._looked_again)
        row = order.next()
        if row is None and self._limits.everything:
            row = order.for_the_table()
        if row is None:
            self._leave(order, NOT_NEEDED)
            return None
        candidate = row.candidate
        loading = self._held is None or self._held[0] != (candidate.model, candidate.threads)
        needed = self._longest_load * loading + _RUNS_AT_LEAST * order.likely_ms(candidate.model) / 1e3
        if self._limits.clock() + needed >= self._limits.deadline or self._limits.should_stop():
            self._leave(order, NO_TIME)
            return None
        return row

    def _leave(self, order: Order, reason: str) -> None:
        for row in order.left:
            self._rows[row.candidate] = replace(row, reason=HOPELESS if order.hopeless(row) else reason)

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
