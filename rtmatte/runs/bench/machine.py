"""What a result was measured on: hardware and versions, and nothing that says whose machine it is."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from rtmatte.machine import usable_cores

_PACKAGES = {
    "rtmatte": "rtmatte",
    "numpy": "numpy",
    "opencv": "opencv-python",
    "pyav": "av",
    "numba": "numba",
    "onnxruntime": "onnxruntime",
    "onnxruntime-gpu": "onnxruntime-gpu",
    "openvino": "openvino",
}
_ASK_TIMEOUT_S = 5.0


def describe_machine(gpus: tuple[str, ...] = ()) -> dict[str, Any]:
    """Processor, cores, memory, system and versions, as plain values for a results file. Host and user aren't in it.

    `cores` are those that this process may use. `gpus` are names. A package that isn't installed is left out.
    """
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": _memory_gib(),
        "gpus": list(gpus),
        "system": _system(),
        "python": platform.python_version(),
        **_versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name, distribution in _PACKAGES.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(distribution)
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    if platform.system() == "Darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
            told = subprocess.run(asked, capture_output=True, text=True, timeout=_ASK_TIMEOUT_S, check=True)
            return told.stdout.strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    """Physical memory; None where the system doesn't tell (Windows)."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _system() -> str:
    """Name and version, such as `Debian GNU/Linux 12 (bookworm), Linux 6.1.0, x86_64`."""
    kernel = f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}"
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}, {platform.machine()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel
