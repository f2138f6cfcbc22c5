"""How much memory of NVIDIA GPUs is in use, by whichever means this machine has."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_TIMEOUT_S = 5.0
NOT_READABLE = "not readable: neither the package nvidia-ml-py nor the program nvidia-smi finds a GPU"


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """GPUs by name, and how to ask for the bytes in use on all of them together, other programs' included.

    `used_bytes` returns None when the driver doesn't answer. `how` says by which means, or why there is none;
    `interval_s` is how often it may be asked without disturbing.
    """

    names: tuple[str, ...]
    used_bytes: Callable[[], int | None]
    how: str
    interval_s: float


def open_gpu_memory() -> GpuMemory:
    """By NVML if its package is installed, else by nvidia-smi; without either, one that knows of no GPU."""
    return _by_nvml() or _by_nvidia_smi() or GpuMemory((), lambda: None, NOT_READABLE, 1.0)


def _by_nvml() -> GpuMemory | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old package of that name announces its own end
            import pynvml
    except ImportError:
        return None
    nvml: Any = pynvml
    try:
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())]
        names = [nvml.nvmlDeviceGetName(handle) for handle in handles]
    except nvml.NVMLError:  # no driver
        return None

    def used_bytes() -> int | None:
        try:
            return sum(int(nvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in handles)
        except nvml.NVMLError:
            return None

    told = tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)
    return GpuMemory(told, used_bytes, "NVML, all programs", 0.05) if told else None


def _by_nvidia_smi() -> GpuMemory | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None

    def ask(field: str) -> list[str]:
        command = [program, f"--query-gpu={field}", "--format=csv,noheader,nounits"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        except (OSError, subprocess.SubprocessError):
            return []
        return [line.strip() for line in told.stdout.splitlines() if line.strip()]

    def used_bytes() -> int | None:
        mebibytes = ask("memory.used")
        return sum(int(text) for text in mebibytes) * 2**20 if mebibytes and all(map(str.isdigit, mebibytes)) else None

    names = tuple(ask("name"))
    return GpuMemory(names, used_bytes, "nvidia-smi, all programs", 1.0) if names else None
