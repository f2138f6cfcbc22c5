"""The exponential filter against its closed form, at any frame rate."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.errors import SettingsError
from rtmatte.frame import Frame
from rtmatte.temporal.exponential import ExponentialFilter
from tests.frames import noise_picture

ZEROS = np.zeros((6, 8), np.float32)
ONES = np.ones((6, 8), np.float32)
PICTURE = noise_picture("i420", (16, 12))


def _at(seconds: Fraction | float) -> Frame:
    """A frame to the microsecond; its picture isn't looked at."""
    return Frame(PICTURE, round(seconds * 1_000_000), Fraction(1, 1_000_000), index=0)


@pytest.mark.parametrize("rate", [10, 24, Fraction(30000, 1001), 60])
@pytest.mark.parametrize("time_constant", [0.03, 0.06, 0.4])
def test_a_step_is_followed_alike_at_any_frame_rate(rate: Fraction, time_constant: float) -> None:
    smoother = ExponentialFilter(time_constant)
    smoother.apply(_at(0), ZEROS)
    for number in range(1, 20):
        seconds = Fraction(number) / rate
        got = smoother.apply(_at(seconds), ONES)
        assert np.allclose(got, 1 - math.exp(-float(seconds) / time_constant), atol=1e-5)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0.001, 0.4)), min_size=1, max_size=20))
def test_matches_the_recursion_in_float64(steps: list[tuple[float, float]]) -> None:
    smoother = ExponentialFilter(0.1)
    seconds, state = 0.0, None
    for value, elapsed in steps:
        seconds += elapsed
        got = smoother.apply(_at(seconds), np.full((2, 3), value, np.float32))
        weight = 1 - math.exp(-elapsed / 0.1)
        state = value if state is None else state + weight * (value - state)
        assert np.allclose(got, state, atol=1e-5)
        assert 0 <= got.min() <= got.max() <= 1 + 1e-6


def test_what_agrees_is_averaged_and_what_moves_is_followed() -> None:
    """Small disagreement moves the average by the exponential weight, a step of one is taken at once."""
    weight = 1 - math.exp(-0.04 / 0.2)
    for step, moved in ((0.01, weight + (1 - weight) * (0.01 / 0.5) ** 2), (0.5, 1.0), (1.0, 1.0)):
        smoother = ExponentialFilter(0.2, lets_go_at=0.5)
        smoother.apply(_at(0), np.zeros((20, 30), np.float32))
        after = smoother.apply(_at(0.04), np.full((20, 30), step, np.float32))
        assert np.allclose(after, step * moved, atol=1e-6)


def test_letting_go_depends_on_the_neighbourhood_and_stays_within_both() -> None:
    rng = np.random.default_rng(0)
    before, alpha = rng.random((40, 60), np.float32), rng.random((40, 60), np.float32)
    smoother = ExponentialFilter(0.3, lets_go_at=0.4)
    smoother.apply(_at(0), before)
    after = smoother.apply(_at(0.03), alpha)
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
