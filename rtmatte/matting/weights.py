"""A model's file, shipped or pulled: read whole, and only if it is what the registry says."""

from __future__ import annotations

import hashlib
import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from rtmatte.errors import WeightsError
from rtmatte.matting.registry import ModelSpec

FOLDER_VARIABLE = "RTMATTE_MODELS"
_REINSTALL = "Reinstall the package: `python -m pip install --force-reinstall --no-deps rtmatte`."


def models_folder() -> Path:
    """Where pulled models lie: `$RTMATTE_MODELS`, else the user's cache folder. It need not exist."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("rtmatte", appauthor=False)) / "models"


def weights_file(spec: ModelSpec) -> Traversable:
    """The model's file; it need not exist."""
    if spec.shipped:
        return resources.files("rtmatte").joinpath("weights", spec.file)
    return models_folder() / spec.file


def read_verified(spec: ModelSpec) -> bytes:
    """The content of the model's file. The bytes that were hashed are the bytes returned; nothing was parsed before.

    Raises:
        WeightsError: the file is missing, unreadable, cut short or altered; states expected and got.
    """
    file = weights_file(spec)
    pull = f"Run `rtmatte models pull {spec.name}`."
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        if spec.shipped:
            raise WeightsError(
                f"the weights of {spec.name} can't be read: expected {file}, got {error}", hint=_REINSTALL
            ) from error
        raise WeightsError(f"{spec.name} doesn't come with the package: expected it in {file}", hint=pull) from error
    except OSError as error:
        raise WeightsError(
            f"the weights of {spec.name} can't be read: expected {file}, got {error}",
            hint=_REINSTALL if spec.shipped else pull,
        ) from error
    difference = mismatch(spec, data)
    if difference:
        raise WeightsError(
            f"the weights of {spec.name} are damaged or were swapped: {difference} in {file}",
            hint=_REINSTALL if spec.shipped else f"Delete the file. {pull}",
        )
    return data


def mismatch(spec: ModelSpec, data: bytes) -> str:
    """What is wrong with these bytes, as "expected ..., got ..."; empty if they are what the row says."""
    kind, wanted = ("sha256", spec.sha256) if spec.sha256 else ("md5", spec.md5)
    got = hashlib.new(kind, data, usedforsecurity=kind == "sha256").hexdigest()
    if wanted is None or got == wanted:
        return ""
    size = f"{spec.size_bytes} bytes" if spec.sha256 else f"about {spec.size_bytes / 1e6:.0f} MB"
    return f"expected {size} with {kind} {wanted}, got {len(data)} bytes with {kind} {got}"


def verify(spec: ModelSpec) -> None:
    """Checks the model's files against the registry.

    Raises:
        WeightsError: as `read_verified`.
    """
    for file in spec.files:
        read_verified(file)
