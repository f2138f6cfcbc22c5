"""Clean-up by size, on hand-made alpha."""

from __future__ import annotations

import numpy as np
import pytest

from rtmatte.errors import SettingsError
from rtmatte.refine.components import Components

SHAPE = (100, 100)


def alpha_of(*boxes: tuple[int, int, int, int], value: float = 1.0) -> np.ndarray:
    """Alpha with boxes (top, left, height, width) of that value."""
    alpha = np.zeros(SHAPE, np.float32)
    for top, left, height, width in boxes:
        alpha[top : top + height, left : left + width] = value
    return alpha


def test_specks_go_with_their_soft_edge_and_the_person_stays_as_it_is() -> None:
    person, speck = alpha_of((30, 20, 70, 50)), alpha_of((5, 90, 3, 3), value=0.7)
    speck[4, 89:94] = 0.1
    person[29, 20:70] = 0.4
    alpha = person + speck
    Components(min_piece=0.002).clean(alpha)
    assert np.array_equal(alpha, person)


def test_small_holes_are_filled_and_gaps_that_are_larger_or_open_are_not() -> None:
    alpha = alpha_of((20, 20, 80, 60))
    alpha[40:43, 40:43] = 0.2
    alpha[60:75, 40:50] = 0
    alpha[97:, 60:63] = 0
    wanted = alpha.copy()
    wanted[40:43, 40:43] = 1
    Components(min_hole=0.002).clean(alpha)
    assert np.array_equal(alpha, wanted)


def test_an_alpha_without_specks_is_not_touched() -> None:
    rows = np.linspace(-1, 2, SHAPE[0], dtype=np.float32)
    alpha = np.clip(rows[:, None] * np.ones(SHAPE, np.float32), 0, 1)
    wanted = alpha.copy()
    Components().clean(alpha)
    assert np.array_equal(alpha, wanted)
    empty = np.zeros(SHAPE, np.float32)
    Components().clean(empty)
    assert not empty.any()


def test_a_piece_about_the_least_size_does_not_blink() -> None:
    components = Components(min_piece=0.01)
    shown = []
    for side in (9, 11, 9, 8, 10, 5, 3, 9):
        alpha = alpha_of((10, 10, side, side))
        components.clean(alpha)
        shown.append(bool(alpha.any()))
    assert shown == [False, True, True, True, True, True, False, False]
    components.reset()
    alpha = alpha_of((10, 10, 9, 9))
    components.clean(alpha)
    assert not alpha.any()


def test_nothing_is_cleaned_where_sizes_are_zero_and_shapes_may_change() -> None:
    alpha = alpha_of((5, 5, 1, 1))
    Components(min_piece=0, min_hole=0).clean(alpha)
    assert alpha[5, 5] == 1
    components = Components()
    for shape in ((50, 60), (20, 30)):
        alpha = np.ones(shape, np.float32)
        components.clean(alpha)
        assert (alpha == 1).all()


@pytest.mark.parametrize("options", [{"min_piece": -0.1}, {"min_hole": 1.1}, {"min_piece": float("nan")}])
def test_shares_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="share"):
        Components(**options)
