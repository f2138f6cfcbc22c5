"""The inner loops of compositing: numba kernels over uint8 pictures.

The mixture of two code values is `(v + (v >> 8)) >> 8` with `v = f·a + b·(255 − a) + 128`: exactly
round((f·a + b·(255 − a)) / 255), and v never leaves 16 bits. The blends keep all arithmetic in uint16 and free of
branches so that LLVM packs 16 or 32 pixels into a vector instruction; a float or a 64-bit intermediate loses a factor
of four.

Every kernel is serial, allocates nothing and releases the GIL. The caller vouches for shapes: nothing is checked here.
Planes are C-contiguous.

Reference: T. Porter, T. Duff, "Compositing Digital Images", SIGGRAPH 1984 (the `over` operator); J. Blinn, "Three
Wrongs Make a Right", IEEE CG&A 15(6), 1995 (the exact division by 255).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8


@njit(inline="always")
def _mix(f: np.uint8, b: np.uint8, a: np.uint8) -> np.uint8:
    inverse = np.uint16(np.uint16(255) - np.uint16(a))
    v = np.uint16(np.uint16(f) * np.uint16(a) + np.uint16(b) * inverse + np.uint16(128))
    return np.uint8(np.uint16(v + (v >> np.uint16(8))) >> np.uint16(8))


@njit(nogil=True, cache=True)
def blend_plane(foreground: U8, background: U8, alpha: U8) -> None:
    """Mixes one plane into `foreground`: three uint8 arrays of one (H, W) shape, alpha 255 = foreground."""
    f, b, a = foreground.ravel(), background.ravel(), alpha.ravel()
    for i in range(f.size):
        f[i] = _mix(f[i], b[i], a[i])


@njit(nogil=True, cache=True)
def blend_bgr(foreground: U8, background: U8, alpha: U8) -> None:
    """Mixes interleaved colour into `foreground`: (H, W, 3) uint8 twice and (H, W) uint8 alpha, 255 = foreground."""
    f, b, a = foreground.ravel(), background.ravel(), alpha.ravel()  # flat: LLVM sees the stride of 3 and vectorises
    for i in range(a.size):
        f[3 * i] = _mix(f[3 * i], b[3 * i], a[i])
        f[3 * i + 1] = _mix(f[3 * i + 1], b[3 * i + 1], a[i])
        f[3 * i + 2] = _mix(f[3 * i + 2], b[3 * i + 2], a[i])


@njit(nogil=True, cache=True)
def halve_alpha(alpha: U8, half: U8) -> None:
    """The rounded mean of each 2x2 block of (H, W) alpha into `half` (⌈H/2⌉, ⌈W/2⌉); odd edges: of the pixels there."""
    height, width = alpha.shape
    pairs = width // 2
    for y in range(half.shape[0]):
        top, bottom, out = alpha[2 * y], alpha[min(2 * y + 1, height - 1)], half[y]
        for x in range(pairs):
            upper = np.uint16(top[2 * x]) + np.uint16(top[2 * x + 1])
            lower = np.uint16(bottom[2 * x]) + np.uint16(bottom[2 * x + 1])
            out[x] = np.uint8(np.uint16(upper + lower + 2) >> np.uint16(2))
        if width % 2:
            out[pairs] = np.uint8((np.uint16(top[width - 1]) + np.uint16(bottom[width - 1]) + 1) >> 1)


@njit(nogil=True, cache=True)
def blank_plane(plane: U8, alpha: U8, value: int) -> None:
    """Sets `plane` to `value` where alpha is 0; both (H, W) uint8, or (H, W, 3) over (H, W)."""
    blank = np.uint8(value)
    p, a = plane.ravel(), alpha.ravel()
    channels = p.size // a.size
    for i in range(a.size):
        for c in range(channels):
            p[channels * i + c] = p[channels * i + c] if a[i] else blank


@njit(nogil=True, cache=True)
def blank_chroma(u: U8, v: U8, alpha: U8) -> None:
    """Sets both chroma planes (⌈H/2⌉, ⌈W/2⌉) to 128 where all pixels of their block in (H, W) `alpha` are 0."""
    height, width = alpha.shape
    for y in range(u.shape[0]):
        top, bottom = alpha[2 * y], alpha[min(2 * y + 1, height - 1)]
        for x in range(u.shape[1]):
            left, right = 2 * x, min(2 * x + 1, width - 1)
            if not (top[left] | top[right] | bottom[left] | bottom[right]):
                u[y, x] = np.uint8(128)
                v[y, x] = np.uint8(128)


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


@njit(nogil=True, cache=True)
def recolor_i420(y: U8, u: U8, v: U8, m: F32) -> None:
    """Changes matrix and range in place by `m`, (3, 4) float32 rows Y, U, V over (Y, U, V, 1), chroma free of Y."""
    height, width = y.shape
    for cy in range(u.shape[0]):
        y1 = min(2 * cy + 2, height)
        for cx in range(u.shape[1]):
            cu, cv = np.float32(u[cy, cx]), np.float32(v[cy, cx])
            for row in range(2 * cy, y1):
                for col in range(2 * cx, min(2 * cx + 2, width)):
                    y[row, col] = _code_value(_row(m, 0, np.float32(y[row, col]), cu, cv))
            u[cy, cx] = _code_value(_row(m, 1, np.float32(0), cu, cv))
            v[cy, cx] = _code_value(_row(m, 2, np.float32(0), cu, cv))


@njit(nogil=True, cache=True)
def shrink_weighted_i420(y: U8, u: U8, v: U8, alpha: U8, weight_of: F32, cells: F32) -> None:
    """Weighted sums over a grid of cells: into `cells` (h, w, 4) float32 the means of w·Y, w·U, w·V and w.

    `weight_of` (256,) float32 gives the weight of an alpha; a 2x2 block weighs as its most opaque pixel does. The grid
    divides the chroma plane proportionally and must not be finer than it.
    """
    height, width = y.shape
    rows, cols = cells.shape[:2]
    for cell_y in range(rows):
        top, bottom = cell_y * u.shape[0] // rows, (cell_y + 1) * u.shape[0] // rows
        for cell_x in range(cols):
            left, right = cell_x * u.shape[1] // cols, (cell_x + 1) * u.shape[1] // cols
            sum_y, sum_u, sum_v, sum_w = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for cy in range(top, bottom):
                y0, y1 = 2 * cy, min(2 * cy + 1, height - 1)
                for cx in range(left, right):
                    x0, x1 = 2 * cx, min(2 * cx + 1, width - 1)
                    opaque = max(max(alpha[y0, x0], alpha[y0, x1]), max(alpha[y1, x0], alpha[y1, x1]))
                    w = weight_of[opaque]
                    luma = np.int32(y[y0, x0]) + np.int32(y[y0, x1]) + np.int32(y[y1, x0]) + np.int32(y[y1, x1])
                    sum_y += w * np.float32(luma)
                    sum_u += w * np.float32(u[cy, cx])
                    sum_v += w * np.float32(v[cy, cx])
                    sum_w += w
            per_pixel = np.float32(1) / np.float32((bottom - top) * (right - left))
            cells[cell_y, cell_x, 0] = sum_y * per_pixel * np.float32(0.25)
            cells[cell_y, cell_x, 1] = sum_u * per_pixel
            cells[cell_y, cell_x, 2] = sum_v * per_pixel
            cells[cell_y, cell_x, 3] = sum_w * per_pixel


@njit(nogil=True, cache=True)
def shrink_weighted_bgr(bgr: U8, alpha: U8, weight_of: F32, cells: F32) -> None:
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
                    w = weight_of[alpha[y, x]]
                    blue += w * np.float32(bgr[y, x, 0])
                    green += w * np.float32(bgr[y, x, 1])
                    red += w * np.float32(bgr[y, x, 2])
                    sum_w += w
            per_pixel = np.float32(1) / np.float32((bottom - top) * (right - left))
            cells[cell_y, cell_x, 0] = blue * per_pixel
            cells[cell_y, cell_x, 1] = green * per_pixel
            cells[cell_y, cell_x, 2] = red * per_pixel
            cells[cell_y, cell_x, 3] = sum_w * per_pixel
