"""The most memory that the process held while something ran."""

from __future__ import annotations

from threading import Event, Thread
from typing import Self

from rtmatte.machine import resident_bytes

_INTERVAL_S = 0.02


class PeakMemory:
    """Samples while it is entered, in a thread `rtmatte-bench-memory`.

    `before_bytes` and `peak_bytes` are the process's resident memory (None where the system doesn't tell). A peak
    between two samples, 20 ms apart, isn't seen.
    """

    def __init__(self) -> None:
        self._ended = Event()
        self.before_bytes = self.peak_bytes = resident_bytes()
        self._thread = Thread(target=self._sample, name="rtmatte-bench-memory", daemon=True)

    def _sample(self) -> None:
        while not self._ended.wait(_INTERVAL_S):
            now = resident_bytes()
            if now is not None and self.peak_bytes is not None:
                self.peak_bytes = max(self.peak_bytes, now)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
