"""What this process has of the machine, and what it uses of it."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")
_STAT = Path("/proc/stat")


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resident_bytes() -> int | None:
    """Physical memory that this process holds now; elsewhere than on Linux the most it ever held; None: not told."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def give_back_memory() -> None:
    """Hands what the allocator keeps for later back to the system, where it can be told to (glibc)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def busy_seconds(stat: Path = _STAT) -> float | None:
    """Processor time that all programs together have used on the cores that this process may use; None: not told."""
    if not stat.exists() or not hasattr(os, "sched_getaffinity"):
        return None
    ticks = 0
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    for line in stat.read_text().splitlines():
        name, *columns = line.split()
        if name in mine:
            user, nice, system, _idle, _waiting, *rest = map(int, columns[:8])
            ticks += user + nice + system + sum(rest)
    return ticks / os.sysconf("SC_CLK_TCK")
