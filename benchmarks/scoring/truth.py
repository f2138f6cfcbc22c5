"""Clips with exact truth: NAME.mp4 with NAME_alpha.mkv, and NAME_foreground.mkv where its colours are known.

The truth is read with plain PyAV, not with what is being judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from rtmatte.frame import U8


@dataclass(frozen=True, slots=True)
class TruthClip:
    """One clip: the picture, its alpha (luma of a lossless clip, full range) and maybe its foreground (BGR)."""

    name: str
    picture: Path
    alpha: Path
    foreground: Path | None

    def alphas(self) -> Iterator[U8]:
        """The true alpha of each frame: (H, W) uint8, 255 = foreground."""
        with av.open(str(self.alpha)) as container:
            for frame in container.decode(video=0):
                yield _luma(frame)

    def foregrounds_bgr(self) -> Iterator[U8]:
        """The true foreground of each frame: (H, W, 3) uint8, anything where alpha is 0. Nothing if it isn't known."""
        if self.foreground is None:
            return
        with av.open(str(self.foreground)) as container:
            for frame in container.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)


def find_clips(folder: Path, pattern: str = "*") -> list[TruthClip]:
    """The clips of a folder whose name matches the glob, in the order of their names.

    Raises: FileNotFoundError if there are none; states what was looked for.
    """
    found = []
    for alpha in sorted(folder.glob(f"{pattern}_alpha.mkv")):
        name = alpha.stem.removesuffix("_alpha")
        picture, foreground = alpha.with_name(f"{name}.mp4"), alpha.with_name(f"{name}_foreground.mkv")
        if picture.exists():
            found.append(TruthClip(name, picture, alpha, foreground if foreground.exists() else None))
    if not found:
        raise FileNotFoundError(f"expected {pattern}.mp4 with {pattern}_alpha.mkv in {folder}, got none")
    return found


def _luma(frame: av.VideoFrame) -> U8:
    if frame.format.components[0].bits != 8 or frame.format.is_rgb:
        raise ValueError(f"expected an alpha clip of 8-bit luma, got {frame.format.name}")
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : frame.width].copy()
