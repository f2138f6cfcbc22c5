"""Masks carried by optical flow: they follow what moves, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtmatte.frame import Picture
from rtmatte.temporal.carry import MaskPropagator
from tests.frames import noise_picture

_SIZE_WH = (320, 192)


def _scene(kind: str, shift: int, size_wh: tuple[int, int] = _SIZE_WH) -> tuple[Picture, np.ndarray]:
    """A textured disc, moved to the right by so many pixels, before a textured wall; and the disc's alpha."""
    width, height = size_wh
    rng = np.random.default_rng(1)
    wall = cv2.GaussianBlur(rng.integers(20, 110, (height, width)).astype(np.uint8), (0, 0), 3)
    skin = cv2.GaussianBlur(rng.integers(140, 255, (height, 2 * width)).astype(np.uint8), (0, 0), 3)
    rows, columns = np.mgrid[:height, :width]
    inside = (rows - height / 2) ** 2 + (columns - width / 2 - shift) ** 2 < (height / 4) ** 2
    luma = np.where(inside, skin[:, width - shift : 2 * width - shift], wall).astype(np.uint8)
    picture = noise_picture(kind, size_wh)
    if isinstance(picture, np.ndarray):
        picture[:] = luma[:, :, None]
    else:
        picture.y[:] = luma
    return picture, inside.astype(np.float32)


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one > 0.5, other > 0.5
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("shift", [0, 4, 12])
def test_the_mask_follows_the_disc(kind: str, shift: int) -> None:
    propagator = MaskPropagator()
    before, alpha = _scene(kind, 0)
    after, truth = _scene(kind, shift)
    propagator.remember(before, alpha)
    carried = propagator.propagate(after)
    assert carried.shape == alpha.shape
    assert carried.dtype == np.float32
    assert carried.min() >= 0
    assert carried.max() <= 1
    assert _iou(carried, truth) > (0.98 if shift == 0 else 0.9)
    assert shift == 0 or _iou(carried, truth) > _iou(alpha, truth) + 0.02


@pytest.mark.parametrize("shift", [2, 5, 8])
def test_the_outline_is_within_a_pixel(shift: int) -> None:
    """More than a pixel's breadth off the true outline lies at most a hundredth of the disc."""
    propagator = MaskPropagator()
    before, alpha = _scene("i420", 0)
    after, truth = _scene("i420", shift)
    propagator.remember(before, alpha)
    mask, disc = (propagator.propagate(after) > 0.5).astype(np.uint8), truth.astype(np.uint8)
    pixel = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
    beyond = (mask > cv2.dilate(disc, pixel)) | (mask < cv2.erode(disc, pixel))
    assert beyond.sum() <= disc.sum() / 100


def test_the_mask_may_have_another_resolution_than_the_frame() -> None:
    propagator = MaskPropagator()
    before, alpha = _scene("i420", 0)
    after, truth = _scene("i420", 10)
    propagator.remember(before, cv2.resize(alpha, (100, 60), interpolation=cv2.INTER_AREA))
    carried = cv2.resize(propagator.propagate(after), _SIZE_WH, interpolation=cv2.INTER_LINEAR)
    assert _iou(carried, truth) > 0.88


def test_always_from_the_remembered_frame_and_sizes_may_change() -> None:
    propagator = MaskPropagator()
    before, alpha = _scene("i420", 0)
    propagator.remember(before, alpha)
    there = propagator.propagate(_scene("i420", 12)[0]).copy()
    for shift in (3, 9, 12):
        last = propagator.propagate(_scene("i420", shift)[0])
    assert np.array_equal(last, there)
    smaller, small_alpha = _scene("bgr", 0, (96, 160))
    propagator.remember(smaller, small_alpha)
    assert _iou(propagator.propagate(smaller), small_alpha) > 0.97


def test_nothing_remembered_nothing_carried() -> None:
    propagator = MaskPropagator()
    picture, alpha = _scene("i420", 0)
    with pytest.raises(ValueError, match="none"):
        propagator.propagate(picture)
    propagator.remember(picture, alpha)
    alpha[:] = 0.5
    assert propagator.propagate(picture).max() > 0.9, "a copy was kept"
    propagator.reset()
    with pytest.raises(ValueError, match="none"):
        propagator.propagate(picture)
