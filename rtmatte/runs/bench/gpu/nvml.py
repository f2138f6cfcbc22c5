"""The GPU's state by NVML, from the package nvidia-ml-py."""

from __future__ import annotations

import contextlib
import os
import warnings
from typing import Any

from rtmatte.runs.bench.gpu.cuda_driver import default_gpu
from rtmatte.runs.bench.gpu.state import Gpu, GpuState, slowed_by

_INTERVAL_S = 0.05


def open_by_nvml() -> Gpu | None:
    """None: the package isn't installed, or there is no driver or no GPU."""
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
        names = tuple(_text(nvml.nvmlDeviceGetName(handle)) for handle in handles)
    except nvml.NVMLError:
        return None
    if not handles:
        return None
    used, place = handles[0], default_gpu()
    if place is not None:
        with contextlib.suppress(nvml.NVMLError):
            used = nvml.nvmlDeviceGetHandleByPciBusId(place)
    how = f"read by NVML, of {_text(nvml.nvmlDeviceGetName(used))}"
    return Gpu(names, lambda: _state(nvml, used), how, _INTERVAL_S)


def _state(nvml: Any, handle: Any) -> GpuState:
    def ask(*names: str, of: tuple[Any, ...] = ()) -> Any:
        """By the first function that this package and this driver have; None: not told."""
        for name in names:
            with contextlib.suppress(nvml.NVMLError, AttributeError):
                return getattr(nvml, name)(handle, *of)
        return None

    memory = ask("nvmlDeviceGetMemoryInfo")
    milliwatts = ask("nvmlDeviceGetPowerUsage")
    clock = ask("nvmlDeviceGetClockInfo", of=(nvml.NVML_CLOCK_SM,))
    heat = ask("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", of=(nvml.NVML_TEMPERATURE_GPU,))
    mask = ask("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
    # Windows doesn't tell memory by process, and in a container the process has another number than the driver knows.
    own = [one.usedGpuMemory for one in ask("nvmlDeviceGetComputeRunningProcesses") or () if one.pid == os.getpid()]
    return GpuState(
        used_bytes=None if memory is None else int(memory.used),
        own_bytes=next((int(count) for count in own if count is not None), None),
        power_w=None if milliwatts is None else milliwatts / 1e3,
        temperature_c=heat,
        clock_mhz=clock,
        slowed_by=slowed_by(mask or 0),
    )


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
