"""What every filter over time keeps to."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, Frame, Picture
from rtmatte.temporal.adaptive import AdaptiveFilter
from rtmatte.temporal.choose import SMOOTHERS, make_smoother
from rtmatte.temporal.exponential import ExponentialFilter
from rtmatte.temporal.smoother import Smoother
from tests.frames import copy_of, noise_picture, planes

SHAPE = (12, 16)
ZEROS = np.zeros(SHAPE, np.float32)
ONES = np.ones(SHAPE, np.float32)
PICTURE = noise_picture("i420", (64, 48))

Make = Callable[[float], Smoother]


def _letting_go(time_constant: float) -> Smoother:
    return ExponentialFilter(time_constant, lets_go_at=0.5)


every_smoother = pytest.mark.parametrize("make", [ExponentialFilter, _letting_go, AdaptiveFilter])


def _at(seconds: Fraction | float, picture: Picture = PICTURE) -> Frame:
    return Frame(picture, round(seconds * 1_000_000), Fraction(1, 1_000_000), index=0)


@every_smoother
def test_it_is_a_smoother(make: Make) -> None:
    assert isinstance(make(0.1), Smoother)


@every_smoother
@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_a_constant_stays_constant(make: Make, kind: str) -> None:
    smoother, alpha = make(0.2), np.random.default_rng(1).random((9, 7), np.float32)
    picture = noise_picture(kind, (64, 48))
    for number in range(10):
        assert np.allclose(smoother.apply(_at(Fraction(number, 30), picture), alpha), alpha, atol=1e-5)


@every_smoother
def test_noise_on_a_still_picture_is_averaged(make: Make) -> None:
    rng, smoother = np.random.default_rng(2), make(0.3)
    for number in range(60):
        noisy = np.clip(0.5 + rng.normal(0, 0.05, SHAPE), 0, 1).astype(np.float32)
        smooth = smoother.apply(_at(Fraction(number, 30)), noisy)
    assert smooth.std() < noisy.std() / 2


@every_smoother
def test_a_step_arrives_and_never_overshoots(make: Make) -> None:
    smoother = make(0.1)
    smoother.apply(_at(0), ZEROS)
    last = 0.0
    for number in range(1, 31):
        level = float(smoother.apply(_at(Fraction(number, 30)), ONES).mean())
        assert last <= level <= 1 + 1e-6
        last = level
    assert last > 0.99


@every_smoother
def test_zero_passes_through(make: Make) -> None:
    smoother = make(0)
    smoother.apply(_at(0), ZEROS)
    assert np.array_equal(smoother.apply(_at(0.01), ONES), ONES)


@every_smoother
@pytest.mark.parametrize(
    ("seconds", "cut", "forgets"),
    [(0.04, False, False), (0.04, True, True), (0.5, False, False), (0.51, False, True), (-0.04, False, True)],
    ids=["next frame", "scene cut", "just no gap", "gap", "backwards"],
)
def test_what_makes_it_forget(make: Make, seconds: float, cut: bool, forgets: bool) -> None:
    smoother = make(100.0)
    half = np.full(SHAPE, 0.1, np.float32)
    smoother.apply(_at(10), ZEROS)
    got = smoother.apply(_at(10 + seconds), half, cut=cut)
    assert bool((got == half).all()) == forgets


@every_smoother
def test_a_new_shape_and_reset_make_it_forget(make: Make) -> None:
    smoother = make(1.0)
    smoother.apply(_at(0), ZEROS)
    assert (smoother.apply(_at(0.04), np.ones((3, 3), np.float32)) == 1).all()
    smoother.apply(_at(0.08), ZEROS)
    smoother.reset()
    assert (smoother.apply(_at(0.12), ONES) == 1).all()


@every_smoother
def test_input_is_only_read_and_the_result_is_one_buffer(make: Make) -> None:
    smoother = make(0.1)
    alpha, picture = np.random.default_rng(3).random(SHAPE, np.float32), copy_of(PICTURE)
    copy = alpha.copy()
    results = [smoother.apply(_at(Fraction(number, 30), picture), a) for number, a in enumerate([alpha, ONES, alpha])]
    assert results[0] is results[1] is results[2]
    assert np.array_equal(alpha, copy)
    assert all(np.array_equal(a, b) for a, b in zip(planes(picture), planes(PICTURE), strict=True))
    assert not np.shares_memory(results[0], alpha)


@every_smoother
@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_a_negative_time_constant_is_refused(make: Make, value: float) -> None:
    with pytest.raises(SettingsError, match="0 s or more"):
        make(value)


@every_smoother
@pytest.mark.parametrize("rates", [(24, 60), (10, Fraction(30000, 1001))])
def test_the_frame_rate_does_not_matter(make: Make, rates: tuple[Fraction, Fraction]) -> None:
    """Small steps, half a second later: seconds count, not frames; and no rate is assumed to be constant."""
    small: F32 = np.full(SHAPE, 0.02, np.float32)
    levels = []
    for rate in rates:
        smoother = make(0.25)
        smoother.apply(_at(0), ZEROS)
        for number in range(1, int(rate / 2) + 1):
            jitter = Fraction((-1) ** number, 4) if number < int(rate / 2) else 0
            got = smoother.apply(_at((number + jitter) / Fraction(rate)), small)
        levels.append((number / rate, float(got.mean())))
    expected = [0.02 * (1 - math.exp(-float(seconds) / 0.25)) for seconds, _ in levels]
    assert np.allclose([level for _, level in levels], expected, rtol=0.06)


def test_smoothers_have_names() -> None:
    assert {type(make_smoother(name, 0.1)) for name in SMOOTHERS} == {AdaptiveFilter, ExponentialFilter}
    with pytest.raises(SettingsError, match="adaptive, exponential"):
        make_smoother("nothing", 0.1)
