"""The most memory that the process held while something ran."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import Self

from rtmatte.machine import resident_bytes
from rtmatte.runs.bench.gpu import GpuMemory

_INTERVAL_S = 0.02


class PeakMemory:
    """Samples while it is entered, in a thread `rtmatte-bench-memory`.

    `before_bytes` and `peak_bytes` are the process's resident memory (None where the system doesn't tell),
    `gpu_peak_bytes` what is in use on all GPUs. A peak between two samples, 20 ms apart, isn't seen.
    """

    def __init__(self, gpu: GpuMemory) -> None:
        self._gpu = gpu
        self._ended = Event()
        self.before_bytes = self.peak_bytes = resident_bytes()
        self.gpu_peak_bytes = gpu.used_bytes()
        self._thread = Thread(target=self._sample, name="rtmatte-bench-memory", daemon=True)

    def _sample(self) -> None:
        gpu_due = 0.0
        while not self._ended.wait(_INTERVAL_S):
            self.peak_bytes = _more(self.peak_bytes, resident_bytes())
            if self._gpu.names and time.monotonic() >= gpu_due:
                self.gpu_peak_bytes = _more(self.gpu_peak_bytes, self._gpu.used_bytes())
                gpu_due = time.monotonic() + self._gpu.interval_s

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def _more(a: int | None, b: int | None) -> int | None:
    return a if b is None else b if a is None else max(a, b)
