"""The model rests while nothing moves: how often it runs, what wakes it up, and that nothing else changes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, I420, ColorTags, Frame, Picture
from rtmatte.matting.still import SkipsStill, rested
from tests.frames import BT601, BT709, copy_of, flat_picture, planes
from tests.live_runs import FunctionMatter

_SIZE_WH = (640, 360)


def _means(frame: Frame) -> F32:
    """An alpha that tells which picture it was made for."""
    mean = float(planes(frame.picture)[0].mean()) / 255
    return np.full((12, 20), mean, np.float32)


def _room(kind: str = "i420", color: ColorTags = BT601) -> Picture:
    """A wall with stripes, and somewhere to put a hand."""
    picture = flat_picture(kind, _SIZE_WH, (90, 110, 140), color)
    planes(picture)[0][:, ::40] = 160
    return picture


def _with_square(picture: Picture, left: int, side: int, contrast: int = 60) -> Picture:
    changed = copy_of(picture)
    luma = planes(changed)[0]
    luma[100 : 100 + side, left : left + side] += np.uint8(contrast)
    return changed


def _noisy(picture: Picture, deviation: float, seed: int) -> Picture:
    noisy, rng = copy_of(picture), np.random.default_rng(seed)
    for plane in planes(noisy):
        plane[:] = np.clip(np.rint(plane + rng.normal(0, deviation, plane.shape)), 0, 255)
    return noisy


def _at(picture: Picture, number: int, rate: int = 30) -> Frame:
    return Frame(picture, number, Fraction(1, rate), number)


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_it_runs_twice_a_second_on_a_still_picture(kind: str) -> None:
    inner = FunctionMatter(_means)
    skips, room = SkipsStill(inner), _room(kind)
    ran = []
    for number in range(60):
        before = inner.calls
        skips.estimate(_at(room, number))
        assert rested(skips) == (inner.calls == before)
        if inner.calls > before:
            ran.append(number)
    assert ran == [0, 15, 30, 45]


def test_it_does_the_same_from_the_next_half_second_on_wherever_it_begins() -> None:
    """So that a clip that is cut into parts, with some frames of warm-up, is matted as in one piece."""
    pictures = [_noisy(_with_square(_room(), 200 + 3 * (number // 4), 30), 1.5, number) for number in range(40)]

    def ran(first: int) -> list[int]:
        skips = SkipsStill(FunctionMatter(_means))
        return [number for number in range(first, 40) if _runs(skips, _at(pictures[number], number)) and number >= 15]

    assert 15 in ran(0)
    assert len(ran(0)) < 20
    assert ran(0) == ran(3) == ran(9)


def _runs(skips: SkipsStill, frame: Frame) -> bool:
    skips.estimate(frame)
    return not rested(skips)


@pytest.mark.parametrize("deviation", [1.5, 3.0])
def test_noise_does_not_wake_it_up(deviation: float) -> None:
    inner = FunctionMatter(_means)
    skips, room = SkipsStill(inner), _room()
    for number in range(15):
        skips.estimate(_at(_noisy(room, deviation, number), number))
    assert inner.calls == 1


@pytest.mark.parametrize("deviation", [0.0, 3.0])
@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_motion_wakes_it_up_at_once(kind: str, deviation: float) -> None:
    """A square of 20 pixels, of a head's contrast, that comes or moves by a few pixels."""
    inner = FunctionMatter(_means)
    skips, room = SkipsStill(inner), _room(kind)
    pictures = [room, _with_square(room, 200, 20), _with_square(room, 206, 20)]
    for number, picture in enumerate(_noisy(picture, deviation, at) for at, picture in enumerate(pictures)):
        frame = _at(picture, number)
        alpha = skips.estimate(frame)
        assert inner.calls == number + 1
        np.testing.assert_array_equal(alpha, _means(frame))


def test_a_camera_that_is_turned_is_no_noise() -> None:
    """All of the picture changes, as with noise, but by more."""
    inner = FunctionMatter(_means)
    skips, rng = SkipsStill(inner), np.random.default_rng(0)
    room = _room()
    coarse = rng.integers(30, 220, (_SIZE_WH[1] // 8, _SIZE_WH[0] // 8)).astype(np.uint8)
    planes(room)[0][:] = np.kron(coarse, np.ones((8, 8), np.uint8))
    turned = copy_of(room)
    planes(turned)[0][:] = np.roll(planes(room)[0], 4, axis=1)
    skips.estimate(_at(room, 0))
    skips.estimate(_at(turned, 1))
    assert inner.calls == 2


def test_slow_motion_adds_up() -> None:
    """Each step is below what is seen; together they aren't, since the picture of the last run is compared with."""
    inner = FunctionMatter(_means)
    skips, room = SkipsStill(inner), _room()
    for number in range(8):
        skips.estimate(_at(_with_square(room, 200, 40, contrast=2 * number), number))
    assert inner.calls > 2


def test_other_colours_another_size_another_kind_and_another_time_are_other_pictures() -> None:
    inner = FunctionMatter(_means)
    skips, room = SkipsStill(inner), _room()
    assert isinstance(room, I420)
    skips.estimate(_at(room, 20))
    skips.estimate(_at(I420.over(room.buffer, _SIZE_WH, BT709), 21))
    skips.estimate(_at(flat_picture("i420", (320, 200), (90, 110, 140)), 22))
    skips.estimate(_at(flat_picture("bgr", (320, 200), (90, 110, 140)), 23))
    assert inner.calls == 4
    skips.estimate(_at(flat_picture("bgr", (320, 200), (90, 110, 140)), 10))
    assert inner.calls == 5, "time went backwards, to another half second"
    skips.estimate(_at(flat_picture("bgr", (320, 200), (90, 110, 140)), 300))
    assert inner.calls == 6, "a gap"


def test_small_pictures_are_compared_too() -> None:
    inner = FunctionMatter(_means)
    skips = SkipsStill(inner)
    for number, grey in enumerate((50, 50, 90)):
        skips.estimate(_at(flat_picture("bgr", (5, 3), (grey, grey, grey)), number))
    assert inner.calls == 2


def test_reset_goes_on_to_the_model_and_the_next_frame_is_looked_at() -> None:
    inner = FunctionMatter(_means)
    skips, room = SkipsStill(inner), _room()
    skips.estimate(_at(room, 0))
    skips.reset()
    skips.estimate(_at(room, 1))
    assert (inner.calls, inner.resets) == (2, 1)


def test_after_a_failure_nothing_old_is_given() -> None:
    fails = False

    def alpha_of(frame: Frame) -> F32:
        if fails:
            raise ModelOutputError("expected alpha, got nothing")
        return _means(frame)

    inner = FunctionMatter(alpha_of)
    skips, room = SkipsStill(inner), _room()
    skips.estimate(_at(room, 0))
    fails = True
    moved = _with_square(room, 200, 40)
    with pytest.raises(ModelOutputError):
        skips.estimate(_at(moved, 1))
    fails = False
    # The first room again: its alpha was known before the failure, which made an end of that.
    skips.estimate(_at(room, 2))
    assert inner.calls == 3


def test_what_the_caller_writes_does_not_come_back() -> None:
    inner = FunctionMatter(_means)
    skips, room = SkipsStill(inner), _room()
    expected = _means(_at(room, 0))
    for number in range(3):
        alpha = skips.estimate(_at(room, number))
        np.testing.assert_array_equal(alpha, expected)
        alpha[:] = 0.5
    assert inner.calls == 1


def test_it_tells_whose_alpha_it_is() -> None:
    skips = SkipsStill(FunctionMatter(_means))
    assert (skips.name, skips.provider, rested(skips)) == ("function", "test", False)
    assert not rested(FunctionMatter(_means))
