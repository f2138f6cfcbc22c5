"""The GPU that models run on, by whichever means this machine has of asking it."""

from __future__ import annotations

from rtmatte.runs.bench.gpu.nvidia_smi import open_by_nvidia_smi
from rtmatte.runs.bench.gpu.nvml import open_by_nvml
from rtmatte.runs.bench.gpu.state import Gpu, GpuState

NOT_READABLE = "not readable: neither the package nvidia-ml-py nor the program nvidia-smi finds a GPU"


def find_gpu() -> Gpu:
    """By NVML if its package is installed, else by nvidia-smi; without either, one without names."""
    return open_by_nvml() or open_by_nvidia_smi() or Gpu((), GpuState, NOT_READABLE, 1.0)
