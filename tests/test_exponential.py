"""The exponential filter against its closed form, at any frame rate, and every way it forgets."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.errors import SettingsError
from rtmatte.temporal.exponential import ExponentialFilter

ZEROS = np.zeros((6, 8), np.float32)
ONES = np.ones((6, 8), np.float32)


@pytest.mark.parametrize("rate", [10, 24, Fraction(30000, 1001), 60])
@pytest.mark.parametrize("time_constant", [0.03, 0.06, 0.4])
def test_a_step_is_followed_alike_at_any_frame_rate(rate: Fraction, time_constant: float) -> None:
    smoother = ExponentialFilter(time_constant)
    smoother.apply(ZEROS, 0)
    for number in range(1, 20):
        seconds = Fraction(number) / rate
        got = smoother.apply(ONES, seconds)
        assert np.allclose(got, 1 - math.exp(-float(seconds) / time_constant), atol=1e-5)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0.001, 0.4)), min_size=1, max_size=20))
def test_matches_the_recursion_in_float64(steps: list[tuple[float, float]]) -> None:
    smoother = ExponentialFilter(0.1)
    seconds, state = 0.0, None
    for value, elapsed in steps:
        seconds += elapsed
        got = smoother.apply(np.full((2, 3), value, np.float32), seconds)
        weight = 1 - math.exp(-elapsed / 0.1)
        state = value if state is None else state + weight * (value - state)
        assert np.allclose(got, state, atol=1e-5)
        assert 0 <= got.min() <= got.max() <= 1 + 1e-6


def test_a_constant_stays_constant() -> None:
    smoother = ExponentialFilter(0.2)
    alpha = np.random.default_rng(1).random((9, 7), np.float32)
    for number in range(10):
        assert np.allclose(smoother.apply(alpha, number / 30), alpha, atol=1e-6)


def test_zero_passes_through() -> None:
    smoother = ExponentialFilter(0)
    smoother.apply(ZEROS, 0)
    assert np.array_equal(smoother.apply(ONES, 0.01), ONES)


@pytest.mark.parametrize(
    ("seconds", "cut", "forgets"),
    [(0.04, False, False), (0.04, True, True), (0.5, False, False), (0.51, False, True), (-0.04, False, True)],
    ids=["next frame", "scene cut", "just no gap", "gap", "backwards"],
)
def test_what_makes_it_forget(seconds: float, cut: bool, forgets: bool) -> None:
    smoother = ExponentialFilter(1.0)
    smoother.apply(ZEROS, 10)
    got = smoother.apply(ONES, 10 + seconds, cut=cut)
    assert bool((got == 1).all()) == forgets


def test_a_new_shape_and_reset_make_it_forget() -> None:
    smoother = ExponentialFilter(1.0)
    smoother.apply(ZEROS, 0)
    assert (smoother.apply(np.ones((3, 3), np.float32), 0.04) == 1).all()
    smoother.apply(ZEROS, 0.08)
    smoother.reset()
    assert (smoother.apply(ONES, 0.12) == 1).all()


def test_the_input_is_never_written() -> None:
    smoother = ExponentialFilter(0.1)
    alpha = ZEROS.copy()
    smoother.apply(alpha, 0)
    smoother.apply(ONES, 0.04)
    assert (alpha == 0).all()


@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_a_negative_time_constant_is_refused(value: float) -> None:
    with pytest.raises(SettingsError, match="0 s or more"):
        ExponentialFilter(value)


def test_what_agrees_is_averaged_and_what_moves_is_followed() -> None:
    """Small disagreement moves the average by the exponential weight, a step of one is taken at once."""
    weight = 1 - math.exp(-0.04 / 0.2)
    for step, moved in ((0.01, weight + (1 - weight) * (0.01 / 0.5) ** 2), (0.5, 1.0), (1.0, 1.0)):
        smoother = ExponentialFilter(0.2, lets_go_at=0.5)
        smoother.apply(np.zeros((20, 30), np.float32), 0)
        after = smoother.apply(np.full((20, 30), step, np.float32), 0.04)
        assert np.allclose(after, step * moved, atol=1e-6)


def test_letting_go_depends_on_the_neighbourhood_and_stays_within_both() -> None:
    rng = np.random.default_rng(0)
    before, alpha = rng.random((40, 60), np.float32), rng.random((40, 60), np.float32)
    smoother = ExponentialFilter(0.3, lets_go_at=0.4)
    smoother.apply(before, 0)
    after = smoother.apply(alpha, 0.03)
    assert (after >= np.minimum(before, alpha) - 1e-6).all()
    assert (after <= np.maximum(before, alpha) + 1e-6).all()
    # The same by float64 and a Gaussian of its own.
    x = np.arange(-4, 5)
    taps = np.exp(-(x**2) / 2)
    taps /= taps.sum()
    d = np.pad(np.abs(alpha.astype(float) - before), 4, mode="reflect")
    d = np.apply_along_axis(lambda row: np.convolve(row, taps, "valid"), 1, d)
    d = np.apply_along_axis(lambda column: np.convolve(column, taps, "valid"), 0, d)
    w = 1 - math.exp(-0.03 / 0.3)
    w = w + (1 - w) * np.minimum(1, (d / 0.4) ** 2)
    assert np.abs(after - (before + w * (alpha - before))).max() < 0.01


def test_a_difference_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="over 0"):
        ExponentialFilter(0.1, lets_go_at=0)
