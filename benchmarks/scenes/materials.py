"""What scenes are made of: cut-out people in motion and pictures of rooms, read from a folder of clips."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np

from scenes.layers import U8, Layer, layer_from_bgra, layer_from_matte, placed


@dataclass(frozen=True, slots=True)
class Person:
    """A cut-out person, frame by frame; the last row is where the frame's lower edge cuts them off."""

    frames: tuple[Layer, ...]

    def at(self, number: int) -> Layer:
        """Any frame number: the clip runs forward and backward."""
        last = len(self.frames) - 1
        position = number % (2 * last) if last else 0
        return self.frames[min(position, 2 * last - position)]

    def standing(self, number: int, size_wh: tuple[int, int], tall: float, across: float) -> Layer:
        """In a frame: as high as `tall` times the frame, on its lower edge, the middle at `across` (0 to 1)."""
        layer = self.at(number)
        scale = tall * size_wh[1] / layer.size_wh[1]
        left = across * size_wh[0] - scale * layer.size_wh[0] / 2
        # One row of theirs lower: the last one fades into what lies beyond their picture.
        return placed(layer, size_wh, scale, left, size_wh[1] * (1 - tall) + scale)


class Materials:
    """The people and rooms of a folder that holds foregrounds/, backgrounds/ and gt/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cache  # noqa: B019, lives as long as the program
    def man_in_jacket(self) -> Person:
        """Head and shoulders, grey tweed, fine hair; 512 pixels wide."""
        return self._cut_out("d0_green_man", rows=458)

    @cache  # noqa: B019
    def man_in_denim(self) -> Person:
        """Head and shoulders, tousled hair; 360 pixels wide."""
        return self._cut_out("grid_bbaf2n", rows=277)

    @cache  # noqa: B019
    def long_hair(self) -> Person:
        """Long dark hair down to the lower edge; 512 pixels wide; colours of soft pixels are a guess."""
        folder, name = self.folder / "gt", "c03_longhair_library_pan"
        pictures = _decoded(folder / f"{name}.mp4", "bgr24", 90)
        mattes = _decoded(folder / f"{name}_alpha.mkv", "gray", 90)
        return Person(tuple(layer_from_matte(bgr, alpha) for bgr, alpha in zip(pictures, mattes, strict=True)))

    @cache  # noqa: B019
    def room(self, name: str) -> U8:
        """A picture of backgrounds/ by its name without .jpg: (H, W, 3) uint8 BGR.

        Raises: FileNotFoundError.
        """
        path = self.folder / "backgrounds" / f"{name}.jpg"
        picture = cv2.imread(str(path))
        if picture is None:
            raise FileNotFoundError(f"expected a picture at {path}, got none")
        return np.asarray(picture, np.uint8)

    def _cut_out(self, name: str, *, rows: int) -> Person:
        """`rows`: above where the shoulders reach the sides of their own picture, which would show as a cut."""
        decoded = _decoded(self.folder / "foregrounds" / f"{name}.mkv", "bgra", None)
        return Person(tuple(layer_from_bgra(bgra[:rows]) for bgra in decoded))


def _decoded(path: Path, pixel_format: str, count: int | None) -> Iterator[U8]:
    if not path.exists():
        raise FileNotFoundError(f"expected a clip at {path}, got none")
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == count:
                return
            yield np.asarray(frame.to_ndarray(format=pixel_format), np.uint8)
