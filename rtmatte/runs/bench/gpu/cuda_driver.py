"""Which of several GPUs CUDA takes: it counts the fastest first, and only those that CUDA_VISIBLE_DEVICES leaves."""

from __future__ import annotations

import ctypes
import sys

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_LONGEST = 32


def default_gpu() -> str | None:
    """Its place on the PCI bus, such as `0000:01:00.0`, by which NVML and nvidia-smi know it too; None: CUDA sees none.

    Reference: cuDeviceGetPCIBusId of the CUDA driver API.
    """
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    device, place = ctypes.c_int(), ctypes.create_string_buffer(_LONGEST)
    failed = (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(device), 0)
        or driver.cuDeviceGetPCIBusId(place, _LONGEST, device)
    )
    return None if failed else place.value.decode()
