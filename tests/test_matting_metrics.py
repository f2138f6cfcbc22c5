"""The quality benchmark's metrics: against slow float64 code written from the papers, and against known answers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scoring import metrics
from scoring.connectivity import connected_levels

U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]


# --- the references: loops over pixels, no OpenCV, no kernels -------------------------------------------------------


def reference_grad(alpha: U8, truth: U8) -> float:
    return float(((_gradient(_stretched(truth)) - _gradient(_stretched(alpha))) ** 2).sum()) / 1000


def _stretched(alpha: U8) -> F64:
    values = alpha.astype(np.float64)
    span = values.max() - values.min()
    return (values - values.min()) / span if span else values * 0


def _gradient(values: F64) -> F64:
    sigma, reach = 1.4, 4
    kernel = np.array(
        [
            [-x * math.exp(-(x * x + y * y) / (2 * sigma**2)) for x in range(-reach, reach + 1)]
            for y in range(-reach, reach + 1)
        ]
    )
    kernel /= math.sqrt((kernel**2).sum())
    padded = np.pad(values, reach, mode="edge")
    out = np.zeros(values.shape)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            window = padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1]
            out[y, x] = math.hypot((window * kernel).sum(), (window * kernel.T).sum())
    return out


def reference_levels(alpha: U8, truth: U8) -> F64:
    """The connectivity level of each pixel in [0, 1]: the step before the first that leaves it out."""
    levels = np.full(alpha.shape, -1.0)
    for step in range(1, 11):
        common = np.minimum(alpha, truth).astype(int) * 10 >= 255 * step
        piece = _largest_piece(common)
        for y in range(alpha.shape[0]):
            for x in range(alpha.shape[1]):
                if levels[y, x] == -1 and (y, x) not in piece:
                    levels[y, x] = (step - 1) / 10
    levels[levels == -1] = 1
    return levels


def _largest_piece(mask: NDArray[np.bool_]) -> set[tuple[int, int]]:
    best: set[tuple[int, int]] = set()
    seen: set[tuple[int, int]] = set()
    for start in zip(*np.nonzero(mask), strict=True):
        if start in seen:
            continue
        piece, waiting = {start}, deque([start])
        while waiting:
            y, x = waiting.popleft()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= near[0] < mask.shape[0] and 0 <= near[1] < mask.shape[1]
                if inside and mask[near] and near not in piece:
                    piece.add(near)
                    waiting.append(near)
        seen |= piece
        if len(piece) > len(best):
            best = piece
    return best


def reference_conn(alpha: U8, truth: U8) -> float:
    levels = reference_levels(alpha, truth)
    total = 0.0
    for y in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            lacks = [float(values[y, x]) / 255 - levels[y, x] for values in (truth, alpha)]
            phis = [1 - lack if lack >= 0.15 else 1.0 for lack in lacks]
            total += abs(phis[0] - phis[1])
    return total / 1000


def reference_boundary_f(alpha: U8, truth: U8) -> float:
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    return _outline_f(alpha, truth, lambda down, right: down**2 + right**2 <= radius**2)


def reference_boundary_f_narrow(alpha: U8, truth: U8) -> float:
    reach = round(0.004 * math.hypot(*truth.shape))
    return _outline_f(alpha, truth, lambda down, right: max(abs(down), abs(right)) <= reach)


def _outline_f(alpha: U8, truth: U8, near: Callable[[int, int], bool]) -> float:
    points, true_points = _outline(alpha > 127.5), _outline(truth > 127.5)
    if not points and not true_points:
        return 100.0
    precision, recall = _share_near(points, true_points, near), _share_near(true_points, points, near)
    return 200 * precision * recall / (precision + recall) if precision + recall else 0.0


def _outline(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    height, width = mask.shape
    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if any(
            mask[y, x] != mask[min(y + down, height - 1), min(x + right, width - 1)]
            for down, right in ((0, 1), (1, 0), (1, 1))
        )
    ]


def _share_near(
    points: list[tuple[int, int]], others: list[tuple[int, int]], near: Callable[[int, int], bool]
) -> float:
    found = sum(any(near(y - v, x - u) for v, u in others) for y, x in points)
    return found / len(points) if points else 0.0


# --- pictures -------------------------------------------------------------------------------------------------------


def blobs(seed: int, shape_hw: tuple[int, int] = (29, 41)) -> U8:
    """Soft blobs with holes and specks, from 0 to 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape_hw[0], : shape_hw[1]]
    field = np.full(shape_hw, -0.3)
    for _ in range(4):
        cy, cx, r = rng.uniform(0, shape_hw[0]), rng.uniform(0, shape_hw[1]), rng.uniform(4, 9)
        field += 1.5 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (r * r))
    field += rng.normal(0, 0.06, shape_hw)
    return np.clip(np.rint(field * 255), 0, 255).astype(np.uint8)


def square(shape_hw: tuple[int, int] = (40, 60), rows: slice = slice(10, 30), columns: slice = slice(20, 40)) -> U8:
    alpha = np.zeros(shape_hw, np.uint8)
    alpha[rows, columns] = 255
    return alpha


PAIRS = [(blobs(seed), blobs(seed + 100)) for seed in range(4)] + [(blobs(7), blobs(7)), (square(), blobs(3, (40, 60)))]


# --- against the references -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alpha", "truth"), PAIRS)
def test_against_the_references(alpha: U8, truth: U8) -> None:
    a, t = alpha.astype(np.float64) / 255, truth.astype(np.float64) / 255
    assert metrics.mad(alpha, truth) == pytest.approx(np.abs(a - t).mean() * 1e3, rel=1e-9)
    assert metrics.mse(alpha, truth) == pytest.approx(((a - t) ** 2).mean() * 1e3, rel=1e-9)
    assert metrics.grad(alpha, truth) == pytest.approx(reference_grad(alpha, truth), rel=1e-4, abs=1e-9)
    assert metrics.conn(alpha, truth) == pytest.approx(reference_conn(alpha, truth), rel=1e-9, abs=1e-12)
    assert metrics.boundary_f(alpha, truth) == pytest.approx(reference_boundary_f(alpha, truth), rel=1e-12)
    narrow = metrics.boundary_f_narrow(alpha, truth)
    assert narrow == pytest.approx(reference_boundary_f_narrow(alpha, truth), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_connected_levels_against_flood_fill(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (17, 23)).astype(np.uint8)
    assert np.array_equal(connected_levels(noise), np.rint(reference_levels(noise, noise) * 10))


def test_dtssd_against_float64() -> None:
    alpha, before, truth, truth_before = (blobs(seed) for seed in range(4))
    changes = [(x.astype(np.float64) - y) / 255 for x, y in ((alpha, before), (truth, truth_before))]
    expected = math.sqrt(((changes[0] - changes[1]) ** 2).mean()) * 100
    assert metrics.dtssd(alpha, before, truth, truth_before) == pytest.approx(expected, rel=1e-9)


# --- answers worked out ---------------------------------------------------------------------------------------------


def test_a_perfect_matte_scores_perfectly() -> None:
    truth = blobs(1)
    for name in ("mad", "mse", "grad", "conn"):
        assert getattr(metrics, name)(truth, truth) == pytest.approx(0, abs=1e-9)
    assert metrics.boundary_f(truth, truth) == metrics.iou(truth, truth) == 100
    assert metrics.dtssd(truth, truth, truth, truth) == 0


def test_mad_and_mse_of_a_wrong_quarter() -> None:
    truth = np.zeros((20, 20), np.uint8)
    alpha = truth.copy()
    alpha[:10, :10] = 51  # 0.2
    assert metrics.mad(alpha, truth) == pytest.approx(0.2 / 4 * 1e3)
    assert metrics.mse(alpha, truth) == pytest.approx(0.04 / 4 * 1e3)


def test_grad_of_a_lost_edge_is_the_edges_own_gradient() -> None:
    # A long vertical step: each row gives the sum of squares of the step's response, the same for all rows.
    truth = square((50, 60), slice(0, 50), slice(30, 60))
    kernel = np.array([-x * math.exp(-x * x / 3.92) for x in range(-4, 5)])
    smooth = np.array([math.exp(-x * x / 3.92) for x in range(-4, 5)])
    kernel, smooth = kernel / np.linalg.norm(kernel), smooth / np.linalg.norm(smooth)
    response = np.correlate(np.pad((np.arange(60) >= 30).astype(float), 4, "edge"), kernel, "valid") * smooth.sum()
    expected = 50 * (response**2).sum() / 1000
    assert metrics.grad(np.zeros_like(truth), truth) == pytest.approx(expected, rel=1e-5)


def test_grad_stretches_faint_mattes_only_where_there_is_something_to_find() -> None:
    truth, faint = square(), square() // 5
    assert metrics.grad(faint, truth) == pytest.approx(0, abs=1e-9)
    empty = np.zeros_like(truth)
    # In an empty room a matte of 0.2 counts with 0.2, not as if it were opaque.
    assert metrics.grad(faint, empty) == pytest.approx(metrics.grad(square(), empty) * 0.04, rel=1e-5)


def test_conn_counts_a_loose_speck_with_its_height() -> None:
    truth = square()
    alpha = truth.copy()
    alpha[2:4, 2:4] = 255
    assert metrics.conn(alpha, truth) == pytest.approx(4 / 1000)
    alpha[2:4, 2:4] = 38  # 0.149 above its level: below what counts
    assert metrics.conn(alpha, truth) == 0
    alpha[2:4, 2:4] = 39
    assert metrics.conn(alpha, truth) == pytest.approx(4 * 39 / 255 / 1000)


def test_dtssd_of_a_blink() -> None:
    truth = square()
    blank = np.zeros_like(truth)
    # 400 of 2400 pixels jump by 1.
    assert metrics.dtssd(blank, truth, truth, truth) == pytest.approx(math.sqrt(400 / 2400) * 100)
    assert metrics.dtssd(blank, truth, blank, truth) == 0


def test_boundary_f_forgives_up_to_the_tolerance() -> None:
    truth = square((300, 400), slice(100, 200), slice(100, 200))  # a diagonal of 500: 4 pixels

    def shifted(by: int) -> U8:
        return square((300, 400), slice(100, 200), slice(100 + by, 200 + by))

    assert metrics.boundary_f(shifted(4), truth) == 100
    assert metrics.boundary_f(shifted(5), truth) < 80
    assert metrics.boundary_f_narrow(shifted(2), truth) == 100
    assert metrics.boundary_f_narrow(shifted(3), truth) < 80
    assert metrics.boundary_f(np.zeros_like(truth), truth) == 0
    assert metrics.boundary_f(truth, np.zeros_like(truth)) == 0
    assert metrics.boundary_f(np.zeros_like(truth), np.zeros_like(truth)) == 100


def test_iou_of_half_an_overlap() -> None:
    truth, alpha = square(columns=slice(20, 40)), square(columns=slice(30, 50))
    assert metrics.iou(alpha, truth) == pytest.approx(100 / 3)
    assert metrics.iou(truth // 2, truth) == 0  # 127 isn't over one half
    assert metrics.iou(np.zeros_like(truth), np.zeros_like(truth)) == 100


def test_flicker_looks_at_still_places_only() -> None:
    rng = np.random.default_rng(0)
    luma = rng.integers(60, 200, (40, 60)).astype(np.uint8)
    truth, before = square(), square()
    alpha = before.copy()
    alpha[15:25, 25:35] = 204  # falls by 0.2 on 100 of 2400 pixels
    whole = metrics.flicker(alpha, before, truth, truth, luma, luma)
    assert whole == pytest.approx(math.sqrt(100 * 0.04 / 2400) * 100)
    # The same change counts for nothing where the truth changes too, or where the picture does.
    truth_before = truth.copy()
    truth_before[15:25, 25:35] = 254
    assert metrics.flicker(alpha, before, truth, truth_before, luma, luma) == 0
    moved = luma.copy()
    moved[10:30, 20:40] = 255 - moved[10:30, 20:40] // 4
    assert metrics.flicker(alpha, before, truth, truth, moved, luma) < whole / 3
    assert math.isnan(metrics.flicker(alpha, before, truth, truth, np.zeros_like(luma), luma))


def test_flicker_overlooks_sensor_noise() -> None:
    rng = np.random.default_rng(1)
    luma = np.full((60, 80), 120.0)
    first, second = ((luma + rng.normal(0, 2, luma.shape)).round().astype(np.uint8) for _ in range(2))
    truth = np.zeros((60, 80), np.uint8)
    alpha = np.full_like(truth, 51)
    assert metrics.flicker(alpha, truth, truth, truth, first, second) == pytest.approx(20, rel=1e-2)


def test_empty_alpha_is_for_empty_rooms() -> None:
    room = np.zeros((40, 60), np.uint8)
    assert metrics.empty_alpha(np.full_like(room, 51), room) == pytest.approx(200)
    assert math.isnan(metrics.empty_alpha(room, square()))
    # A shoulder at the edge, right or wrong, isn't part of the room.
    shoulder = square(rows=slice(38, 40), columns=slice(0, 20))
    assert metrics.empty_alpha(shoulder, shoulder) == 0


def test_foreground_colors() -> None:
    truth = square()
    truth[10, 20:40] = 51
    true_bgr = np.full((*truth.shape, 3), 100, np.uint8)
    bgr = true_bgr.copy()
    bgr[truth == 0] = 255  # whatever is there doesn't count
    assert metrics.foreground_mse(bgr, true_bgr, truth) == 0
    assert metrics.foreground_edge_mad(bgr, true_bgr, truth) == 0
    bgr[truth == 51] = 151  # off by 0.2 on 20 of 400 pixels
    assert metrics.foreground_mse(bgr, true_bgr, truth) == pytest.approx(0.04 * 20 / 400 * 1e3)
    assert metrics.foreground_edge_mad(bgr, true_bgr, truth) == pytest.approx(200)
    assert math.isnan(metrics.foreground_mse(bgr, true_bgr, np.zeros_like(truth)))


def test_every_metric_of_the_table_is_a_function() -> None:
    for metric in metrics.METRICS:
        assert callable(getattr(metrics, metric.name))
