"""What the file of a still says of its pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StillHeader:
    """`depth` is 8 or 16 bits, `channels` 3 for RGB or 4 for straight RGBA, `dpi` that of width and height."""

    size_wh: tuple[int, int]
    depth: int
    channels: int
    icc_profile: bytes | None
    exif: bytes | None
    dpi: tuple[float, float] | None
