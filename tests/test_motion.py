"""Flow between small planes: what it finds, what it distrusts, and what it does with pictures of any size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtmatte.frame import I420, U8, ColorTags
from rtmatte.temporal import kernels
from rtmatte.temporal.motion import Motion, Warp, small_luma, small_luma_cells


def _texture(size_wh: tuple[int, int], seed: int) -> U8:
    noise = np.random.default_rng(seed).integers(0, 255, size_wh[::-1]).astype(np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 20, 230, cv2.NORM_MINMAX), np.uint8)


def _picture(luma: U8) -> I420:
    picture = I420.allocate(luma.shape[::-1], ColorTags())
    picture.buffer[:] = 128
    picture.y[:] = luma
    return picture


@pytest.mark.parametrize(
    ("size_wh", "small_wh"),
    [
        ((1280, 720), (256, 144)),
        ((1920, 1080), (240, 135)),
        ((640, 480), (213, 160)),
        ((480, 1920), (60, 240)),
        ((4000, 32), (2000, 16)),
        ((17, 9), (17, 9)),
        ((1, 1), (1, 1)),
    ],
)
def test_small_planes_are_of_square_whole_cells(size_wh: tuple[int, int], small_wh: tuple[int, int]) -> None:
    luma = _texture(size_wh, 0) if min(size_wh) > 1 else np.full((1, 1), 7, np.uint8)
    small = small_luma(_picture(luma))
    assert small.shape == small_wh[::-1]
    step = size_wh[0] // small_wh[0]
    cells = luma[: small_wh[1] * step, : small_wh[0] * step].reshape(small_wh[1], step, small_wh[0], step)
    assert np.abs(small - cells.mean(axis=(1, 3))).max() <= 0.5 + 1e-6
    again = small_luma(_picture(luma), small)
    assert again is small


@pytest.mark.parametrize("size_wh", [(256, 144), (240, 16), (16, 240), (40, 20), (15, 300), (9, 9)])
def test_a_picture_that_pans_is_found_to_pan(size_wh: tuple[int, int]) -> None:
    wide = _texture((size_wh[0] + 6, size_wh[1]), 1)
    motion = Motion()
    motion.find(np.ascontiguousarray(wide[:, 3:-3]), np.ascontiguousarray(wide[:, :-6]))
    assert np.isfinite(motion.flow).all()
    if min(size_wh) >= 16:
        assert abs(float(np.median(motion.flow[..., 0])) - 3) < 0.2
        assert abs(float(np.median(motion.flow[..., 1]))) < 0.2
    else:
        assert not motion.flow.any(), "too small for OpenCV"


def test_a_still_picture_with_noise_stands_still() -> None:
    plane = _texture((240, 160), 2)
    noise = np.random.default_rng(3).normal(0, 1, (2, 160, 240))
    motion = Motion()
    one, other = (np.clip(np.rint(plane + n), 0, 255).astype(np.uint8) for n in noise)
    motion.find(one, other)
    assert np.abs(motion.flow).max() < 0.1
    assert motion.residual.max() < 3


def test_the_next_call_does_not_depend_on_the_last() -> None:
    one, other, third = (_texture((120, 90), seed) for seed in (4, 5, 6))
    fresh, used = Motion(), Motion()
    used.find(third, one)
    for motion in (fresh, used):
        motion.find(one, other)
    assert np.array_equal(fresh.flow, used.flow)
    assert np.array_equal(fresh.residual, used.residual)


def test_buffers_are_reused() -> None:
    one, other = _texture((120, 90), 4), _texture((120, 90), 5)
    motion = Motion()
    motion.find(one, other)
    flow, residual = motion.flow, motion.residual
    motion.find(other, one)
    assert motion.flow is flow
    assert motion.residual is residual


def test_stillness_is_preferred_as_the_formula_says() -> None:
    rng = np.random.default_rng(7)
    flow = rng.normal(0, 5, (20, 30, 2)).astype(np.float32)
    moved, still = (rng.uniform(0, 40, (20, 30)).astype(np.float32) for _ in range(2))
    trust = still.astype(float) ** 4 / (still.astype(float) ** 4 + moved.astype(float) ** 4 + 2.0**4)
    expected_flow = flow * trust[..., None]
    expected_residual = trust * moved + (1 - trust) * still
    kernels.prefer_stillness(flow, moved, still, 2.0)
    assert np.allclose(flow, expected_flow, atol=1e-4)
    assert np.allclose(still, expected_residual, atol=1e-4)


@pytest.mark.parametrize("shape_hw", [(144, 256), (72, 100), (1, 3)])
def test_a_warp_fetches_from_where_the_flow_leads(shape_hw: tuple[int, int]) -> None:
    """A map that tells columns comes out shifted by the flow in the map's own pixels; the edge is repeated."""
    height, width = shape_hw
    picture = _picture(np.zeros((720, 1280), np.uint8))
    flow = np.zeros((144, 256, 2), np.float32)
    flow[..., 0] = 10
    values = np.tile(np.arange(width, dtype=np.float32), (height, 1))
    out = np.empty_like(values)
    Warp().warp(values, flow, out, small_luma_cells(picture))
    assert np.allclose(out, np.minimum(values + 10 * width / 256, width - 1), atol=0.05)
