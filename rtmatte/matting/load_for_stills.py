"""From a model's name or file to something that mattes stills: also those that are told what to cut out."""

from __future__ import annotations

from pathlib import Path

from rtmatte.errors import UnknownModelError
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.matting.providers import Device
from rtmatte.matting.registry import ModelSpec, find_model
from rtmatte.matting.sam2 import Sam2
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified


def load_for_stills(
    name: str | Path = "u2netp",
    *,
    model_spec: str | Path | None = None,
    device: Device = "auto",
    threads: int | None = None,
) -> Matter:
    """As `load_matter`; models of the family "prompted", which that refuses, come as a `Prompted`.

    Raises: as `load_matter`.
    """
    row = None if model_spec is not None else _row(str(name))
    if row is None or row.second is None:
        return load_matter(name, model_spec=model_spec, device=device, threads=threads)
    encoder, decoder = (OnnxSession(read_verified(file), device=device, threads=threads) for file in row.files)
    return Sam2(encoder, decoder, name=row.name)


def _row(name: str) -> ModelSpec | None:
    try:
        return find_model(name)
    except UnknownModelError:
        return None
