"""Who stays, on hand-made people: disks on disks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtmatte.errors import SettingsError
from rtmatte.refine.subject import Subject

SHAPE = (90, 160)


def person(left: int, size: int, value: float = 1.0) -> np.ndarray:
    """Round shoulders as wide as `size` at the bottom, with a head on a neck."""
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    middle, floor = left + size / 2, SHAPE[0]
    body = np.hypot(x - middle, y - floor) < size / 2
    neck = (abs(x - middle) < size / 8) & (y >= floor - 0.7 * size) & (y < floor)
    head = np.hypot(x - middle, y - (floor - 0.9 * size)) < size / 4
    return ((body | neck | head) * value).astype(np.float32)


def both(*alphas: np.ndarray) -> np.ndarray:
    return np.maximum.reduce(alphas)


def test_the_largest_stays_and_takes_its_soft_edge_along() -> None:
    me, other = person(20, 60), person(115, 30)
    me[:, 80:83] = np.maximum(me[:, 80:83], 0.2)
    alpha = both(me, other)
    Subject().select(alpha, 0.0)
    assert np.array_equal(alpha, me)


def test_it_stays_the_same_person_when_the_other_grows() -> None:
    subject = Subject()
    for frame in range(30):
        me, other = person(5, 60), person(95, 30 + frame)
        alpha = both(me, other)
        subject.select(alpha, frame / 25)
        assert np.array_equal(alpha, me), frame


def test_whoever_comes_in_from_the_side_stays_out_even_behind_the_shoulder() -> None:
    subject = Subject()
    for frame in range(60):
        me, other = person(20, 70), person(150 - 2 * frame, 34)
        alpha = both(me, other)
        subject.select(alpha, frame / 25)
        assert alpha[me > 0].sum() >= 0.97 * me.sum(), frame
        assert alpha[(me == 0)].sum() <= 0.12 * other.sum(), frame


@pytest.mark.parametrize("overlap", [0, 6])
def test_neighbours_who_touch_from_the_first_frame_on_are_told_apart(overlap: int) -> None:
    me, other = person(10, 70), person(80 - overlap, 40)
    subject = Subject()
    for frame in range(5):
        alpha = both(me, other)
        subject.select(alpha, frame / 25)
    assert (alpha[:, :70] == me[:, :70]).all()
    assert alpha[:, 90:].sum() < 0.02 * other.sum()


def test_a_single_person_is_one_piece_head_hand_and_all() -> None:
    me = person(40, 70)
    me[40:60, 112:118] = 1  # a thin arm, and a hand
    me[60:66, 90:118] = 1
    me[30:42, 109:121] = 1
    alpha = me.copy()
    Subject().select(alpha, 0.0)
    assert np.array_equal(alpha, me)


@pytest.mark.parametrize("later", [True, False])
def test_a_hand_that_comes_in_apart_from_the_body_is_mine(later: bool) -> None:
    subject = Subject()
    me = person(40, 70)
    if later:
        subject.select(me.copy(), 0.0)
    me[70:90, 113:118] = 1
    alpha = me.copy()
    subject.select(alpha, 0.04)
    assert np.array_equal(alpha, me)


def test_clicks_say_who_stays_or_goes() -> None:
    me, other, third = person(0, 60), person(70, 40), person(125, 30)
    kept = Subject(keep=[(90 / 160, 80 / 90)])
    dropped = Subject(drop=[(10 / 160, 80 / 90), (0.5, 0.0)])  # the second one hits nothing
    for frame in range(3):
        alpha = both(me, other, third)
        kept.select(alpha, frame / 25)
        assert np.array_equal(alpha, other)
        alpha = both(me, other, third)
        dropped.select(alpha, frame / 25)
        assert np.array_equal(alpha, both(other, third))
    newcomer = np.zeros(SHAPE, np.float32)
    newcomer[10:30, 60:80] = 1
    alpha = both(me, other, third, newcomer)
    dropped.select(alpha, 0.2)
    assert np.array_equal(alpha, both(other, third, newcomer))


def test_who_is_gone_for_a_while_is_forgotten_and_a_blink_is_not() -> None:
    subject = Subject(patience_s=1.0)
    me, other = person(0, 60), person(100, 40)
    subject.select(both(me, other), 0.0)
    for seconds, shown in ((0.5, False), (0.9, False), (1.5, True), (1.6, True)):
        alpha = other.copy()
        subject.select(alpha, seconds)
        assert alpha.any() == shown, seconds
    alpha = both(me, other)
    subject.select(alpha, 1.7)
    assert np.array_equal(alpha, other)
    subject.reset()
    alpha = both(me, other)
    subject.select(alpha, 1.8)
    assert np.array_equal(alpha, me)


def test_an_empty_room_and_a_change_of_shape_are_fine() -> None:
    subject = Subject()
    empty = np.zeros(SHAPE, np.float32)
    subject.select(empty, 0.0)
    assert not empty.any()
    subject.select(person(0, 60), 0.1)
    alpha = person(50, 60)[::2, ::2].copy()
    wanted = alpha.copy()
    subject.select(alpha, 0.2)
    assert np.array_equal(alpha, wanted)


@pytest.mark.parametrize(
    "options", [{"keep": [(0.5, 0.5)], "drop": [(0, 0)]}, {"keep": [(1.2, 0)]}, {"patience_s": -1.0}]
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Subject(**options)
