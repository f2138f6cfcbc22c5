"""The GPU's state by nvidia-smi, which comes with the driver: a program started for every answer."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial

from rtmatte.runs.bench.gpu.cuda_driver import default_gpu
from rtmatte.runs.bench.gpu.state import Gpu, GpuState, slowed_by

_TIMEOUT_S = 5.0
_INTERVAL_S = 1.0
_FIELDS = ("memory.used", "power.draw", "temperature.gpu", "clocks.sm")
_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The same by its present and its former name; a name that a driver doesn't know spoils the whole answer."""


def open_by_nvidia_smi() -> Gpu | None:
    """None: there is no such program, or it finds no GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    names = tuple(_ask(program, ("name",)))
    if not names:
        return None
    one = f"--id={default_gpu() or 0}"
    fields = next((told for name in _REASONS if _ask(program, told := (*_FIELDS, name), one)), _FIELDS)
    (name,) = _ask(program, ("name",), one) or names[:1]
    return Gpu(names, partial(_state, program, fields, one), f"read by nvidia-smi, of {name}", _INTERVAL_S)


def _ask(program: str, fields: tuple[str, ...], *which: str) -> list[str]:
    """A line for each GPU; none if it doesn't answer."""
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits", *which]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in told.stdout.splitlines() if line.strip()]


def _state(program: str, fields: tuple[str, ...], one: str) -> GpuState:
    lines = _ask(program, fields, one)
    if len(lines) != 1:
        return GpuState()
    told = dict(zip(fields, (text.strip() for text in lines[0].split(",")), strict=False))
    mebibytes, power_w, temperature_c, clock_mhz = (_number(told.get(name, "")) for name in _FIELDS)
    mask = next((told[name] for name in _REASONS if name in told), "")
    return GpuState(
        used_bytes=None if mebibytes is None else int(mebibytes) * 2**20,
        power_w=power_w,
        temperature_c=temperature_c,
        clock_mhz=clock_mhz,
        slowed_by=slowed_by(int(mask, 16) if mask.startswith("0x") else 0),
    )


def _number(text: str) -> float | None:
    """None for `[N/A]` and its like."""
    try:
        return float(text)
    except ValueError:
        return None
