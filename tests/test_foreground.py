"""Foreground colours against the formula in float64, and on composites whose foreground is known."""

from __future__ import annotations

import re
import tracemalloc

import cv2
import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from rtmatte.errors import SettingsError
from rtmatte.frame import I420
from rtmatte.refine import foreground_kernels
from rtmatte.refine.foreground import ForegroundColors
from rtmatte.refine.grid import Grid
from rtmatte.refine.grid_kernels import RADIUS
from rtmatte.shrink import Shrinker
from tests.frames import copy_of, flat_picture, noise_picture, planes
from tests.test_guided import disk_alpha, spread, whole


def soft_disk(size_wh: tuple[int, int], blur: float = 5) -> np.ndarray:
    return np.floor(cv2.GaussianBlur(disk_alpha(size_wh[::-1]), (0, 0), blur) * 255 + 0.5).astype(np.uint8)


def window_sums(cells: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.boxFilter(cells, -1, (2 * RADIUS + 1,) * 2, normalize=False, borderType=cv2.BORDER_CONSTANT))


def by_the_formula(
    plane: np.ndarray, alpha: np.ndarray, size_hw: tuple[int, int], grid_hw: tuple[int, int]
) -> np.ndarray:
    """F of one plane in float64; `alpha` is that of the frame, whatever the plane's size."""
    small, small_alpha = np.empty(grid_hw, np.uint8), np.empty(grid_hw, np.uint8)
    Shrinker().shrink(plane, small)
    Shrinker().shrink(alpha, small_alpha)
    color, a = small.astype(np.float64), small_alpha.astype(np.float64)
    fronts, backs = (window_sums(np.floor(w * w / 255 + 0.5)) for w in (a, 255 - a))
    front, back = (window_sums(color * np.floor(w * w / 255 + 0.5)) for w in (a, 255 - a))
    mean_front = np.where(fronts > 0, front / np.maximum(fronts, 1), back / np.maximum(backs, 1))
    mean_back = np.where(backs > 0, back / np.maximum(backs, 1), front / np.maximum(fronts, 1))
    half = plane.shape != size_hw
    middles = 2 * np.arange(plane.shape[1]) + 1.0 if half else np.arange(plane.shape[1]) + 0.5
    f, b = np.moveaxis(spread(np.stack([mean_front, mean_back], -1), size_hw, middles)[:: 2 if half else 1], -1, 0)
    if half:
        padded = np.pad(alpha.astype(int), [(0, s % 2) for s in size_hw], mode="edge")
        alpha = (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2] + 2) // 4
    a = alpha / 255
    return np.clip(f + a * (plane - a * f - (1 - a) * b), 0, 255)


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("size_wh", [(96, 64), (161, 93), (33, 47), (2, 2), (1, 1)])
def test_it_is_the_formula_near_the_edge_and_nothing_changes_elsewhere(kind: str, size_wh: tuple[int, int]) -> None:
    picture, alpha = noise_picture(kind, size_wh), soft_disk(size_wh, 2)
    alpha[:, -3:] = 0
    before, size_hw = copy_of(picture), size_wh[::-1]
    scale = min(1.0, 40 / max(size_wh))
    grid_hw = max(2, round(size_hw[0] * scale)), max(2, round(size_hw[1] * scale))
    ForegroundColors(grid_long_side=40).replace(picture, alpha)
    for got, plane in zip(planes(picture), planes(before), strict=True):
        exact = by_the_formula(np.ascontiguousarray(plane), alpha, size_hw, grid_hw)
        touched = np.abs(got - exact) <= 0.6
        assert (touched | (got == plane)).all()
        near = alpha if plane.shape == size_hw else alpha[::2, ::2]
        assert touched[(near > 0) & (near < 255)].all()


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_without_edges_stays_as_it_is(kind: str, value: int) -> None:
    picture = noise_picture(kind, (70, 50))
    before = copy_of(picture)
    ForegroundColors().replace(picture, np.full((50, 70), value, np.uint8))
    assert all(np.array_equal(got, was) for got, was in zip(planes(picture), planes(before), strict=True))


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_the_old_background_no_longer_shines_through(kind: str) -> None:
    size_wh, alpha = (640, 400), soft_disk((640, 400), 3)
    front, back = flat_picture(kind, size_wh, (60, 110, 150)), flat_picture(kind, size_wh, (200, 150, 90))
    picture = copy_of(front)
    for mixed, f, b in zip(planes(picture), planes(front), planes(back), strict=True):
        a = (alpha if mixed.shape[:2] == alpha.shape else alpha[::2, ::2]) / 255
        mixed[:] = np.round(a * f + (1 - a) * b)
    raw = error(picture, front, alpha)
    ForegroundColors().replace(picture, alpha)
    assert error(picture, front, alpha) < 0.35 * raw


def error(picture: I420 | np.ndarray, front: I420 | np.ndarray, alpha: np.ndarray) -> float:
    found = 0.0
    for got, true in zip(planes(picture), planes(front), strict=True):
        a = (alpha if got.shape == alpha.shape else alpha[::2, ::2]).astype(np.float64)
        a[a == 255] = 0
        found += float((a * np.abs(got.astype(int) - true)).sum() / a.sum())
    return found


@given(st.integers(20, 90), st.integers(20, 90), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_what_lies_far_from_the_person_is_left_out_without_a_trace(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    alpha = np.zeros((4 * height, 4 * width), np.uint8)
    top, left = random.integers(0, 4 * height), random.integers(0, 4 * width)
    alpha[top : top + random.integers(1, 60), left : left + random.integers(1, 60)] = random.integers(1, 256)
    partly, wholly = (ForegroundColors(grid_long_side=max(height, width)) for _ in range(2))
    for other in (255 - alpha, alpha):  # the first leaves means everywhere behind
        got, exact = (noise_picture("i420", (4 * width, 4 * height)) for _ in range(2))
        partly.replace(got, other)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Grid, "box", whole)
            wholly.replace(exact, other)
        assert np.abs(got.buffer.astype(int) - exact.buffer).max() <= 1  # sums in another order


def test_a_steady_run_allocates_nothing_of_frame_size() -> None:
    picture, alpha, colors = noise_picture("i420", (640, 400)), soft_disk((640, 400)), ForegroundColors()
    colors.replace(picture, alpha)
    tracemalloc.start()
    colors.replace(picture, alpha)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SettingsError):
        ForegroundColors(grid_long_side=1)
    with pytest.raises(ValueError, match="uint8"):
        ForegroundColors().replace(noise_picture("bgr", (8, 6)), np.zeros((6, 7), np.uint8))


ROW, PLANE = np.ones(64, np.float32), np.zeros(64, np.uint8)
HOT_LOOPS = {
    "fuse_row": (PLANE.copy(), PLANE, ROW, ROW),
    "fuse_bgr_row": (np.zeros(192, np.uint8), PLANE, np.zeros((6, 64), np.float32)),
    "invert_row": (ROW, ROW.copy()),
    "mean_row": (ROW, ROW, ROW, ROW, ROW.copy()),
}


@pytest.mark.parametrize("name", HOT_LOOPS)
def test_the_inner_loops_compile_to_packed_arithmetic(name: str) -> None:
    if not llvm.get_host_cpu_features().get("avx2", False):
        pytest.skip("no AVX2 on this processor")
    compiled = njit(nogil=True, error_model="numpy")(getattr(foreground_kernels, name).py_func)
    compiled(*HOT_LOOPS[name])
    (assembly,) = compiled.inspect_asm().values()
    assert re.search(r"v(mul|fmadd\d+|fnmadd\d+|div)ps\s.*%[yz]mm", assembly)
