"""The inner loops of the blurred room: weighted means of a picture over a grid. Numba kernels, serial, without the GIL.

Pictures are uint8. Scratch comes from the caller, nothing is allocated, nothing is checked.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8


@njit(inline="always")
def _weight(alpha: np.uint8, opaque: np.float32, faint: np.float32) -> np.float32:
    """max(0, 1 − α / opaque) + faint·(1 − α)⁴, α in 0..1: a formula, since LLVM doesn't pack look-ups in a table."""
    a = np.float32(alpha) * np.float32(1 / 255)
    clear = np.float32(1) - a
    clear *= clear
    w = np.float32(1) - a / opaque
    w = w if w > np.float32(0) else np.float32(0)
    return w + faint * clear * clear


@njit(nogil=True, cache=True, error_model="numpy")
def _weigh_row(top: U8, bottom: U8, opaque: np.float32, faint: np.float32, weights: F32) -> None:
    """The weight of each 2x2 block of two rows of alpha: that of its most opaque pixel."""
    pairs = top.size // 2
    for x in range(pairs):
        upper, lower = max(top[2 * x], top[2 * x + 1]), max(bottom[2 * x], bottom[2 * x + 1])
        weights[x] = _weight(max(upper, lower), opaque, faint)
    if top.size % 2:
        weights[pairs] = _weight(max(top[2 * pairs], bottom[2 * pairs]), opaque, faint)


@njit(nogil=True, cache=True)
def _add_luma_row(top: U8, bottom: U8, weights: F32, sums: F32) -> None:
    """Adds w times the sum of each 2x2 block of two rows of luma; an odd last column counts twice."""
    pairs = top.size // 2
    for x in range(pairs):
        upper = np.int32(top[2 * x]) + np.int32(top[2 * x + 1])
        lower = np.int32(bottom[2 * x]) + np.int32(bottom[2 * x + 1])
        sums[x] += weights[x] * np.float32(upper + lower)
    if top.size % 2:
        sums[pairs] += weights[pairs] * np.float32(2 * (np.int32(top[2 * pairs]) + np.int32(bottom[2 * pairs])))


@njit(nogil=True, cache=True)
def _add_chroma_row(plane: U8, weights: F32, sums: F32) -> None:
    for x in range(plane.size):
        sums[x] += weights[x] * np.float32(plane[x])


@njit(nogil=True, cache=True)
def _add_weights(weights: F32, sums: F32) -> None:
    for x in range(weights.size):
        sums[x] += weights[x]


@njit(nogil=True, cache=True, error_model="numpy")
def shrink_weighted_i420(
    y: U8, u: U8, v: U8, alpha: U8, opaque: float, faint: float, columns: F32, cells: F32
) -> None:  # fmt: skip
    """Weighted sums over a grid of cells: into `cells` (h, w, 4) float32 the means of w·Y, w·U, w·V and w.

    w falls from 1 at alpha 0 to 0 at `opaque`, plus `faint`·(1 − α)⁴; a 2x2 block weighs as its most opaque pixel does.
    The grid divides the chroma plane proportionally and must not be finer than it. `columns` (5, ⌈W/2⌉) float32 is
    scratch: a row of cells is summed along y first, in loops over x that LLVM packs, then along x.
    """
    height = y.shape[0]
    rows, cols = cells.shape[:2]
    of_y, of_u, of_v, of_w, weights = columns[0], columns[1], columns[2], columns[3], columns[4]
    for cell_y in range(rows):
        top, bottom = cell_y * u.shape[0] // rows, (cell_y + 1) * u.shape[0] // rows
        columns[:4] = 0
        for cy in range(top, bottom):
            y0, y1 = 2 * cy, min(2 * cy + 1, height - 1)
            _weigh_row(alpha[y0], alpha[y1], np.float32(opaque), np.float32(faint), weights)
            _add_luma_row(y[y0], y[y1], weights, of_y)
            _add_chroma_row(u[cy], weights, of_u)
            _add_chroma_row(v[cy], weights, of_v)
            _add_weights(weights, of_w)
        for cell_x in range(cols):
            left, right = cell_x * u.shape[1] // cols, (cell_x + 1) * u.shape[1] // cols
            per_pixel = np.float32(1) / np.float32((bottom - top) * (right - left))
            for i in range(4):
                total = np.float32(0)
                for cx in range(left, right):
                    total += columns[i, cx]
                cells[cell_y, cell_x, i] = total * per_pixel
            cells[cell_y, cell_x, 0] *= np.float32(0.25)


@njit(nogil=True, cache=True, error_model="numpy")
def shrink_weighted_bgr(bgr: U8, alpha: U8, opaque: float, faint: float, cells: F32) -> None:
    """As `shrink_weighted_i420`, of (H, W, 3) uint8: the means of w·B, w·G, w·R and w."""
    height, width = alpha.shape
    rows, cols = cells.shape[:2]
    for cell_y in range(rows):
        top, bottom = cell_y * height // rows, (cell_y + 1) * height // rows
        for cell_x in range(cols):
            left, right = cell_x * width // cols, (cell_x + 1) * width // cols
            blue, green, red, sum_w = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for y in range(top, bottom):
                for x in range(left, right):
                    w = _weight(alpha[y, x], np.float32(opaque), np.float32(faint))
                    blue += w * np.float32(bgr[y, x, 0])
                    green += w * np.float32(bgr[y, x, 1])
                    red += w * np.float32(bgr[y, x, 2])
                    sum_w += w
            per_pixel = np.float32(1) / np.float32((bottom - top) * (right - left))
            cells[cell_y, cell_x, 0] = blue * per_pixel
            cells[cell_y, cell_x, 1] = green * per_pixel
            cells[cell_y, cell_x, 2] = red * per_pixel
            cells[cell_y, cell_x, 3] = sum_w * per_pixel
