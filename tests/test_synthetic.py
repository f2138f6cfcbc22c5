from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.capture.synthetic import SyntheticSource, draw_test_pattern, read_frame_number
from rtmatte.frame import I420, ColorTags


@given(
    number=st.integers(0, 2**16 - 1),
    width=st.integers(16, 200),
    height=st.integers(16, 200),
)
def test_the_number_is_read_back_at_any_size(number: int, width: int, height: int) -> None:
    picture = I420.allocate((width, height), ColorTags())
    draw_test_pattern(picture, number)
    assert read_frame_number(picture) == number


@given(number=st.integers(0, 2**16 - 1))
def test_the_number_survives_bgr_and_scaling(number: int) -> None:
    picture = I420.allocate((128, 96), ColorTags())
    draw_test_pattern(picture, number)
    bgr = cv2.cvtColor(picture.buffer.reshape(144, 128), cv2.COLOR_YUV2BGR_I420)
    small = cv2.resize(bgr, (64, 48), interpolation=cv2.INTER_AREA)
    assert read_frame_number(np.asarray(small, np.uint8)) == number


def test_the_pattern_moves_and_has_no_symmetry() -> None:
    first, second = (I420.allocate((64, 64), ColorTags()) for _ in range(2))
    draw_test_pattern(first, 0)
    draw_test_pattern(second, 1)
    assert not np.array_equal(first.y[20:40], second.y[20:40])
    for other in (first.y[::-1], first.y[:, ::-1], first.y[::-1, ::-1], first.y.T):
        assert not np.array_equal(first.y, other)


def test_a_picture_without_room_for_the_number_is_refused() -> None:
    with pytest.raises(ValueError, match="16x16"):
        draw_test_pattern(I420.allocate((15, 64), ColorTags()), 0)


def test_frames_carry_their_numbers_and_times() -> None:
    source = SyntheticSource((64, 48), 5, Fraction(30000, 1001))
    frames = list(source)
    assert [read_frame_number(frame.picture) for frame in frames] == [0, 1, 2, 3, 4]
    assert frames[3].pts_seconds == Fraction(3003, 30000)
    assert source.frames_expected == 5
    assert source.duration_seconds == pytest.approx(5 * 1001 / 30000)
