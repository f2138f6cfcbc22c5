"""How busy other programs keep the processor while something is measured here."""

from __future__ import annotations

import time

from rtmatte.machine import busy_seconds, usable_cores


class OthersWatch:
    """Watches from when it is made. The cores are those that this process may use; a neighbour of a virtual machine
    that takes time from them counts too."""

    def __init__(self) -> None:
        self._at, self._own, self._all = time.monotonic(), time.process_time(), busy_seconds()

    def share(self) -> float | None:
        """Of the processor that all other programs have used since then, 0 to 1; None: not told (Linux does)."""
        busy = busy_seconds()
        if self._all is None or busy is None:
            return None
        elapsed = time.monotonic() - self._at
        used = busy - self._all - (time.process_time() - self._own)
        return min(max(used / (elapsed * usable_cores()), 0.0), 1.0)
