from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from rtmatte.capture.timeline import Timeline

ticks = st.integers(-(10**9), 10**9)


@given(pts=st.lists(ticks, unique=True))
def test_increasing_time_stamps_pass_untouched(pts: list[int]) -> None:
    timeline = Timeline(Fraction(1, 12800), Fraction(25))
    assert [timeline.stamp(value) for value in sorted(pts)] == sorted(pts)
    assert timeline.notices() == []


@given(pts=st.lists(st.none() | ticks), rate=st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(240)]))
def test_whatever_comes_in_increases_on_its_way_out(pts: list[int | None], rate: Fraction) -> None:
    timeline = Timeline(Fraction(1, 90), rate)
    stamped = [timeline.stamp(value) for value in pts]
    assert all(earlier < later for earlier, later in pairwise(stamped))
    assert timeline.filled == pts.count(None)


def test_filling_in_does_not_drift() -> None:
    timeline = Timeline(Fraction(1, 1000), Fraction(30000, 1001))
    stamped = [timeline.stamp(None) for _ in range(30001)]
    assert stamped[30000] == 1001_000
    assert stamped[:4] == [0, 33, 67, 100]


def test_gaps_are_filled_after_the_last_known_time() -> None:
    timeline = Timeline(Fraction(1, 100), Fraction(25))
    assert [timeline.stamp(value) for value in (50, None, None, 70)] == [50, 54, 58, 70]


def test_repeated_time_stamps_move_by_one_tick_and_are_counted() -> None:
    timeline = Timeline(Fraction(1, 100), Fraction(25))
    assert [timeline.stamp(value) for value in (5, 5, 4, 9)] == [5, 6, 7, 9]
    assert timeline.moved == 2
    assert any("2 time stamps" in notice for notice in timeline.notices())
