from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.capture.orientation import Orientation, Turn, orientation_of_matrix

ONE = 65536


def matrix(a: float, b: float, c: float, d: float) -> bytes:
    return struct.pack("=9i", round(a * ONE), round(b * ONE), 0, round(c * ONE), round(d * ONE), 0, 0, 0, 1 << 30)


# Where numpy's own turning and flipping puts every point; counter-clockwise is positive there.
NUMPY: dict[Turn, object] = {
    "none": lambda p: p,
    "flip-horizontal": np.fliplr,
    "flip-vertical": np.flipud,
    "half-turn": lambda p: np.rot90(p, 2),
    "clockwise": lambda p: np.rot90(p, -1),
    "counter-clockwise": lambda p: np.rot90(p, 1),
    "transpose": np.transpose,
    "transverse": lambda p: np.rot90(np.transpose(p), 2),
}
MATRICES: dict[Turn, tuple[int, int, int, int]] = {
    "none": (1, 0, 0, 1),
    "flip-horizontal": (-1, 0, 0, 1),
    "flip-vertical": (1, 0, 0, -1),
    "half-turn": (-1, 0, 0, -1),
    "clockwise": (0, 1, -1, 0),
    "counter-clockwise": (0, -1, 1, 0),
    "transpose": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}


@pytest.mark.parametrize("turn", NUMPY)
def test_matrix_is_read_and_applied_as_numpy_does_it(turn: Turn) -> None:
    padded = np.random.default_rng(1).integers(0, 256, (7, 16), np.uint8)
    stored = padded[:, :11]  # rows with padding, as decoders have them
    orientation = orientation_of_matrix(matrix(*MATRICES[turn]))
    assert orientation == Orientation(turn, True)
    width, height = orientation.upright_wh((11, 7))
    target = np.zeros((height, width), np.uint8)
    orientation.write(stored, target)
    expected = NUMPY[turn](stored)  # type: ignore[operator]
    assert np.array_equal(target, expected)


@given(
    turn=st.sampled_from(list(MATRICES)), x=st.integers(0, 10), y=st.integers(0, 6), scale=st.sampled_from([0.5, 1, 3])
)
def test_a_single_point_goes_where_the_matrix_sends_it(turn: Turn, x: int, y: int, scale: float) -> None:
    a, b, c, d = MATRICES[turn]
    stored = np.zeros((7, 11), np.uint8)
    stored[y, x] = 255
    orientation = orientation_of_matrix(matrix(a * scale, b * scale, c * scale, d * scale))
    width, height = orientation.upright_wh((11, 7))
    target = np.zeros((height, width), np.uint8)
    orientation.write(stored, target)
    # Turned about the origin, then moved back into the positive quadrant.
    shown_x = a * x + c * y + (width - 1 if a + c < 0 else 0)
    shown_y = b * x + d * y + (height - 1 if b + d < 0 else 0)
    assert target[shown_y, shown_x] == 255


@given(degrees=st.floats(-180, 180))
def test_other_angles_go_to_the_nearest_right_angle_and_say_so(degrees: float) -> None:
    angle = math.radians(degrees)
    found = orientation_of_matrix(matrix(math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)))
    quarter = round(degrees / 90) % 4
    off = abs(degrees - 90 * round(degrees / 90))
    if off < 44.9:
        assert found.turn == ("none", "clockwise", "half-turn", "counter-clockwise")[quarter]
    assert found.exact == (off < 0.8) or 0.8 <= off < 0.82


def test_a_matrix_without_area_is_upright() -> None:
    assert orientation_of_matrix(bytes(36)) == Orientation()
