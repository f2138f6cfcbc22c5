"""The motion-adaptive filter against its formula, and on things that move."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtmatte.frame import F32, U8, Frame
from rtmatte.temporal import kernels
from rtmatte.temporal.adaptive import AdaptiveFilter
from tests.frames import noise_picture

WIDTH, HEIGHT = 320, 192
RATE = 30


def _blurred_noise(low: int, high: int, size_wh: tuple[int, int], seed: int) -> U8:
    noise = np.random.default_rng(seed).integers(0, 256, size_wh[::-1]).astype(np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.asarray(cv2.normalize(blurred, None, low, high, cv2.NORM_MINMAX), np.uint8)


WALL = _blurred_noise(20, 110, (WIDTH, HEIGHT), 1)
SKIN = _blurred_noise(140, 250, (3 * WIDTH, HEIGHT), 2)
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]


def _disc(number: int, speed: float) -> tuple[Frame, F32]:
    """A textured disc that goes to the right by `speed` pixels a frame; and its alpha."""
    shift = round(number * speed)
    inside = (ROWS - HEIGHT / 2) ** 2 + (COLUMNS - 60 - shift) ** 2 < 40**2
    picture = noise_picture("i420", (WIDTH, HEIGHT))
    picture.y[:] = np.where(inside, SKIN[:, WIDTH - shift : 2 * WIDTH - shift], WALL)
    return Frame(picture, number, Fraction(1, RATE), number), inside.astype(np.float32)


def test_blending_is_as_the_formula_says() -> None:
    rng = np.random.default_rng(3)
    past, alpha, residual = (rng.random((40, 50), np.float32) for _ in range(3))
    residual *= 15
    out = np.empty_like(past)
    kernels.blend_into_past(past, alpha, residual, 0.9, 0.14, 1.35, out)
    d = past.astype(float) - alpha
    kept = 0.9 * np.exp(-((0.14 * residual.astype(float)) ** 2) - (1.35 * d) ** 2)
    assert np.abs(out - (alpha + kept * d)).max() < 0.01
    kernels.blend_into_past(past, past, residual, 0.9, 0.14, 1.35, out)
    assert np.array_equal(out, past)


@pytest.mark.parametrize("speed", [1, 4, 8])
def test_what_moves_does_not_trail(speed: int) -> None:
    """A second of exact alpha comes out as it went in, but for a pixel at the edge."""
    smoother = AdaptiveFilter(0.3)
    for number in range(24):
        frame, truth = _disc(number, speed)
        smooth = smoother.apply(frame, truth)
    mask, disc = (smooth > 0.5).astype(np.uint8), truth.astype(np.uint8)
    pixel = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
    beyond = (mask > cv2.dilate(disc, pixel)) | (mask < cv2.erode(disc, pixel))
    assert beyond.sum() <= disc.sum() / 200
    far_behind = 23 * speed - COLUMNS > 0
    assert not (far_behind & (smooth > 0.05)).any(), "a trail"


def test_an_edge_that_moves_along_is_averaged_as_a_still_one() -> None:
    """Noise of the model on a moving thing is calmed, since the past goes along."""
    rng = np.random.default_rng(4)
    calmed = AdaptiveFilter(0.3)
    rough = smooth_error = 0.0
    for number in range(30):
        frame, truth = _disc(number, 3)
        noisy = np.clip(0.8 * truth + 0.1 + rng.normal(0, 0.06, truth.shape), 0, 1).astype(np.float32)
        inner = cv2.erode(truth, np.ones((9, 9), np.uint8)) > 0
        smooth = calmed.apply(frame, noisy)
        if number > 10:
            rough += float(np.abs(noisy - 0.9)[inner].mean())
            smooth_error += float(np.abs(smooth - 0.9)[inner].mean())
    assert smooth_error < 0.6 * rough


def test_flicker_on_a_still_wall_is_held_down() -> None:
    """A patch that the model takes for a person in one frame is weakened; one that it insists on is let in."""
    smoother = AdaptiveFilter(0.3)
    wall = noise_picture("i420", (WIDTH, HEIGHT))
    wall.y[:] = WALL
    empty, patch = np.zeros((48, 80), np.float32), np.zeros((48, 80), np.float32)
    patch[10:20, 10:20] = 0.3
    for number in range(10):
        smoother.apply(Frame(wall, number, Fraction(1, RATE), number), empty)
    once = smoother.apply(Frame(wall, 10, Fraction(1, RATE), 10), patch).max()
    assert once < 0.1
    for number in range(11, 30):
        insisted = smoother.apply(Frame(wall, number, Fraction(1, RATE), number), patch).max()
    assert insisted > 0.25


def test_a_picture_that_jumps_lets_go_of_the_past() -> None:
    """Not called a cut, but nothing of the old picture is in the new one."""
    smoother = AdaptiveFilter(0.3)
    one, other = noise_picture("i420", (WIDTH, HEIGHT)), noise_picture("i420", (WIDTH, HEIGHT))
    one.y[:], other.y[:] = 20, 200
    before, after = np.zeros((48, 80), np.float32), np.full((48, 80), 0.3, np.float32)
    smoother.apply(Frame(one, 0, Fraction(1, RATE), 0), before)
    assert np.allclose(smoother.apply(Frame(other, 1, Fraction(1, RATE), 1), after), after, atol=1e-3)


def test_a_picture_of_another_size_makes_it_forget() -> None:
    smoother = AdaptiveFilter(1.0)
    alpha = np.full((48, 80), 0.1, np.float32)
    smoother.apply(Frame(noise_picture("i420", (WIDTH, HEIGHT)), 0, Fraction(1, RATE), 0), np.zeros_like(alpha))
    got = smoother.apply(Frame(noise_picture("i420", (HEIGHT, WIDTH)), 1, Fraction(1, RATE), 1), alpha)
    assert np.array_equal(got, alpha)
