"""The kernels of refinement against exact arithmetic."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rtmatte.refine import kernels

SIZES = st.tuples(st.integers(1, 37), st.integers(1, 70))
BYTES = np.arange(256, dtype=np.uint8)


@given(SIZES, st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_alpha_is_rounded_to_the_nearest_byte(shape: tuple[int, int], seed: int) -> None:
    strided = np.random.default_rng(seed).random((shape[0], 2 * shape[1]), np.float32)[:, ::2]
    out = np.empty(shape, np.uint8)
    assert kernels.quantize_alpha(strided, out, 1e-3) == 0
    assert np.abs(out - strided.astype(np.float64) * 255).max() <= 0.5 + 1e-4


def test_every_byte_survives_the_way_through_float() -> None:
    out = np.empty((1, 256), np.uint8)
    assert kernels.quantize_alpha((BYTES / np.float32(255)).reshape(1, 256), out, 0.0) == 0
    assert np.array_equal(out[0], BYTES)


def test_values_that_are_no_alpha_are_counted_and_clamped() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, -0.5, 1.5, -5e-4, 1 + 5e-4, 0, 1, 0.5]], np.float32)
    out = np.empty(values.shape, np.uint8)
    assert kernels.quantize_alpha(values, out, 1e-3) == 5
    assert out[0, 1:].tolist() == [255, 0, 0, 255, 0, 255, 0, 255, 128]


def test_alpha_is_opaque_from_where_it_is_told() -> None:
    values = np.array([[0, 0.25, 0.5, 0.75, 1]], np.float32)
    out = np.empty(values.shape, np.uint8)
    assert kernels.quantize_alpha(values, out, 0.0, 0.5) == 0
    assert out.tolist() == [[0, 128, 255, 255, 255]]
