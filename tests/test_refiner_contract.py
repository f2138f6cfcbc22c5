"""What every `Refiner` must keep. To add one: a row in `rtmatte.refine.choose`."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.refine.choose import REFINERS, make_refiner
from rtmatte.refine.refiner import Refiner
from rtmatte.settings import RefinerName
from tests.frames import at, copy_of, flat_picture, noise_picture, planes

KINDS = ["i420", "bgr"]


@pytest.fixture(params=REFINERS.values(), ids=REFINERS.keys())
def make(request: pytest.FixtureRequest) -> Callable[[], Refiner]:
    made: Callable[[], Refiner] = request.param
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size_wh", [(64, 36), (37, 21), (2, 1), (1, 1)])
@pytest.mark.parametrize("alpha_hw", [(1, 1), (5, 9), (36, 64), (200, 300)])
def test_an_alpha_of_one_value_stays_it_at_any_size(
    make: Callable[[], Refiner], kind: str, size_wh: tuple[int, int], alpha_hw: tuple[int, int]
) -> None:
    refiner = make()
    assert isinstance(refiner, Refiner)
    for value in (0.0, 1.0):
        alpha_u8 = refiner.refine(at(noise_picture(kind, size_wh)), np.full(alpha_hw, value, np.float32))
        assert alpha_u8.shape == size_wh[::-1]
        assert alpha_u8.dtype == np.uint8
        assert (alpha_u8 == round(255 * value)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_edge_keeps_its_place(make: Callable[[], Refiner], kind: str) -> None:
    """An edge in the middle of a small alpha lies in the middle of a flat frame, and the rest stays pure."""
    alpha = np.zeros((8, 16), np.float32)
    alpha[:, 8:] = 1
    alpha_u8 = make().refine(at(flat_picture(kind, (160, 80), (90, 128, 128))), alpha)
    assert (alpha_u8[:, :60] == 0).all()
    assert (alpha_u8[:, 100:] == 255).all()
    assert np.abs(alpha_u8[:, 60:100].astype(int) + alpha_u8[:, 60:100][:, ::-1] - 255).max() <= 4


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_is_only_read(make: Callable[[], Refiner], kind: str) -> None:
    picture = noise_picture(kind, (64, 36))
    before = copy_of(picture)
    make().refine(at(picture), np.random.default_rng(1).random((9, 16), np.float32))
    assert all(np.array_equal(got, was) for got, was in zip(planes(picture), planes(before), strict=True))


def test_it_writes_where_it_is_told_and_else_into_a_buffer_that_it_keeps(make: Callable[[], Refiner]) -> None:
    refiner, alpha = make(), np.random.default_rng(1).random((9, 16), np.float32)
    first = refiner.refine(at(noise_picture("i420", (64, 36))), alpha)
    assert refiner.refine(at(noise_picture("i420", (64, 36))), alpha) is first
    wanted, out = first.copy(), np.empty((36, 64), np.uint8)
    refiner.reset()
    assert refiner.refine(at(noise_picture("i420", (64, 36))), alpha, out) is out
    assert np.array_equal(out, wanted)
    assert refiner.refine(at(noise_picture("bgr", (31, 19))), alpha).shape == (19, 31)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.1, 1.1])
def test_values_that_are_no_alpha_are_refused(make: Callable[[], Refiner], value: float) -> None:
    alpha = np.zeros((36, 64), np.float32)
    alpha[7, 9] = value
    with pytest.raises(ModelOutputError, match="1 of 2304"):
        make().refine(at(noise_picture("bgr", (64, 36))), alpha)


@pytest.mark.parametrize("alpha", [np.zeros((1, 4, 4), np.float32), np.zeros((4, 4)), np.zeros((0, 4), np.float32)])
def test_an_alpha_of_wrong_form_is_refused(make: Callable[[], Refiner], alpha: np.ndarray) -> None:
    with pytest.raises(ModelOutputError, match="float32"):
        make().refine(at(noise_picture("bgr", (4, 4))), alpha)


def test_refiners_have_names() -> None:
    assert set(REFINERS) == set(get_args(RefinerName))
    for name, kind in REFINERS.items():
        assert type(make_refiner(name)) is type(kind())
    with pytest.raises(SettingsError, match="upscale"):
        make_refiner("nothing")
