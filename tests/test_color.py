"""Colour conversions against the formulas of the standards, written out anew in float64."""

from __future__ import annotations

import numpy as np
import pytest

from rtmatte.color import (
    bgr_into_i420,
    i420_into_bgr,
    recolor,
    yuv_of_rgb,
)
from rtmatte.frame import I420, ColorTags
from tests.frames import BT601, BT709, BT2020_FULL, UNTAGGED, means_of_blocks, noise_picture

BT709_FULL = ColorTags(matrix_code=1, full_range=True)


def yuv(bgr: np.ndarray, kr: float, kb: float, full: bool) -> list[np.ndarray]:
    """ITU-R BT.601, 709, 2020: Y' = KrR' + KgG' + KbB', Cb = (B' − Y')/(2 − 2Kb), Cr = (R' − Y')/(2 − 2Kr)."""
    b, g, r = (bgr[..., channel].astype(np.float64) / 255 for channel in range(3))
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    return [255 * y, 255 * cb + 128, 255 * cr + 128] if full else [219 * y + 16, 224 * cb + 128, 224 * cr + 128]


CASES = [(BT601, 0.299, 0.114), (BT709, 0.2126, 0.0722), (BT2020_FULL, 0.2627, 0.0593), (BT709_FULL, 0.2126, 0.0722)]


@pytest.mark.parametrize(("color", "kr", "kb"), CASES)
@pytest.mark.parametrize("size_wh", [(32, 18), (7, 5), (1, 1)])
def test_pictures_become_planes(color: ColorTags, kr: float, kb: float, size_wh: tuple[int, int]) -> None:
    bgr = noise_picture("bgr", size_wh)
    picture = I420.allocate(size_wh, color)
    bgr_into_i420(bgr, picture)
    y, u, v = yuv(bgr, kr, kb, color.full_range)
    for got, exact in zip(picture.planes, (y, means_of_blocks(u), means_of_blocks(v)), strict=True):
        assert np.abs(got - np.clip(exact, 0, 255)).max() <= 0.51


@pytest.mark.parametrize(("color", "kr", "kb"), CASES)
def test_there_and_back_again(color: ColorTags, kr: float, kb: float) -> None:
    blocks = noise_picture("bgr", (20, 12))
    bgr = blocks.repeat(2, axis=0).repeat(2, axis=1)
    picture, back = I420.allocate((40, 24), color), np.empty_like(bgr)
    bgr_into_i420(bgr, picture)
    i420_into_bgr(picture, back, 24)
    assert np.abs(back.astype(int) - bgr).max() <= 2


@pytest.mark.parametrize(
    ("was", "now"), [(BT601, BT709), (BT709, BT2020_FULL), (BT709_FULL, BT709), (BT2020_FULL, BT601)]
)
def test_recolouring_keeps_the_colours(was: ColorTags, now: ColorTags) -> None:
    blocks = np.random.default_rng(1).integers(30, 220, (12, 20, 3), np.uint8)
    bgr = blocks.repeat(2, axis=0).repeat(2, axis=1)
    source = I420.allocate((40, 24), was)
    bgr_into_i420(bgr, source)
    target = I420.over(source.buffer, (40, 24), now)
    recolor(target, was, 24)
    back = np.empty_like(bgr)
    i420_into_bgr(target, back, 24)
    assert np.abs(back.astype(int) - bgr).max() <= 4  # rounded to code values twice, then multiplied by up to 2.1


def test_recolouring_between_equal_colours_changes_nothing() -> None:
    picture = noise_picture("i420", (9, 7), UNTAGGED)
    before = picture.buffer.copy()
    recolor(picture, BT601, 7)  # untagged and small is BT.601
    assert np.array_equal(picture.buffer, before)


def test_well_known_values() -> None:
    assert yuv_of_rgb((255, 255, 255), BT709, 720) == (235, 128, 128)
    assert yuv_of_rgb((0, 0, 0), BT601, 720) == (16, 128, 128)
    assert yuv_of_rgb((255, 0, 0), BT601, 720) == (81, 90, 240)
    assert yuv_of_rgb((0, 255, 0), BT709, 720) == (173, 42, 26)
    assert yuv_of_rgb((255, 255, 255), BT2020_FULL, 720) == (255, 128, 128)
    assert yuv_of_rgb((255, 0, 0), UNTAGGED, 480) == yuv_of_rgb((255, 0, 0), BT601, 480)
    assert yuv_of_rgb((255, 0, 0), UNTAGGED, 720) == yuv_of_rgb((255, 0, 0), BT709, 720)
