"""The NVIDIA GPU that models run on: its memory, power, heat and clock, at one moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_PROVIDERS = ("CUDA", "Tensorrt", "Dml")
_SLOWED_BY = {
    0x04: "its power limit",
    0x08: "its hardware",
    0x20: "heat",
    0x40: "heat",
    0x80: "the power supply",
}
"""Reasons in the driver's mask why clocks are lower than they could be, but for being idle and for what a user set.

Reference: NVML's nvmlClocksEventReasons.
"""


@dataclass(frozen=True, slots=True)
class GpuState:
    """One moment of the GPU; None: not told. Memory in bytes: of all programs together, and of this process.

    `clock_mhz` is that of its processors; `slowed_by` says what keeps it down.
    """

    used_bytes: int | None = None
    own_bytes: int | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    slowed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gpu:
    """All GPUs of the machine by name, and how to ask for the state of the one that CUDA takes by default.

    `how` says by which means, or why there is none; `interval_s` is how often it may be asked without disturbing.
    """

    names: tuple[str, ...]
    read: Callable[[], GpuState]
    how: str
    interval_s: float


def runs_on_it(provider: str) -> bool:
    """Whether a provider of onnxruntime may use such a GPU."""
    return provider.startswith(_PROVIDERS)


def slowed_by(mask: int) -> tuple[str, ...]:
    """The reasons in words."""
    return tuple(dict.fromkeys(reason for bit, reason in _SLOWED_BY.items() if mask & bit))
