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
    dropped = Subject(drop=[(10 / 160, 80 / 90)])
    nearest = Subject(drop=[(10 / 160, 80 / 90)], nearest=True)
    for frame in range(3):
        alpha = both(me, other, third)
        kept.select(alpha, frame / 25)
        assert np.array_equal(alpha, other)
        alpha = both(me, other, third)
        dropped.select(alpha, frame / 25)
        assert np.array_equal(alpha, both(other, third))
        alpha = both(me, other, third)
        nearest.select(alpha, frame / 25)
        assert np.array_equal(alpha, other)
    newcomer = np.zeros(SHAPE, np.float32)
    newcomer[10:30, 60:80] = 1
    alpha = both(me, other, third, newcomer)
    dropped.select(alpha, 0.2)
    assert np.array_equal(alpha, both(other, third, newcomer))


def test_a_click_next_to_somebody_means_them_and_one_on_nothing_is_refused_with_directions() -> None:
    me, other = person(0, 60), person(100, 40)
    beside = (62 / 160, 88 / 90)
    assert not me[88, 62]
    alpha = both(me, other)
    Subject(keep=[beside]).select(alpha, 0.0)
    assert np.array_equal(alpha, me)
    for subject in (Subject(keep=[(0.5, 0.1)]), Subject(drop=[(0.5, 0.1)])):
        with pytest.raises(SettingsError, match=r"at 50%,10%, got background") as caught:
            subject.select(both(me, other), 0.0)
        told = [place.split(" (")[0] for place in caught.value.hint.split("at ")[1].split("), ")]
        assert len(told) == 2
        for place, wanted in zip(told, (me, other), strict=True):
            x, y = (float(part.rstrip("%")) / 100 for part in place.split(","))
            assert wanted[int(y * SHAPE[0]), int(x * SHAPE[1])] == 1
            alpha = both(me, other)
            Subject(keep=[(x, y)]).select(alpha, 0.0)
            assert np.array_equal(alpha, wanted)
    with pytest.raises(SettingsError) as caught:
        Subject(keep=[(0.5, 0.5)]).select(np.zeros(SHAPE, np.float32), 0.0)
    assert "nobody" in caught.value.hint


def test_a_piece_that_is_clicked_by_both_is_shared_out() -> None:
    alpha = np.zeros(SHAPE, np.float32)
    alpha[20:, 30:130] = 1
    Subject(keep=[(50 / 160, 0.5)], drop=[(110 / 160, 0.5)]).select(alpha, 0.0)
    assert (alpha[20:, 30:79] == 1).all()
    assert (alpha[:, 83:] == 0).all()
    assert 1 > alpha[50, 80] > alpha[50, 81] > 0  # soft where two touch


def test_who_was_dropped_stays_out_for_good_and_who_was_not_kept_does_not_take_over() -> None:
    me, other = person(0, 60), person(100, 40)
    empty = np.zeros(SHAPE, np.float32)
    at_other = (120 / 160, 80 / 90)
    dropped, kept, nearest = (
        Subject(drop=[at_other]),
        Subject(keep=[(0.2, 0.8)]),
        Subject(drop=[at_other], nearest=True),
    )
    for seconds in (0.0, 0.04):
        for subject in (dropped, kept, nearest):
            subject.select(both(me, other), seconds)
    for seconds in (0.08, 1.5, 3.0, 4.5):  # they stay there alone, longer than anyone has patience
        for subject in (dropped, kept, nearest):
            alpha = other.copy()
            subject.select(alpha, seconds)
            assert not alpha.any(), (subject, seconds)
    blink = empty.copy()
    dropped.select(blink, 4.54)
    alpha = both(me, other)
    dropped.select(alpha, 4.58)
    assert np.array_equal(alpha, me)
    alpha = both(me, other)
    kept.select(alpha, 4.58)  # back after a while: the largest who isn't unwanted
    assert np.array_equal(alpha, me)


def test_only_the_one_who_was_dropped_is_there() -> None:
    subject = Subject(drop=[(0.2, 0.9)])
    for frame in range(5):
        alpha = person(0, 60)
        subject.select(alpha, frame / 25)
        assert not alpha.any()


def test_clicks_say_nothing_of_another_shot() -> None:
    me, other = person(0, 60), person(100, 40)
    for subject, expected in ((Subject(keep=[(120 / 160, 0.9)]), me), (Subject(drop=[(0.2, 0.9)]), both(me, other))):
        subject.reset()  # before the first frame nothing is forgotten
        alpha = both(me, other)
        subject.select(alpha, 0.0)
        assert np.array_equal(alpha, other)
        subject.reset()
        alpha = both(me, other)
        subject.select(alpha, 0.04)
        assert np.array_equal(alpha, expected)


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


@pytest.mark.parametrize("options", [{"drop": [(0.5, -0.1)]}, {"keep": [(1.2, 0)]}, {"patience_s": -1.0}])
def test_options_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Subject(**options)


def test_a_line_of_long_ago_says_nothing_of_people_who_come_back() -> None:
    """Two who touched leave, come back elsewhere and touch again: the old line cuts nobody."""

    def boxes(*columns: tuple[int, int]) -> np.ndarray:
        alpha = np.zeros(SHAPE, np.float32)
        for begin, end in columns:
            alpha[20:, begin:end] = 1
        return alpha

    nobody = [boxes()] * 40
    shown = [boxes((10, 50), (60, 100)), boxes((10, 53), (56, 100)), boxes((10, 100)), boxes((10, 100)), *nobody]
    subject = Subject(keep=[(0.2, 0.6)])
    for number, alpha in enumerate([*shown, boxes((60, 100), (103, 150)), boxes((60, 150))]):
        subject.select(alpha, number / 30, lambda values: values.copy())
    assert 30 <= np.count_nonzero(alpha[60]) <= 60
    assert alpha[60, 65:95].any() != alpha[60, 110:145].any()
