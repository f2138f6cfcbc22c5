"""Makes frames for tests of the stages between decoder and encoder."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from rtmatte.frame import I420, UNSPECIFIED, ColorTags, Frame, Picture

TIME_BASE = Fraction(1, 1000)

BT601 = ColorTags(matrix_code=6)
BT709 = ColorTags(matrix_code=1)
BT2020_FULL = ColorTags(matrix_code=9, full_range=True, range_tagged=True)
UNTAGGED = ColorTags(matrix_code=UNSPECIFIED)


def at(picture: Picture, milliseconds: int = 0) -> Frame:
    """A frame of that picture, shown from then on."""
    return Frame(picture, milliseconds, TIME_BASE, index=0)


def noise_picture(kind: str, size_wh: tuple[int, int], color: ColorTags = UNTAGGED, seed: int = 0) -> Picture:
    """Random code values: `kind` is "i420" or "bgr"."""
    random = np.random.default_rng(seed)
    if kind == "bgr":
        return random.integers(0, 256, (size_wh[1], size_wh[0], 3), np.uint8)
    picture = I420.allocate(size_wh, color)
    picture.buffer[:] = random.integers(0, 256, picture.buffer.size, np.uint8)
    return picture


def flat_picture(
    kind: str, size_wh: tuple[int, int], values: tuple[int, int, int], color: ColorTags = UNTAGGED
) -> Picture:
    """One colour: code values in the order of the planes or channels."""
    picture = noise_picture(kind, size_wh, color)
    for plane, value in zip(planes(picture), values, strict=True):
        plane[...] = value
    return picture


def planes(picture: Picture) -> list[np.ndarray]:
    """Y, U, V or B, G, R, as views."""
    return list(picture.planes) if isinstance(picture, I420) else [picture[:, :, channel] for channel in range(3)]


def copy_of(picture: Picture) -> Picture:
    if isinstance(picture, I420):
        return I420.over(picture.buffer.copy(), picture.size_wh, picture.color)
    return picture.copy()


def means_of_blocks(full: np.ndarray) -> np.ndarray:
    """Float64 means of 2x2 blocks; at odd edges of the pixels there."""
    height, width = full.shape
    even = np.pad(full.astype(np.float64), ((0, height % 2), (0, width % 2)), constant_values=np.nan)
    blocks = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    return np.nanmean(blocks, axis=(1, 3))
