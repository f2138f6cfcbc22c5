"""How far a run over a clip is, for whoever watches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rtmatte.capture.source import Source


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run, or a pass of it, is; `frames_expected` is the container's claim (None: unknown),
    `duration_seconds` likewise. Frames and seconds are counted anew in each pass."""

    frames_done: int
    frames_expected: int | None
    duration_seconds: float | None
    elapsed_seconds: float
    number: int = 1
    passes: int = 1


class Teller:
    """Makes `Progress` of a number of frames; `passes` is how many times the clip is gone through."""

    def __init__(self, clip: Source, on_progress: Callable[[Progress], None] | None) -> None:
        self.passes = 1
        self._clip = clip
        self._on_progress = on_progress
        self._number = 1
        self._begun = time.monotonic()

    def next_pass(self) -> None:
        """Counts anew."""
        self._number += 1
        self._begun = time.monotonic()

    def __call__(self, frames_done: int) -> None:
        if self._on_progress is not None:
            clip, elapsed = self._clip, time.monotonic() - self._begun
            self._on_progress(
                Progress(frames_done, clip.frames_expected, clip.duration_seconds, elapsed, self._number, self.passes)
            )
