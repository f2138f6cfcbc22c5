"""Stages on threads, joined by bounded hand-offs, watched by the thread that called.

    source ──channel──► stage ──channel──► stage ──channel──► last stage
    thread              thread             threads            thread          caller: progress, stalls, Ctrl-C, errors

One item in, one item out, in order; a stage may work on several together. Whatever ends the run early (an error in a
stage, a stall, an exception in the caller such as KeyboardInterrupt) cancels every channel, waits for the threads, and
reaches the caller as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from threading import Condition, Event, Lock, Thread
from typing import Any

from rtmatte.channel import Cancelled, Channel
from rtmatte.errors import StageStalledError
from rtmatte.stats import LatencyHistogram

_CHANNEL_CAPACITY = 2
"""Enough that a stage never waits for its neighbour's jitter, little enough that only a few frames are in flight.

Around a stage that works on several together it is at least so many: they gather while it works, and it can go on while
they are taken away."""
_WATCH_INTERVAL_S = 0.1
_JOIN_TIMEOUT_S = 10.0
"""How long a stage may take to notice a cancellation; one call of a stage takes milliseconds, except when it hangs."""
_END = object()


@dataclass(frozen=True, slots=True)
class Stage:
    """A named function from one item to the next; it runs in a thread of its own, or in `at_once` threads.

    With `together` over 1 the function gets a list of items instead and gives as many: those that already wait when it
    has time, so many at most. It never waits for more of them than one.

    `take`, if there is one, is called with each item before `work`, which gets what it returns: in order, one item at a
    time, whatever works on others meanwhile. It should be short; its time isn't counted. A stage's times are those of
    an item, of which it works on `at_once` at a time; of items together, each has its part of the time.

    `seconds_apart`: for how long so far it has done what may take any time; no stall is seen in that. Called from any
    thread.
    """

    name: str
    work: Callable[[Any], Any]
    take: Callable[[Any], Any] | None = None
    at_once: int = 1
    together: int = 1
    seconds_apart: Callable[[], float] = lambda: 0.0


class _Worker:
    """One thread of the pipeline and what is known of it."""

    def __init__(
        self,
        name: str,
        run: Callable[[_Worker], None],
        ended: Event,
        number: int = 0,
        seconds_apart: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.name = name
        self.times = LatencyHistogram()
        self.done = 0
        self.error: BaseException | None = None
        self._call: tuple[float, int, float] | None = None
        """When the present call of the stage began, on how many items, and how much was apart by then."""
        self._seconds_apart = seconds_apart
        self._work = run
        self._ended = ended
        self.thread = Thread(target=self._run, name=f"rtmatte-{name}{f'-{number + 1}' * bool(number)}", daemon=True)

    def _run(self) -> None:
        try:
            self._work(self)
        except Cancelled:
            pass
        except BaseException as error:  # carried to the caller, whatever it is
            self.error = error
        finally:
            self._ended.set()

    def is_busy_for(self, seconds: float) -> bool:
        """Whether one call of the stage takes longer than that for each item already, without what is apart."""
        return self.call_over(seconds) is not None

    def call_over(self, seconds: float) -> object | None:
        """The present call, if `is_busy_for`."""
        call = self._call
        if call is None:
            return None
        begun, items, apart_before = call
        busy_s = time.monotonic() - begun - (self._seconds_apart() - apart_before)
        return call if busy_s > seconds * items else None

    def timed(self, produce: Callable[[], Any], items: int = 1) -> Any:
        """Calls `produce` as this stage's work on so many items: timed, and visible to the watch. Finding that there is
        no more isn't work on an item."""
        begun = time.monotonic()
        self._call = begun, items, self._seconds_apart()
        try:
            produced = produce()
        finally:
            self._call = None
        if produced is not _END:
            for _ in range(items):
                self.times.add((time.monotonic() - begun) / items)
        return produced


def _run_source(source: Iterable[Any], output: Channel[Any], worker: _Worker) -> None:
    iterator = iter(source)
    while (item := worker.timed(lambda: next(iterator, _END))) is not _END:
        output.put(item)
        worker.done += 1
    output.close()


class _Crew:
    """The threads of a stage: they take items in order and hand the results on in the same order."""

    def __init__(self, stage: Stage, received: Channel[Any], output: Channel[Any] | None) -> None:
        self._stage = stage
        self._received = received
        self._output = output
        self._taking = Lock()
        self._turn = Condition()
        self._taken = self._handed_on = 0
        self._still_there = stage.at_once
        self._cancelled = False

    def run(self, worker: _Worker) -> None:
        """What each of the threads does."""
        while (taken := self._take()) is not None:
            number, items = taken
            self._hand_on(number, worker.timed(partial(self._work, items), len(items)))
            worker.done += len(items)
        self._leave()

    def cancel(self) -> None:
        """Wakes who waits for their turn."""
        with self._turn:
            self._cancelled = True
            self._turn.notify_all()

    def _take(self) -> tuple[int, list[Any]] | None:
        with self._taking:
            items = self._received.take(self._stage.together)
            if not items:
                return None
            number, self._taken = self._taken, self._taken + 1
            return number, items if self._stage.take is None else [self._stage.take(item) for item in items]

    def _work(self, items: list[Any]) -> list[Any]:
        return list(self._stage.work(items)) if self._stage.together > 1 else [self._stage.work(items[0])]

    def _hand_on(self, number: int, results: list[Any]) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._cancelled or self._handed_on == number)
            if self._cancelled:
                raise Cancelled
        if self._output is not None:
            for result in results:
                self._output.put(result)  # the others wait for their turn meanwhile
        with self._turn:
            self._handed_on += 1
            self._turn.notify_all()

    def _leave(self) -> None:
        with self._turn:
            self._still_there -= 1
            if self._output is not None and not self._still_there:
                self._output.close()


def run_pipeline(
    source: Iterable[Any],
    source_name: str,
    stages: Sequence[Stage],
    *,
    stall_timeout_s: float,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, LatencyHistogram]:
    """Runs every item of `source` through `stages` and returns when the last one is through: how long each stage worked
    on an item, in order, by name.

    `on_progress` is called about ten times a second, from the calling thread, with the number of finished items.

    Raises: the first error of any stage, as it was; `StageStalledError` if one call of a stage (or one item of the
    source) takes longer than `stall_timeout_s`, without its `seconds_apart`. In every case all threads have ended
    before it raises, except those of a stage that hangs in foreign code.
    """
    ended = Event()
    together = [1, *(stage.together for stage in stages)]
    channels: list[Channel[Any]] = [Channel(max(_CHANNEL_CAPACITY, *both)) for both in pairwise(together)]
    crews = [
        _Crew(stage, received, output)
        for stage, received, output in zip(stages, channels, [*channels[1:], None], strict=True)
    ]
    workers = [_Worker(source_name, partial(_run_source, source, channels[0]), ended)]
    for stage, crew in zip(stages, crews, strict=True):
        workers += [
            _Worker(stage.name, crew.run, ended, number, stage.seconds_apart) for number in range(stage.at_once)
        ]
    for worker in workers:
        worker.thread.start()
    try:
        _watch(workers, ended, stall_timeout_s, on_progress)
    finally:
        for channel in channels:
            channel.cancel()
        for crew in crews:
            crew.cancel()
        # A stage that hangs in foreign code can't be stopped from outside; it is left to the process's end, and with it
        # those of its threads that wait for the one that hangs.
        hanging = {worker.name for worker in workers if worker.is_busy_for(stall_timeout_s)}
        for worker in workers:
            worker.thread.join(0 if worker.name in hanging else _JOIN_TIMEOUT_S)
    times: dict[str, LatencyHistogram] = {}
    for worker in workers:
        times[worker.name] = times[worker.name] + worker.times if worker.name in times else worker.times
    return times


def _watch(
    workers: list[_Worker], ended: Event, stall_timeout_s: float, on_progress: Callable[[int], None] | None
) -> None:
    over: dict[_Worker, object | None] = {}
    while True:
        ended.wait(_WATCH_INTERVAL_S)
        ended.clear()
        # Before the errors are read: a thread that is dead by now has left its error already.
        all_dead = not any(worker.thread.is_alive() for worker in workers)
        for worker in workers:
            if worker.error is not None:
                raise worker.error
            # Only if the next look finds the same call: while foreign code keeps Python's lock nobody can go on.
            before, over[worker] = over.get(worker), worker.call_over(stall_timeout_s)
            if before is not None and over[worker] is before:
                done = sum(other.done for other in workers if other.name == worker.name)
                raise StageStalledError(
                    f"The {worker.name} stage made no progress for {stall_timeout_s:g} s after {done} frames.",
                    hint="If the machine or the disk is just slow, allow more with --stall-timeout SECONDS.",
                )
        if on_progress is not None:
            last = workers[-1].name
            on_progress(sum(worker.done for worker in workers if worker.name == last))
        if all_dead:
            return
