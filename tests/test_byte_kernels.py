"""The mask filter over bytes: the float filter within a code value, and compiled to packed arithmetic."""

from __future__ import annotations

import re

import cv2
import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from rtmatte.temporal import byte_kernels
from rtmatte.temporal.exponential import ExponentialFilter


def _noise(shape_hw: tuple[int, int], number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, shape_hw, np.uint8)


def _walker(shape_hw: tuple[int, int], number: int) -> np.ndarray:
    """A soft, shimmering piece that moves to the right, a flickering edge, and nothing elsewhere."""
    height, width = shape_hw
    alpha = np.zeros(shape_hw, np.uint8)
    alpha[height // 3 :, width // 4 + 2 * number : width // 2 + 2 * number] = 255
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 3), np.uint8).reshape(shape_hw)
    shimmer = np.random.default_rng(number).normal(0, 6, shape_hw) * ((alpha > 0) & (alpha < 255))
    alpha = np.clip(alpha + shimmer, 0, 255).astype(np.uint8)
    alpha[0, : number % 3] = 255
    return alpha


@given(st.tuples(st.integers(1, 40), st.integers(1, 200)), st.sampled_from([_noise, _walker]), st.booleans())
@settings(max_examples=40, deadline=None)
def test_bytes_are_smoothed_as_floats_are(shape_hw: tuple[int, int], draw: object, lets_go: bool) -> None:
    assert callable(draw)
    options = {"lets_go_at": 0.5 if lets_go else None}
    floats, smoother = ExponentialFilter(0.15, **options), ExponentialFilter(0.15, **options)
    for number in range(12):
        alpha_u8 = draw(shape_hw, number)
        exact = floats.apply((alpha_u8 / 255).astype(np.float32), number / 30) * 255
        smoother.apply_to_bytes(alpha_u8, number / 30)
        assert np.abs(alpha_u8 - exact).max() <= 1


def test_what_is_shown_is_told_apart_by_more_than_a_code_value() -> None:
    """The test of the test above: the filter does something to what it is given there."""
    smoother = ExponentialFilter(0.15, lets_go_at=0.5)
    for number in range(5):
        given_u8 = _walker((40, 200), number)
        alpha_u8 = given_u8.copy()
        smoother.apply_to_bytes(alpha_u8, number / 30)
    assert np.abs(alpha_u8.astype(int) - given_u8).max() > 5


@pytest.mark.parametrize(
    ("seconds", "cut", "reset"),
    [(0.04, True, False), (0.6, False, False), (-0.04, False, False), (0.04, False, True)],
    ids=["scene cut", "gap", "backwards", "reset"],
)
def test_the_past_is_forgotten(seconds: float, cut: bool, reset: bool) -> None:
    smoother = ExponentialFilter(0.15)
    smoother.apply_to_bytes(_noise((20, 70), 0), 0.0)
    for shape_hw in ((20, 70), (12, 90)):  # of another size it is forgotten in any case
        if reset:
            smoother.reset()
        alpha_u8 = _noise(shape_hw, 1)
        smoother.apply_to_bytes(alpha_u8, seconds, cut=cut)
        assert np.array_equal(alpha_u8, _noise(shape_hw, 1))


def test_no_time_constant_no_change() -> None:
    smoother = ExponentialFilter(0)
    for number in range(3):
        alpha_u8 = _noise((20, 70), number)
        smoother.apply_to_bytes(alpha_u8, number / 30)
        assert np.array_equal(alpha_u8, _noise((20, 70), number))


ROW, WIDE = np.zeros(640, np.uint8), np.zeros(640, np.uint16)
ARGUMENTS = {
    "differ": ((ROW, ROW, ROW, 0, 640, WIDE, 0), r"vpmaxuw\s.*%[yz]mm"),
    "average_rows": ((np.zeros(700, np.uint16), *range(7), 640, WIDE), r"vpmulhuw\s.*%[yz]mm"),
    "average_across": ((WIDE, 634, WIDE), r"vpmulhuw\s.*%[yz]mm"),
    "follow_part": ((ROW, ROW, ROW, 0, 640, WIDE, np.float32(1), np.float32(1)), r"v(mul|fmadd\d+)ps\s.*%[yz]mm"),
    "find_restless": ((ROW, ROW, 0, 640, np.zeros(10, np.uint8), 0), r"vp(cmpn?eq[bdq]|xor|test)\s.*%[yz]mm"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_they_compile_to_packed_arithmetic(name: str) -> None:
    if not llvm.get_host_cpu_features().get("avx2", False):
        pytest.skip("no AVX2 on this processor")
    arguments, packed = ARGUMENTS[name]
    compiled = njit(nogil=True)(getattr(byte_kernels, name).py_func)  # afresh: cached code has no assembly to look at
    compiled(*arguments)
    (assembly,) = compiled.inspect_asm().values()
    assert re.search(packed, assembly)
