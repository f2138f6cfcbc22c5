"""The filter whose past goes along: a recursion where all stands still, an average along motion, and how it forgets."""

from __future__ import annotations

import math
import tracemalloc

import cv2
import numpy as np
import pytest

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, U8
from rtmatte.temporal.exponential import ExponentialFilter
from rtmatte.temporal.flow_filter import FlowFilter

SIZE_WH = (256, 144)


def texture(seed: int, size_wh: tuple[int, int] = SIZE_WH, spread: float = 3.0) -> U8:
    noise = np.random.default_rng(seed).integers(0, 255, size_wh[::-1]).astype(np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), spread).astype(np.float64)
    return np.asarray(np.rint(np.interp(smooth, (smooth.min(), smooth.max()), (20, 230))), np.uint8)


ROOM = texture(0)
WIDE, BESIDE = texture(2, (400, 144), 6), texture(1, (80, 80))


def scene(left: int) -> tuple[F32, U8]:
    """Alpha and luma of a textured person 80 cells wide, `left` cells from the left edge, in a textured room."""
    alpha, luma = np.zeros(SIZE_WH[::-1], np.float32), ROOM.copy()
    alpha[30:110, left : left + 80], luma[30:110, left : left + 80] = 1, BESIDE
    return alpha, luma


def pan(left: int) -> tuple[F32, U8]:
    """Alpha and luma as the camera looks from `left` on: everything moves together, the person with it."""
    alpha = np.zeros(WIDE.shape, np.float32)
    alpha[30:110, 120:220] = 1
    return alpha[:, left : left + SIZE_WH[0]].copy(), WIDE[:, left : left + SIZE_WH[0]].copy()


def noisy(alpha: F32, random: np.random.Generator) -> F32:
    """With the edge in doubt, as nets leave it: an error that is another in each frame and alike over some cells."""
    noise = cv2.GaussianBlur(random.normal(0, 1, alpha.shape).astype(np.float32), (0, 0), 2)
    edge = cv2.GaussianBlur(alpha, (0, 0), 2)
    return np.asarray(np.clip(alpha + 8 * edge * (1 - edge) * noise, 0, 1), np.float32)


def changes_of_error(pans: bool, smoother: FlowFilter | ExponentialFilter | None) -> float:
    """How much the person's error changes from frame to frame, while the camera stands or pans two cells a frame.

    Looked at from the person, who is at the same place in each of the parts compared.
    """
    random, changes = np.random.default_rng(7), []
    before: F32 | None = None
    for number in range(36):
        truth, luma = pan(20 + 2 * number * pans)
        alpha = noisy(truth, random)
        if isinstance(smoother, FlowFilter):
            alpha = smoother.apply(alpha, luma, number / 30)
        elif smoother is not None:
            alpha = smoother.apply(alpha, number / 30)
        left = 100 - 2 * number * pans  # of the person
        error = (alpha - truth)[:, max(left - 10, 0) : left + 50]
        if before is not None and number > 10:
            changes.append(float(np.sqrt(np.mean((error - before) ** 2))))
        before = error
    return float(np.mean(changes))


def test_what_moves_is_calmed_like_what_stands() -> None:
    noise = changes_of_error(True, None)
    assert changes_of_error(True, FlowFilter(0.2)) < 0.3 * noise
    assert changes_of_error(False, FlowFilter(0.2)) < 0.3 * noise
    assert changes_of_error(True, ExponentialFilter(0.2, lets_go_at=0.5)) > 0.6 * noise, "without flow it isn't"


def test_a_walker_leaves_no_trail() -> None:
    smoother = FlowFilter(0.2)
    for number in range(30):
        truth, luma = scene(40 + 2 * number)
        got = smoother.apply(truth, luma, number / 30)
    assert got[:, : 40 + 2 * 29 - 24].max() < 0.1
    assert np.abs(got - truth).mean() < 0.01


@pytest.mark.parametrize("rate", [10, 24, 60])
def test_where_nothing_moves_it_is_the_recursion(rate: int) -> None:
    smoother, d0 = FlowFilter(0.1, lets_go_at=0.8), 0.8
    state = 0.2
    smoother.apply(np.full((90, 160), 0.2, np.float32), ROOM, 0)
    for number in range(1, 20):
        got = smoother.apply(np.full((90, 160), 0.7, np.float32), ROOM, number / rate)
        trust = 1 - (abs(0.7 - state) / d0) ** 2
        state += (1 - math.exp(-1 / rate / 0.1) * trust) * (0.7 - state)
        assert np.allclose(got, state, atol=1e-4)


def test_what_the_flow_cannot_explain_is_taken_as_it_is() -> None:
    smoother = FlowFilter(10.0)
    black, white = np.full((144, 256), 20, np.uint8), np.full((144, 256), 220, np.uint8)
    smoother.apply(np.full((144, 256), 0.4, np.float32), black, 0)
    got = smoother.apply(np.full((144, 256), 0.6, np.float32), white, 0.03)
    assert np.allclose(got, 0.6, atol=1e-6)


@pytest.mark.parametrize(
    ("seconds", "cut", "forgets"),
    [(0.04, False, False), (0.04, True, True), (0.5, False, False), (0.51, False, True), (-0.04, False, True)],
    ids=["next frame", "scene cut", "just no gap", "gap", "backwards"],
)
def test_when_it_forgets(seconds: float, cut: bool, forgets: bool) -> None:
    smoother = FlowFilter(1.0)
    smoother.apply(np.full((144, 256), 0.4, np.float32), ROOM, 0)
    got = smoother.apply(np.full((144, 256), 0.6, np.float32), ROOM, seconds, cut=cut)
    assert np.allclose(got, 0.6, atol=1e-6) is forgets


@pytest.mark.parametrize("change", ["alpha", "luma", "reset"])
def test_another_shape_begins_anew(change: str) -> None:
    smoother = FlowFilter(1.0)
    smoother.apply(np.full((72, 128), 0.4, np.float32), ROOM, 0)
    if change == "reset":
        smoother.reset()
    shape = (144, 256) if change == "alpha" else (72, 128)
    luma = ROOM[:100].copy() if change == "luma" else ROOM
    assert np.array_equal(smoother.apply(np.full(shape, 0.6, np.float32), luma, 0.03), np.full(shape, np.float32(0.6)))


def test_zero_passes_through() -> None:
    smoother, alpha = FlowFilter(0), scene(40)[0]
    smoother.apply(np.zeros_like(alpha), ROOM, 0)
    assert smoother.apply(alpha, ROOM, 0.01) is alpha


@pytest.mark.parametrize("luma_hw", [(1, 1), (2, 9), (15, 15), (144, 4)])
def test_planes_too_small_for_flow_are_smoothed_in_place(luma_hw: tuple[int, int]) -> None:
    smoother = FlowFilter(1.0)
    luma = np.full(luma_hw, 90, np.uint8)
    smoother.apply(np.full((9, 7), 0.4, np.float32), luma, 0)
    got = smoother.apply(np.full((9, 7), 0.6, np.float32), luma, 0.03)
    assert np.isfinite(got).all()
    assert 0.4 < got.min() <= got.max() < 0.5


def test_a_steady_run_keeps_its_buffers() -> None:
    smoother = FlowFilter(0.2)
    frames = [scene(40 + number) for number in range(4)]
    for number in range(2):
        smoother.apply(*frames[number], number / 30)
    tracemalloc.start()
    smoother.apply(*frames[2], 2 / 30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000


@pytest.mark.parametrize(
    "options", [{"time_constant_seconds": -1}, {"lets_go_at": 0}, {"trusts_up_to": 0}, {"lets_go_at": float("nan")}]
)
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        FlowFilter(**{"time_constant_seconds": 0.2, **options})
