"""Stages on threads, joined by bounded hand-offs, watched by the thread that called.

    source ──channel──► stage ──channel──► stage ──channel──► last stage
    thread              thread             thread             thread          caller: progress, stalls, Ctrl-C, errors

One item in, one item out, in order. Whatever ends the run early (an error in a stage, a stall, an exception in the
caller such as KeyboardInterrupt) cancels every channel, waits for the threads, and reaches the caller as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import Any

from rtmatte.channel import Cancelled, Channel
from rtmatte.errors import StageStalledError
from rtmatte.stats import LatencyHistogram, StageTime, stage_time

_CHANNEL_CAPACITY = 2
"""Enough that a stage never waits for its neighbour's jitter, little enough that only a few frames are in flight."""
_WATCH_INTERVAL_S = 0.1
_JOIN_TIMEOUT_S = 10.0
"""How long a stage may take to notice a cancellation; one call of a stage takes milliseconds, except when it hangs."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A named function from one item to the next; it runs in a thread of its own."""

    name: str
    work: Callable[[Any], Any]


class _Worker:
    """One thread of the pipeline and what is known of it."""

    def __init__(self, name: str, items: Callable[[], Iterator[Any]], output: Channel[Any] | None, ended: Event):
        self.name = name
        self.times = LatencyHistogram()
        self.done = 0
        self.error: BaseException | None = None
        self.busy_since: float | None = None
        self._items = items
        self._output = output
        self._ended = ended
        self.thread = Thread(target=self._run, name=f"rtmatte-{name}", daemon=True)

    def _run(self) -> None:
        try:
            for item in self._items():
                if self._output is not None:
                    self._output.put(item)
                self.done += 1
            if self._output is not None:
                self._output.close()
        except Cancelled:
            pass
        except BaseException as error:  # carried to the caller, whatever it is
            self.error = error
        finally:
            self._ended.set()

    def timed(self, produce: Callable[[], Any]) -> Any:
        """Calls `produce` as this stage's work: timed, and visible to the watch."""
        begun = time.monotonic()
        self.busy_since = begun
        try:
            return produce()
        finally:
            self.busy_since = None
            self.times.add(time.monotonic() - begun)


def run_pipeline(
    source: Iterable[Any],
    source_name: str,
    stages: Sequence[Stage],
    *,
    stall_timeout_s: float,
    on_progress: Callable[[int], None] | None = None,
) -> list[StageTime]:
    """Runs every item of `source` through `stages` and returns when the last one is through.

    As `time_pipeline`, with the summary of each stage.
    """
    times = time_pipeline(source, source_name, stages, stall_timeout_s=stall_timeout_s, on_progress=on_progress)
    return [stage_time(name, histogram) for name, histogram in times.items()]


def time_pipeline(
    source: Iterable[Any],
    source_name: str,
    stages: Sequence[Stage],
    *,
    stall_timeout_s: float,
    on_progress: Callable[[int], None] | None = None,
) -> dict[str, LatencyHistogram]:
    """Runs every item of `source` through `stages`; how long each stage worked on an item, in order, by name.

    `on_progress` is called about ten times a second, from the calling thread, with the number of finished items.

    Raises: the first error of any stage, as it was; `StageStalledError` if one call of a stage (or one item of the
    source) takes longer than `stall_timeout_s`. In every case all threads have ended before it raises, except one that
    hangs in foreign code.
    """
    ended = Event()
    channels: list[Channel[Any]] = [Channel(_CHANNEL_CAPACITY) for _ in stages]
    workers = [_source_worker(source, source_name, channels[0], ended)]
    for number, stage in enumerate(stages):
        output = channels[number + 1] if number + 1 < len(stages) else None
        workers.append(_stage_worker(stage, channels[number], output, ended))
    for worker in workers:
        worker.thread.start()
    try:
        _watch(workers, ended, stall_timeout_s, on_progress)
    finally:
        for channel in channels:
            channel.cancel()
        for worker in workers:
            # A stage that hangs in foreign code can't be stopped from outside; it is left to the process's end.
            hangs = worker.busy_since is not None and time.monotonic() - worker.busy_since > stall_timeout_s
            worker.thread.join(0 if hangs else _JOIN_TIMEOUT_S)
    return {worker.name: worker.times for worker in workers}


def _source_worker(source: Iterable[Any], name: str, output: Channel[Any], ended: Event) -> _Worker:
    def items() -> Iterator[Any]:
        iterator = iter(source)
        end = object()
        while (item := worker.timed(lambda: next(iterator, end))) is not end:
            yield item

    worker = _Worker(name, items, output, ended)
    return worker


def _stage_worker(stage: Stage, received: Channel[Any], output: Channel[Any] | None, ended: Event) -> _Worker:
    def items() -> Iterator[Any]:
        for item in received:
            yield worker.timed(partial(stage.work, item))

    worker = _Worker(stage.name, items, output, ended)
    return worker


def _watch(
    workers: list[_Worker], ended: Event, stall_timeout_s: float, on_progress: Callable[[int], None] | None
) -> None:
    while True:
        ended.wait(_WATCH_INTERVAL_S)
        ended.clear()
        # Before the errors are read: a thread that is dead by now has left its error already.
        all_dead = not any(worker.thread.is_alive() for worker in workers)
        for worker in workers:
            if worker.error is not None:
                raise worker.error
            busy_since = worker.busy_since
            if busy_since is not None and time.monotonic() - busy_since > stall_timeout_s:
                raise StageStalledError(
                    f"The {worker.name} stage made no progress for {stall_timeout_s:g} s after {worker.done} frames.",
                    hint="If the machine or the disk is just slow, allow more with --stall-timeout SECONDS.",
                )
        if on_progress is not None:
            on_progress(workers[-1].done)
        if all_dead:
            return
