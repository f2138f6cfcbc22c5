"""The inner loops of colour conversion: numba kernels, serial, without allocation, without the GIL.

Pictures are uint8; matrices (3, 4) float32 over (a, b, c, 1). The caller vouches for shapes: nothing is checked here.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rtmatte.frame import F32, U8


@njit(inline="always")
def _code_value(value: np.float32) -> np.uint8:
    rounded = np.int32(value + np.float32(256.5)) - np.int32(256)  # truncation would round negatives up
    return np.uint8(min(max(rounded, np.int32(0)), np.int32(255)))


@njit(inline="always")
def _row(m: F32, row: int, a: np.float32, b: np.float32, c: np.float32) -> np.float32:
    return np.float32(m[row, 0] * a + m[row, 1] * b + m[row, 2] * c + m[row, 3])


@njit(nogil=True, cache=True)
def i420_from_bgr(bgr: U8, y: U8, u: U8, v: U8, m: F32) -> None:
    """(H, W, 3) BGR to planes by `m`, (3, 4) float32 rows Y, U, V over (B, G, R, 1); chroma is of each block's mean."""
    height, width = y.shape
    for cy in range(u.shape[0]):
        y1 = min(2 * cy + 1, height - 1)
        for cx in range(u.shape[1]):
            x1 = min(2 * cx + 1, width - 1)
            blue, green, red = np.float32(0), np.float32(0), np.float32(0)
            for row in (2 * cy, y1):
                for col in (2 * cx, x1):
                    b, g, r = np.float32(bgr[row, col, 0]), np.float32(bgr[row, col, 1]), np.float32(bgr[row, col, 2])
                    y[row, col] = _code_value(_row(m, 0, b, g, r))
                    blue, green, red = blue + b, green + g, red + r
            quarter = np.float32(0.25)
            u[cy, cx] = _code_value(_row(m, 1, blue * quarter, green * quarter, red * quarter))
            v[cy, cx] = _code_value(_row(m, 2, blue * quarter, green * quarter, red * quarter))


@njit(nogil=True, cache=True)
def bgr_from_i420(y: U8, u: U8, v: U8, bgr: U8, m: F32) -> None:
    """Planes to (H, W, 3) BGR by `m`, (3, 4) float32 rows B, G, R over (Y, U, V, 1); chroma holds for its 2x2 block."""
    height, width = y.shape
    for row in range(height):
        for col in range(width):
            luma, cu, cv = np.float32(y[row, col]), np.float32(u[row >> 1, col >> 1]), np.float32(v[row >> 1, col >> 1])
            for channel in range(3):
                bgr[row, col, channel] = _code_value(_row(m, channel, luma, cu, cv))


_BITS = np.int32(16)
_ONE = np.float32(65536)
"""Of the fixed-point numbers in which luma is recoloured: 255 · 65536 · 2.1 still fits into 32 bits."""


@njit(nogil=True, cache=True)
def spread_offsets(
    u: U8, v: U8, of_u: np.float32, of_v: np.float32, offset: np.float32, wide: NDArray[np.int32]
) -> None:
    """What a row of chroma adds to the luma above it, in fixed point: each value twice, into `wide`."""
    scale_u, scale_v, rest = of_u * _ONE, of_v * _ONE, offset * _ONE
    for x in range(u.size):
        here = np.int32(np.float32(u[x]) * scale_u + np.float32(v[x]) * scale_v + rest)
        wide[2 * x] = here
        wide[2 * x + 1] = here


@njit(nogil=True, cache=True)
def recolor_luma_row(luma: U8, scale: np.int32, offsets: NDArray[np.int32]) -> None:
    """luma · scale + offset, in fixed point, in place, clipped."""
    for x in range(luma.size):
        # numba makes 64 bits of each sum and product: cut back, they stay packed
        value = np.int32(np.int32(np.int32(np.int32(luma[x]) * scale) + offsets[x]) >> _BITS)
        value = value if value > np.int32(0) else np.int32(0)
        luma[x] = np.uint8(value if value < np.int32(255) else np.int32(255))


@njit(inline="always")
def _chroma(value: np.float32) -> np.uint8:
    """Cut off and clipped: the value holds the half that rounds it."""
    value = value if value > np.float32(0) else np.float32(0)
    value = value if value < np.float32(255) else np.float32(255)
    return np.uint8(np.int32(value))


@njit(nogil=True, cache=True)
def recolor_chroma_row(u: U8, v: U8, m: F32) -> None:
    """A row of both chroma planes in place, by rows 1 and 2 of `m`."""
    u_of_u, u_of_v, u_offset = m[1, 1], m[1, 2], m[1, 3] + np.float32(0.5)
    v_of_u, v_of_v, v_offset = m[2, 1], m[2, 2], m[2, 3] + np.float32(0.5)
    for x in range(u.size):
        was_u, was_v = np.float32(u[x]), np.float32(v[x])
        u[x] = _chroma(was_u * u_of_u + was_v * u_of_v + u_offset)
        v[x] = _chroma(was_u * v_of_u + was_v * v_of_v + v_offset)


@njit(nogil=True, cache=True)
def recolor_i420(y: U8, u: U8, v: U8, m: F32, wide: NDArray[np.int32]) -> None:
    """Changes matrix and range in place by `m`, (3, 4) float32 rows Y, U, V over (Y, U, V, 1), chroma free of Y.

    `wide` is scratch for one row of luma, even in length.
    """
    scale, offset = np.int32(np.rint(m[0, 0] * _ONE)), m[0, 3] + np.float32(0.5)
    for cy in range(u.shape[0]):
        spread_offsets(u[cy], v[cy], m[0, 1], m[0, 2], offset, wide)
        for row in range(2 * cy, min(2 * cy + 2, y.shape[0])):
            recolor_luma_row(y[row], scale, wide)
        recolor_chroma_row(u[cy], v[cy], m)
