"""The part of a picture around the subject: where it lies, how large a net sees it, and cutting it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from rtmatte.frame import I420, Picture, picture_size_wh

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""

_MARGIN, _LEAST_MARGIN = 0.15, 0.05
"""Around the subject on each side, of their longer side: when a crop is made, and what must be left of it later."""
_LEAST_SIDE = 0.5
"""Of the picture's shorter side: a net that sees less of the room takes things for people."""
_LEAST_GAIN = 1.2
"""How many times larger the subject must become for it to be worth it."""
_LARGER = 1.6
"""A crop stays until it has so many times the area that it had to have."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of the picture in pixels, left and top even, and the size of the net's picture of it."""

    left: int
    top: int
    right: int
    bottom: int
    net_wh: tuple[int, int]

    def still_fits(self, subject: Box, size_wh: tuple[int, int]) -> bool:
        """Whether the subject keeps a little distance from those borders that aren't the picture's."""
        left, top, right, bottom = grown(subject, _LEAST_MARGIN, size_wh)
        return self.left <= left and self.top <= top and self.right >= right and self.bottom >= bottom

    def is_far_too_large(self, wanted: Crop) -> bool:
        """Whether it is worth going nearer."""
        return self._area > _LARGER * wanted._area

    @property
    def _area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)


def grown(box: Box, share: float, size_wh: tuple[int, int]) -> Box:
    """The box with so much of its longer side added on each side, inside the picture."""
    more = share * max(box[2] - box[0], box[3] - box[1])
    width, height = size_wh
    return max(0, box[0] - more), max(0, box[1] - more), min(width, box[2] + more), min(height, box[3] + more)


def plan_crop(
    subject: Box,
    size_wh: tuple[int, int],
    whole_wh: tuple[int, int],
    sides: Sequence[int],
    share: float,
    sample_aspect_ratio: Fraction = Fraction(1),
) -> Crop | None:
    """The crop that shows the subject largest, undistorted; None where the whole picture does about as well.

    `whole_wh` is the net's picture of the whole, which the crop's has at most `share` of the pixels of; its sides are
    of `sides`.
    """
    stretch = float(sample_aspect_ratio)  # widths are as displayed from here on
    width, height = size_wh[0] * stretch, float(size_wh[1])
    left, top, right, bottom = grown(subject, _MARGIN, size_wh)
    left, right = left * stretch, right * stretch
    least = _LEAST_SIDE * min(width, height)
    wide, high = max(right - left, least), max(bottom - top, least)
    best, best_scale = None, _LEAST_GAIN * min(whole_wh[0] / width, whole_wh[1] / height)
    for net_w in sides:
        for net_h in sides:
            if net_w * net_h > share * whole_wh[0] * whole_wh[1]:
                continue
            crop_w, crop_h = min(width, max(wide, high * net_w / net_h)), min(height, max(high, wide * net_h / net_w))
            scale = min(net_w / crop_w, net_h / crop_h)
            if scale >= best_scale:
                best, best_scale = (crop_w, crop_h, (net_w, net_h)), scale * (1 + 1e-9)
    if best is None:
        return None
    crop_w, crop_h, net_wh = best
    x = _begin((left + right) / 2, crop_w, width) / stretch
    y = _begin((top + bottom) / 2, crop_h, height)
    # Even, for chroma's sake.
    x_even, y_even = int(x) // 2 * 2, int(y) // 2 * 2
    end_x, end_y = int(np.ceil(x + crop_w / stretch)), int(np.ceil(y + crop_h))
    return Crop(x_even, y_even, min(size_wh[0], end_x), min(size_wh[1], end_y), net_wh)


def _begin(middle: float, length: float, of: float) -> float:
    return min(max(middle - length / 2, 0.0), of - length)


class Cutter:
    """Copies parts out of pictures. Owned by one thread; its buffer is allocated when a size or kind is new."""

    def __init__(self) -> None:
        self._part: Picture = np.empty((0, 0, 3), np.uint8)

    def cut(self, picture: Picture, crop: Crop) -> Picture:
        """The part as a picture of the same kind; overwritten by the next call."""
        rows, columns = slice(crop.top, crop.bottom), slice(crop.left, crop.right)
        size_wh = crop.right - crop.left, crop.bottom - crop.top
        part = self._part
        if isinstance(picture, I420):
            if not isinstance(part, I420) or part.size_wh != size_wh or part.color != picture.color:
                part = I420.allocate(size_wh, picture.color)
            part.y[:] = picture.y[rows, columns]
            half = slice(crop.top // 2, (crop.bottom + 1) // 2), slice(crop.left // 2, (crop.right + 1) // 2)
            part.u[:], part.v[:] = picture.u[half], picture.v[half]
        else:
            if isinstance(part, I420) or picture_size_wh(part) != size_wh:
                part = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
            part[:] = picture[rows, columns]
        self._part = part
        return part
