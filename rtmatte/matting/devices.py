"""What a model could run on here: each device tried with the smallest of the shipped models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rtmatte.errors import ProviderUnavailableError
from rtmatte.matting.providers import PROVIDERS, Device
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession, check_runtime
from rtmatte.matting.weights import read_verified

_SMALLEST = "selfie"


@dataclass(frozen=True, slots=True)
class ExaminedDevice:
    """`absent`: the installed runtime doesn't contain it. `provider`: what it ran on; `reason`: what happened."""

    device: Device
    state: Literal["works", "fails", "absent"]
    provider: str
    reason: str


def examine_devices() -> list[ExaminedDevice]:
    """Every device, `auto` and the processor first. Loads the model on each that the runtime contains.

    Raises:
        RuntimeNotInstalledError, RuntimeConflictError: as `check_runtime`.
        WeightsError: the model's file is damaged, or the runtime can't read it.
    """
    there = check_runtime().providers
    model = read_verified(find_model(_SMALLEST))
    found = [_works("auto", model), _works("cpu", model)]
    for provider in PROVIDERS:
        try:
            found.append(_works(provider.device, model))
        except ProviderUnavailableError as error:
            state: Literal["fails", "absent"] = "fails" if provider.name in there else "absent"
            found.append(ExaminedDevice(provider.device, state, "", error.message.rstrip(".")))
    return found


def require_device(device: Device) -> None:
    """Tries a device that was asked for by its name; `auto` and `cpu` always find something to run on. TensorRT isn't
    tried, since it takes minutes over a net; whoever loads the real one is told then.

    Raises:
        ProviderUnavailableError: it doesn't come up; says why.
        RuntimeNotInstalledError, RuntimeConflictError, WeightsError: as `examine_devices`.
    """
    if device not in ("auto", "cpu", "tensorrt"):
        _works(device, read_verified(find_model(_SMALLEST)))


def _works(device: Device, model: bytes) -> ExaminedDevice:
    session = OnnxSession(model, device=device)
    return ExaminedDevice(device, "works", session.provider, session.provider_reason)
