"""The shipped weights: read whole, and only if they are what the registry says."""

from __future__ import annotations

import hashlib
from importlib import resources

from rtmatte.errors import WeightsError
from rtmatte.matting.registry import ModelSpec

_REINSTALL = "Reinstall the package: `python -m pip install --force-reinstall --no-deps rtmatte`."


def read_verified(spec: ModelSpec) -> bytes:
    """The content of the model's file. The bytes that were hashed are the bytes returned; nothing was parsed before.

    Raises:
        WeightsError: the file is missing, unreadable, cut short or altered; states expected and got.
    """
    file = resources.files("rtmatte").joinpath("weights", spec.file)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"the weights of {spec.name} can't be read: expected {file}, got {error}", hint=_REINSTALL
        ) from error
    got = hashlib.sha256(data).hexdigest()
    if got != spec.sha256:
        raise WeightsError(
            f"the weights of {spec.name} are damaged or were swapped: expected {spec.size_bytes} bytes with sha256 "
            f"{spec.sha256}, got {len(data)} bytes with sha256 {got} in {file}",
            hint=_REINSTALL,
        )
    return data


def verify(spec: ModelSpec) -> None:
    """Checks the model's file against the registry.

    Raises:
        WeightsError: as `read_verified`.
    """
    read_verified(spec)
