"""One run, frame by frame: what counts as warm-up, what is measured, when it is enough."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from rtmatte.machine import usable_cores
from rtmatte.stats import LatencyHistogram

WARM_UP_FRAMES, WARM_UP_S = 8, 1.5


@dataclass(frozen=True, slots=True)
class Measured:
    """One run after its warm-up: `frames` came out in `seconds`.

    `latency` is from a frame's beginning (its decoding, or its capture) to its having left, waiting included; `stages`,
    in order, the time that each stage worked for a frame, "estimate" without the making of the net's picture, which is
    "resize": of what began after the warm-up, or where a model is so slow that nothing did, of what ended after it.
    `first_frame_s` is from before the model was loaded to the first frame out. `cpu_percent` is of all cores together.
    """

    frames: int
    seconds: float
    first_frame_s: float
    latency: LatencyHistogram
    stages: dict[str, LatencyHistogram]
    cpu_percent: float

    @property
    def fps(self) -> float:
        return self.frames / self.seconds


class _Times:
    """Durations, those that span the end of the warm-up apart: part of them was spent on what isn't measured."""

    def __init__(self) -> None:
        self._whole, self._spanning = LatencyHistogram(), LatencyHistogram()

    def add(self, seconds: float, *, spanning: bool) -> None:
        (self._spanning if spanning else self._whole).add(seconds)

    def result(self) -> LatencyHistogram:
        return self._whole if self._whole.count else self._spanning


class Recorder:
    """Is told what happens, each stage from its own threads, frames out from one thread.

    The warm-up ends with the eighth frame out, or 1.5 s after the first one, whichever is sooner: by then buffers are
    allocated and the hand-offs between the stages filled. Measuring ends with the first frame out after `seconds`.
    """

    def __init__(
        self,
        stages: Sequence[str],
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self.clock = clock
        self.enough = False
        self._used = used
        self._seconds = seconds
        self._stages = {stage: _Times() for stage in stages}
        self._adding = Lock()  # several threads may work for one stage
        self._latency = _Times()
        self._begun = clock()
        self._entered: dict[int, float] = {}
        self._out = self._frames = 0
        self._first_at = self._warm_at = self._last_at = 0.0
        self._used_warm = self._used_last = 0.0
        self._measuring = False

    def stage(self, name: str, begin: float, end: float, frames: int = 1) -> None:
        """A stage worked on a frame, or on several together, from `begin` to `end`, in seconds of `clock`."""
        if self._measuring:
            with self._adding:
                for _ in range(frames):
                    self._stages[name].add((end - begin) / frames, spanning=begin < self._warm_at)

    def estimated(self, begin: float, end: float, resizing_s: float, frames: int = 1) -> None:
        """As `stage`, of the one that asks the model: of its time `resizing_s` were spent on the net's pictures."""
        self.stage("resize", begin, begin + resizing_s, frames)
        self.stage("estimate", begin + resizing_s, end, frames)

    def entered(self, frame: int, at: float) -> None:
        """A frame, known by a number, began its way at that moment."""
        self._entered[frame] = at

    def left(self, frame: int) -> None:
        """It is through now. Frames that entered before it and never left were dropped."""
        now = self.clock()
        begin = self._entered.pop(frame)
        for dropped in [other for other in list(self._entered) if other < frame]:
            del self._entered[dropped]
        self._out += 1
        if self._out == 1:
            self._first_at = now
        if self.enough:
            return
        if self._measuring:
            self._frames += 1
            self._latency.add(now - begin, spanning=begin < self._warm_at)
            self._last_at, self._used_last = now, self._used()
            self.enough = now - self._warm_at >= self._seconds
            self._measuring = not self.enough
        elif self._out >= WARM_UP_FRAMES or now - self._first_at >= WARM_UP_S:
            self._warm_at, self._used_warm = now, self._used()
            self._measuring = True

    def result(self) -> Measured | None:
        """What was measured so far; None if nothing was."""
        if not self._frames:
            return None
        seconds = self._last_at - self._warm_at
        return Measured(
            frames=self._frames,
            seconds=seconds,
            first_frame_s=self._first_at - self._begun,
            latency=self._latency.result(),
            stages={name: times.result() for name, times in self._stages.items()},
            cpu_percent=100 * (self._used_last - self._used_warm) / seconds / usable_cores(),
        )
