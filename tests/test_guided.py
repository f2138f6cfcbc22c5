"""The guided filter against float64 code that follows the paper window by window, and what it is there for."""

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
from rtmatte.refine import grid_kernels, guided_apply, guided_kernels
from rtmatte.refine.grid import Grid
from rtmatte.refine.grid_kernels import RADIUS
from rtmatte.refine.guided import GuidedFilter
from rtmatte.refine.upscale import Upscale
from rtmatte.shrink import Shrinker
from tests.frames import at, flat_picture, noise_picture

EPSILONS = 195.0, 22.0


def fits_by_window(planes: np.ndarray, epsilons: tuple[float, float]) -> np.ndarray:
    """(h, w, 4) float64: a for Y, U, V and b of the window about each cell, then the mean over all windows with it."""
    guide, p = planes[:3].astype(np.float64), planes[3].astype(np.float64)
    height, width = p.shape
    fits = np.empty((height, width, 4))
    for y in range(height):
        for x in range(width):
            window = np.s_[max(y - RADIUS, 0) : y + RADIUS + 1, max(x - RADIUS, 0) : x + RADIUS + 1]
            colors, alphas = guide[:, *window].reshape(3, -1), p[window].ravel()
            ridge = np.diag([epsilons[0], epsilons[1], epsilons[1]])
            covariance = np.cov(colors, bias=True) + ridge
            a = np.linalg.solve(covariance, (colors * alphas).mean(1) - colors.mean(1) * alphas.mean())
            fits[y, x] = *a, alphas.mean() - a @ colors.mean(1)
    means = np.empty_like(fits)
    for y in range(height):
        for x in range(width):
            window = np.s_[max(y - RADIUS, 0) : y + RADIUS + 1, max(x - RADIUS, 0) : x + RADIUS + 1]
            means[y, x] = fits[window].mean((0, 1))
    return means


def spread(maps: np.ndarray, size_hw: tuple[int, int], x_middles: np.ndarray) -> np.ndarray:
    """(h, w, c) float64 interpolated linearly at the middle of every row and at `x_middles`, in pixels."""

    def places(middles: np.ndarray, cells: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        place = np.clip(middles * cells / pixels - 0.5, 0, cells - 1)
        low = np.minimum(np.floor(place).astype(int), cells - 2)
        return low, place - low

    y, fy = places(np.arange(size_hw[0]) + 0.5, maps.shape[0], size_hw[0])
    x, fx = places(x_middles, maps.shape[1], size_hw[1])
    rows = maps[y] * (1 - fy)[:, None, None] + maps[y + 1] * fy[:, None, None]
    return rows[:, x] * (1 - fx)[None, :, None] + rows[:, x + 1] * fx[None, :, None]


def small_planes(picture: I420, alpha: np.ndarray, grid_hw: tuple[int, int], opaque_from: float) -> np.ndarray:
    planes = np.empty((4, *grid_hw), np.uint8)
    for plane, target in zip(picture.planes, planes, strict=False):
        Shrinker().shrink(plane, target)
    planes[3] = np.floor(np.minimum(alpha.astype(np.float64) / opaque_from, 1) * 255 + 0.5)
    return planes


def by_the_paper(picture: I420, planes: np.ndarray, gain: float, fitted: float) -> np.ndarray:
    """Alpha at frame size in float64: the share `fitted` of it by the paper, the rest interpolated."""
    size_hw = picture.y.shape
    maps = fits_by_window(planes, EPSILONS)
    maps[:, :, :3] *= gain
    maps[:, :, 3] = (maps[:, :, 3] - 127.5) * gain + 127.5
    maps *= fitted
    maps[:, :, 3] += (1 - fitted) * planes[3]
    luma = spread(maps, size_hw, np.arange(size_hw[1]) + 0.5)
    chroma = spread(maps, size_hw, 2 * np.arange(picture.u.shape[1]) + 1.0)
    twice = np.s_[np.arange(size_hw[0])[:, None] // 2, np.arange(size_hw[1])[None] // 2]
    chroma = np.take_along_axis(chroma, (np.arange(size_hw[1]) // 2)[None, :, None], axis=1)
    alpha = luma[..., 0] * picture.y + chroma[..., 1] * picture.u[twice] + chroma[..., 2] * picture.v[twice]
    return np.clip(alpha + chroma[..., 3], 0, 255)


def scene(size_wh: tuple[int, int], grid_hw: tuple[int, int], seed: int = 0) -> tuple[I420, np.ndarray]:
    """A noisy picture with a bright disk, and a soft small alpha of it that is pure far away."""
    picture = noise_picture("i420", size_wh, seed=seed)
    assert isinstance(picture, I420)
    for plane, inside, outside in zip(picture.planes, (190, 100, 160), (60, 130, 120), strict=True):
        disk = disk_alpha(plane.shape)
        plane[:] = np.clip(disk * inside + (1 - disk) * outside + plane.astype(float) / 16 - 8, 0, 255)
    small = cv2.resize(disk_alpha(picture.y.shape).astype(np.float32), grid_hw[::-1], interpolation=cv2.INTER_AREA)
    return picture, np.clip(cv2.GaussianBlur(small, (5, 5), 0) * 1.2 - 0.1, 0, 1)


def disk_alpha(shape_hw: tuple[int, ...]) -> np.ndarray:
    y, x = np.ogrid[: shape_hw[0], : shape_hw[1]]
    return (np.hypot((y + 0.5) / shape_hw[0] - 0.5, (x + 0.5) / shape_hw[1] - 0.4) < 0.25).astype(np.float64)


@pytest.mark.parametrize("size_wh", [(96, 64), (161, 93), (40, 24), (2, 2), (1, 1), (3, 50)])
@pytest.mark.parametrize(("gain", "opaque_from", "fitted"), [(1.0, 1.0, 1.0), (1.25, 0.5, 0.75), (1.1, 0.7, 0.0)])
def test_it_is_what_the_paper_says(size_wh: tuple[int, int], gain: float, opaque_from: float, fitted: float) -> None:
    scale = min(1.0, 40 / max(size_wh))
    grid_hw = max(2, round(size_wh[1] * scale)), max(2, round(size_wh[0] * scale))
    picture, alpha = scene(size_wh, grid_hw)
    guided = GuidedFilter(
        grid_long_side=40,
        epsilon_y=EPSILONS[0],
        epsilon_uv=EPSILONS[1],
        gain=gain,
        fitted=fitted,
        opaque_from=opaque_from,
    )
    got = guided.refine(at(picture), alpha)
    exact = by_the_paper(picture, small_planes(picture, alpha, grid_hw, opaque_from), gain, fitted)
    assert np.abs(got - exact).max() <= 0.6


@given(st.integers(2, 21), st.integers(2, 21), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_maps_are_exact_for_any_planes(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    planes = random.integers(0, 256, (4, height, width), np.uint8)
    planes[3, :, : width // 2] = random.choice([0, 255])
    fits, maps = np.empty((2, height, 4, width), np.float32)
    columns, kinds = np.empty((14, width + 2 * RADIUS), np.float32), np.empty((height, width), np.uint8)
    count = np.array([min(x + RADIUS, width - 1) - max(x - RADIUS, 0) + 1 for x in range(width)], np.float32)
    sums, one = np.empty((14, width), np.float32), np.ones(width, np.uint8)
    box = 0, height, 0, width
    guided_kernels.fit_grid(planes, box, one, columns, sums, fits, *EPSILONS)
    guided_kernels.average_fits(fits, planes[3], box, columns[:4], sums[:4], count, maps, kinds, 1.0, 1.0)
    exact = fits_by_window(planes, EPSILONS).transpose(0, 2, 1)
    assert np.abs(maps[:, :3] - exact[:, :3]).max() < 1e-3
    assert np.abs(maps[:, 3] - exact[:, 3]).max() < 0.1
    for kind in (0, 255):
        sure = maps[:, :3].transpose(0, 2, 1)[kinds == kind]
        least, most = (maps[:, 3][kinds == kind] + 255 * part(sure, 0).sum(axis=1) for part in (np.minimum, np.maximum))
        assert most.max(initial=0) < 0.5 if kind == 0 else least.min(initial=255) >= 254.5


def whole(grid: Grid, _plane: np.ndarray, _reach: int) -> tuple[int, int, int, int]:
    """Of `Grid.box`, without leaving anything out."""
    return 0, grid.shape_hw[0], 0, grid.shape_hw[1]


@given(st.integers(20, 90), st.integers(20, 90), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_what_lies_far_from_the_person_is_left_out_without_a_trace(height: int, width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    picture = noise_picture("i420", (4 * width, 4 * height))
    alpha = np.zeros((height, width), np.float32)
    top, left = random.integers(0, height), random.integers(0, width)
    alpha[top : top + random.integers(1, 12), left : left + random.integers(1, 12)] = random.random()
    partly, wholly = (GuidedFilter(grid_long_side=max(height, width)) for _ in range(2))
    for other in (1 - alpha, alpha):  # the first leaves fits everywhere behind
        got = partly.refine(at(picture), other)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Grid, "box", whole)
            exact = wholly.refine(at(picture), other)
        assert np.abs(got.astype(int) - exact).max() <= 1  # sums in another order


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_what_is_filled_is_what_would_be_computed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    alpha = scene((321, 201), (25, 40))[1]
    picture = noise_picture(kind, (321, 201))
    filled = GuidedFilter(grid_long_side=40).refine(at(picture), alpha).copy()
    everywhere = GuidedFilter(grid_long_side=40)
    average = guided_kernels.average_fits

    def all_uncertain(*args: object) -> None:
        average(*args)
        args[7][:] = grid_kernels.UNCERTAIN  # type: ignore[index]

    monkeypatch.setattr(guided_kernels, "average_fits", all_uncertain)
    monkeypatch.setattr(Grid, "box", whole)
    assert np.array_equal(everywhere.refine(at(picture), alpha), filled)
    assert (filled[:, -64:] == 0).all()


def test_both_kinds_of_picture_give_the_same_alpha() -> None:
    picture, alpha = scene((320, 200), (20, 32))
    bgr = cv2.cvtColor(picture.buffer.reshape(300, 320), cv2.COLOR_YUV2BGR_I420)
    planes_alpha = GuidedFilter(grid_long_side=32).refine(at(picture), alpha).copy()
    bgr_alpha = GuidedFilter(grid_long_side=32).refine(at(bgr), alpha)
    assert np.abs(planes_alpha.astype(int) - bgr_alpha).mean() < 1.5


def test_alpha_snaps_to_the_edge_of_the_picture() -> None:
    picture, alpha = scene((640, 400), (40, 64))
    truth = 255 * disk_alpha((400, 640))
    plain = np.abs(Upscale().refine(at(picture), alpha) - truth).mean()
    guided = np.abs(GuidedFilter(grid_long_side=64).refine(at(picture), alpha) - truth).mean()
    assert guided < 0.5 * plain


def test_on_a_picture_without_edges_alpha_stays_soft_and_in_place() -> None:
    alpha = scene((640, 400), (40, 64))[1]
    got = GuidedFilter(grid_long_side=64, gain=1, opaque_from=1).refine(
        at(flat_picture("i420", (640, 400), (90, 128, 128))), alpha
    )
    assert abs(float(got.mean()) / 255 - float(alpha.mean())) < 0.005


def test_a_steady_run_allocates_nothing_of_frame_size() -> None:
    picture, alpha = scene((640, 400), (40, 64))
    guided = GuidedFilter()
    guided.refine(at(picture), alpha)
    tracemalloc.start()
    guided.refine(at(picture), alpha)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000


@pytest.mark.parametrize(
    "options",
    [
        {"grid_long_side": 1},
        {"epsilon_y": 0.0},
        {"epsilon_uv": -1.0},
        {"gain": 0.9},
        {"gain": float("nan")},
        {"fitted": -0.1},
        {"fitted": 1.1},
        {"opaque_from": 0.0},
        {"opaque_from": 1.1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        GuidedFilter(**options)  # type: ignore[arg-type]


ROW, PLANE = np.zeros(64, np.float32), np.zeros(64, np.uint8)
HOT_LOOPS = {
    "accumulate": (grid_kernels.accumulate, (ROW.copy(), PLANE, PLANE, np.float32(1))),
    "sum_across": (grid_kernels.sum_across, (np.zeros((14, 70), np.float32), np.zeros((14, 64), np.float32), 64)),
    "solve_row": (
        guided_kernels.solve_row,
        (np.ones((14, 64), np.float32), np.ones((4, 64), np.float32), 0, 64, 1.0, 1.0),
    ),
    "between": (grid_kernels.between, (ROW, ROW, np.float32(0.5), ROW.copy())),
    "luma_row": (guided_apply.luma_row, (PLANE, ROW, ROW, PLANE.copy())),
    "chroma_row": (guided_apply.chroma_row, (PLANE, PLANE, ROW, ROW, ROW, np.zeros(128, np.float32))),
    "bgr_row": (guided_apply.bgr_row, (np.zeros(192, np.uint8), ROW, ROW, ROW, ROW, PLANE.copy())),
}


@pytest.mark.parametrize("name", HOT_LOOPS)
def test_the_inner_loops_compile_to_packed_arithmetic(name: str) -> None:
    if not llvm.get_host_cpu_features().get("avx2", False):
        pytest.skip("no AVX2 on this processor")
    kernel, arguments = HOT_LOOPS[name]
    compiled = njit(nogil=True, error_model="numpy")(kernel.py_func)  # afresh: cached code has no assembly to look at
    compiled(*arguments)
    (assembly,) = compiled.inspect_asm().values()
    assert re.search(r"v(mul|add|fmadd\d+)ps\s.*%[yz]mm", assembly)
