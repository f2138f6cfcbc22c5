"""Composites against C = αF + (1 − α)B in float64, and what the compositor refuses."""

from __future__ import annotations

import numpy as np
import pytest

from rtmatte.composite.compositor import Compositor
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
    """Mostly 0 and 255, soft in places."""
    return np.random.default_rng(seed).integers(-200, 456, size_wh[::-1]).clip(0, 255).astype(np.uint8)


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
    Compositor(background).composite(frame, alpha)
    assert background.asked_with is not None
    assert np.array_equal(background.asked_with, alpha)
    exact_alpha = alpha / 255
    for number, (f, b, c) in enumerate(zip(planes(foreground), planes(behind), planes(frame.picture), strict=True)):
        a = means_of_blocks(exact_alpha) if kind == "i420" and number else exact_alpha
        assert np.abs(c - (a * f + (1 - a) * b)).max() <= 1


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


@pytest.mark.parametrize("alpha", [np.zeros((5, 4), np.uint8), np.zeros((4, 4)), np.zeros((4, 4, 1), np.uint8)])
def test_an_alpha_of_wrong_form_is_refused_and_the_frame_left_alone(alpha: np.ndarray) -> None:
    picture = noise_picture("bgr", (4, 4))
    before = copy_of(picture)
    with pytest.raises(ValueError, match=r"expected alpha as uint8 \(4, 4\), got"):
        Compositor(Behind(noise_picture("bgr", (4, 4), seed=1))).composite(at(picture), alpha)
    assert np.array_equal(planes(picture)[0], planes(before)[0])


def test_light_wrap_reaches_the_edge_of_the_foreground_and_nothing_else() -> None:
    plain, wrapped = (flat_picture("i420", (160, 96), (60, 128, 128)) for _ in range(2))
    behind = flat_picture("i420", (160, 96), (220, 100, 150))
    alpha = np.zeros((96, 160), np.uint8)
    alpha[:, 80:] = 255
    Compositor(Behind(behind)).composite(at(plain), alpha)
    Compositor(Behind(behind), light_wrap=0.6).composite(at(wrapped), alpha)
    lighter = planes(wrapped)[0].astype(int) - planes(plain)[0]
    assert (lighter[:, :80] == 0).all()
    assert (lighter[:, 81:84] > 5).all()
    assert np.abs(lighter[:, 120:]).max() <= 1
