"""The models that rtmatte knows, as rows of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rtmatte.errors import UnknownModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One model: what it is called, which file holds it, what that file must hash to, and what it eats and gives.

    `file` lies in the package's weights folder; `size_bytes` and `sha256` are the file's. `family` says which class
    runs it. The other fields are sentences for people.
    """

    name: str
    family: Literal["u2net", "selfie"]
    file: str
    sha256: str
    size_bytes: int
    licence: str
    source: str
    task: str
    input: str
    output: str
    notes: str


MODELS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="u2netp",
        family="u2net",
        file="u2netp.onnx",
        sha256="1c4fea413b39a88795998e8d879dc33b5ec269e75220b5565b3a117250eebde9",
        size_bytes=4_535_878,
        licence="Apache-2.0",
        source="https://github.com/xuebinqin/U-2-Net",
        task="salient object segmentation",
        input="uint8 (N, H, W, 3) RGB, H and W multiples of 32; trained at 320x320",
        output="float32 (N, H, W) alpha in [0, 1], 1 = foreground",
        notes="Finds what stands out, usually the person in front; can take a striking piece of furniture too.",
    ),
    ModelSpec(
        name="selfie",
        family="selfie",
        file="selfie.onnx",
        sha256="4103970570a493bcb2aa554ddcd117b4f73b8022e6be7fa4468c3c673050098e",
        size_bytes=228_033,
        licence="Apache-2.0",
        source="npm:@mediapipe/selfie_segmentation@0.1.1675465747",
        task="people near a webcam",
        input="uint8 (N, H, W, 3) RGB, H and W multiples of 16; trained at 256x144",
        output="float32 (N, H, W) alpha in [0, 1], 1 = foreground",
        notes="Very fast and coarse: one or two people, up to some two metres away; edges are soft.",
    ),
)


def find_model(name: str) -> ModelSpec:
    """The row of that name.

    Raises:
        UnknownModelError: no such model; states the names that there are.
    """
    for spec in MODELS:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in MODELS)
    raise UnknownModelError(
        f"there is no model called {name!r}: expected one of {known}", hint="See `rtmatte models list`."
    )
