"""From a model's name to something that mattes."""

from __future__ import annotations

from fractions import Fraction

from rtmatte.matting.matter import Matter
from rtmatte.matting.registry import find_model
from rtmatte.matting.selfie import Selfie
from rtmatte.matting.session import Device, OnnxSession
from rtmatte.matting.u2net import U2Net
from rtmatte.matting.weights import read_verified


def load_matter(
    name: str = "u2netp",
    *,
    device: Device = "auto",
    threads: int | None = None,
    sample_aspect_ratio: Fraction = Fraction(1),
) -> Matter:
    """The model of that name, its file verified, ready to run. Allocates; takes a few tenths of a second.

    `sample_aspect_ratio` is that of the frames to come (width / height of one pixel).

    Raises:
        UnknownModelError: no such model.
        WeightsError: its file is missing, damaged or swapped.
        RuntimeNotInstalledError, RuntimeConflictError, ProviderUnavailableError: as `OnnxSession`.
        SettingsError: an argument out of range.
    """
    spec = find_model(name)
    session = OnnxSession(read_verified(spec), device=device, threads=threads)
    if spec.family == "selfie":
        return Selfie(session, name=spec.name, size_wh=(256, 144), sample_aspect_ratio=sample_aspect_ratio)
    return U2Net(session, name=spec.name, sample_aspect_ratio=sample_aspect_ratio)
