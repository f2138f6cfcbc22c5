"""Composites against C = αF + (1 − α)B in float64, and what the compositor refuses."""

from __future__ import annotations

import numpy as np
import pytest

from rtmatte.composite.compositor import Compositor
from rtmatte.errors import ModelOutputError
from rtmatte.frame import I420, U8, Frame, Picture
from tests.frames import BT2020_FULL, UNTAGGED, at, copy_of, flat_picture, means_of_blocks, noise_picture, planes

SIZES = [(64, 36), (37, 21), (2, 1), (1, 1)]
KINDS = ["i420", "bgr"]


class Behind:
    """A background made beforehand."""

    name = "prepared"

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.asked_with: U8 | None = None

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:
        self.asked_with = alpha_u8.copy()
        return self.picture

    def close(self) -> None:
        pass


def random_alpha(size_wh: tuple[int, int], seed: int = 5) -> np.ndarray:
    """Mostly 0 and 1, soft in places, in steps of 1/255."""
    steps = np.random.default_rng(seed).integers(-200, 456, size_wh[::-1]).clip(0, 255)
    return (steps / 255).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size_wh", SIZES)
def test_matches_the_matting_equation(kind: str, size_wh: tuple[int, int]) -> None:
    foreground, behind, alpha = (
        noise_picture(kind, size_wh),
        noise_picture(kind, size_wh, seed=1),
        random_alpha(size_wh),
    )
    frame = at(copy_of(foreground))
    background = Behind(behind)
    alpha_u8 = Compositor(background).composite(frame, alpha)
    assert np.array_equal(alpha_u8, np.rint(alpha * 255))
    assert background.asked_with is not None
    assert np.array_equal(background.asked_with, alpha_u8)
    exact_alpha = alpha.astype(np.float64)
    for number, (f, b, c) in enumerate(zip(planes(foreground), planes(behind), planes(frame.picture), strict=True)):
        a = means_of_blocks(exact_alpha) if kind == "i420" and number else exact_alpha
        assert np.abs(c - (a * f + (1 - a) * b)).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alpha_hw", [(1, 1), (5, 9), (36, 64), (200, 300)])
def test_alpha_of_any_resolution_covers_the_frame(kind: str, alpha_hw: tuple[int, int]) -> None:
    for value, wanted in ((0.0, 1), (1.0, 0)):
        pictures = [noise_picture(kind, (64, 36), seed=seed) for seed in (0, 1)]
        before = copy_of(pictures[wanted])
        Compositor(Behind(pictures[1])).composite(at(pictures[0]), np.full(alpha_hw, value, np.float32))
        assert all(np.array_equal(got, exact) for got, exact in zip(planes(pictures[0]), planes(before), strict=True))


def test_a_small_alpha_keeps_its_place() -> None:
    """An edge in the middle of a small alpha lies in the middle of the frame, and the rest stays pure."""
    alpha = np.zeros((8, 16), np.float32)
    alpha[:, 8:] = 1
    alpha_u8 = Compositor(None).composite(at(noise_picture("bgr", (160, 80))), alpha)
    assert (alpha_u8[:, :70] == 0).all()
    assert (alpha_u8[:, 90:] == 255).all()
    assert len(np.unique(alpha_u8[:, 70:90])) > 5  # a ramp, not steps
    assert np.abs(alpha_u8[:, 70:90].astype(int) + alpha_u8[:, 70:90][:, ::-1] - 255).max() <= 1


@pytest.mark.parametrize(("color", "black"), [(UNTAGGED, 16), (BT2020_FULL, 0)])
def test_transparent_composites_carry_nothing_under_alpha_0(color: object, black: int) -> None:
    picture, alpha = noise_picture("i420", (37, 21), color), random_alpha((37, 21))  # type: ignore[arg-type]
    alpha[4:9, 6:20] = 0
    before = copy_of(picture)
    Compositor(None).composite(at(picture), alpha)
    assert isinstance(picture, I420)
    assert isinstance(before, I420)
    assert (picture.y[alpha == 0] == black).all()
    assert np.array_equal(picture.y[alpha > 0], before.y[alpha > 0])
    hidden = means_of_blocks(alpha) == 0
    assert hidden.any()
    for got, was in ((picture.u, before.u), (picture.v, before.v)):
        assert (got[hidden] == 128).all()
        assert np.array_equal(got[~hidden], was[~hidden])


def test_buffers_are_kept_while_the_size_stays() -> None:
    compositor = Compositor(None)
    first = compositor.composite(at(noise_picture("i420", (64, 36))), np.zeros((9, 16), np.float32))
    second = compositor.composite(at(noise_picture("i420", (64, 36))), np.ones((9, 16), np.float32))
    assert second is first
    third = compositor.composite(at(noise_picture("bgr", (31, 19))), np.ones((9, 16), np.float32))
    assert third.shape == (19, 31)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.1, 1.1])
def test_a_broken_alpha_is_refused_and_the_frame_left_alone(value: float) -> None:
    alpha = np.zeros((36, 64), np.float32)
    alpha[7, 9] = value
    picture = flat_picture("bgr", (64, 36), (1, 2, 3))
    before = copy_of(picture)
    with pytest.raises(ModelOutputError, match="1 of 2304"):
        Compositor(Behind(noise_picture("bgr", (64, 36)))).composite(at(picture), alpha)
    assert np.array_equal(planes(picture)[0], planes(before)[0])


@pytest.mark.parametrize("alpha", [np.zeros((1, 4, 4), np.float32), np.zeros((4, 4)), np.zeros((0, 4), np.float32)])
def test_an_alpha_of_wrong_form_is_refused(alpha: np.ndarray) -> None:
    with pytest.raises(ModelOutputError, match="float32"):
        Compositor(None).composite(at(noise_picture("bgr", (4, 4))), alpha)
