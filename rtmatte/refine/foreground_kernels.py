"""The inner loops of foreground estimation: numba kernels, serial, without the GIL.

Everything is in code values, 0..255. Scratch comes from the caller, nothing is allocated, nothing is checked.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8
from rtmatte.refine.grid_kernels import (
    RADIUS,
    UNCERTAIN,
    Box,
    Cells,
    accumulate,
    between,
    share_of,
    sum_across,
    to_byte,
    widen,
)

_FULL = np.float32(255)


@njit(nogil=True, cache=True)
def weigh(alpha: U8, front: U8, back: U8) -> None:
    """α² and (1 − α)² as bytes: three arrays of one shape."""
    a, f, b = alpha.ravel(), front.ravel(), back.ravel()
    for i in range(a.size):
        opaque = np.float32(a[i])
        clear = _FULL - opaque
        f[i] = to_byte(opaque * opaque * np.float32(1 / 255))
        b[i] = to_byte(clear * clear * np.float32(1 / 255))


@njit(nogil=True, cache=True)
def _add_row(planes: U8, row: int, left: int, right: int, ones: U8, sign: float, columns: F32) -> None:
    s, first, end = np.float32(sign), RADIUS, RADIUS + right - left
    front, back, one = planes[3, row, left:right], planes[4, row, left:right], ones[left:right]
    accumulate(columns[0, first:end], front, one, s)
    accumulate(columns[1, first:end], back, one, s)
    for i in range(3):
        accumulate(columns[2 + 2 * i, first:end], planes[i, row, left:right], front, s)
        accumulate(columns[3 + 2 * i, first:end], planes[i, row, left:right], back, s)


@njit(nogil=True, cache=True, error_model="numpy")
def invert_row(weight: F32, share: F32) -> None:
    """1 / weight; 0 where there is none."""
    for x in range(share.size):
        there = weight[x] > np.float32(0)
        share[x] = np.float32(1) / weight[x] if there else np.float32(0)


@njit(nogil=True, cache=True)
def mean_row(weighted: F32, share: F32, other_weighted: F32, other_share: F32, mean: F32) -> None:
    """Weighted means of a row from sums and inverse weights; where no weight is, the mean by the other weight."""
    for x in range(mean.size):
        there = share[x] > np.float32(0)
        mean[x] = weighted[x] * share[x] if there else other_weighted[x] * other_share[x]


@njit(nogil=True, cache=True)
def find_kinds(front: U8, back: U8, kinds: U8) -> None:
    """The kind of each cell: 0 or 255 where one of the weights is 0; three arrays of one shape."""
    f, b, k = front.ravel(), back.ravel(), kinds.ravel()
    for i in range(k.size):
        kind = np.uint8(UNCERTAIN) if b[i] else np.uint8(255)
        k[i] = kind if f[i] else np.uint8(0)


@njit(nogil=True, cache=True)
def find_nearness(around: U8, gain: float, means: F32) -> None:
    """How near the back is, into row 6 of `means` (h, 7, w): `gain` times its share, up to 1; `around` is alpha."""
    for y in range(around.shape[0]):
        alpha, near = around[y], means[y, 6]
        for x in range(alpha.size):
            share = np.float32(gain / 255) * (_FULL - np.float32(alpha[x]))
            near[x] = share if share < np.float32(1) else np.float32(1)


@njit(nogil=True, cache=True)
def mean_colors(planes: U8, box: Box, ones: U8, columns: F32, sums: F32, means: F32) -> None:
    """The mean foreground and background colours in the window about each cell of `box`.

    `planes` (5, h, w) are the picture's and the two weights, bytes; windows end at the box. `columns`
    (10, w + 2·RADIUS), `sums` (8, w) are scratch; the first six rows of `means` (h, 7, w) float32:
    foreground and background of each plane.
    """
    top, bottom, left, right = box
    columns[:8] = 0
    for row in range(top, min(top + RADIUS, bottom)):
        _add_row(planes, row, left, right, ones, 1.0, columns)
    for row in range(top, bottom):
        if row + RADIUS < bottom:
            _add_row(planes, row + RADIUS, left, right, ones, 1.0, columns)
        if row - RADIUS > top:
            _add_row(planes, row - RADIUS - 1, left, right, ones, -1.0, columns)
        sum_across(columns[:8], sums, right - left)
        front_share, back_share = columns[8, : right - left], columns[9, : right - left]
        invert_row(sums[0], front_share)
        invert_row(sums[1], back_share)
        for i in range(3):
            front, back = sums[2 + 2 * i], sums[3 + 2 * i]
            mean_row(front, front_share, back, back_share, means[row, 2 * i, left:right])
            mean_row(back, back_share, front, front_share, means[row, 2 * i + 1, left:right])


@njit(nogil=True, cache=True)
def fuse_row(plane: U8, alpha: U8, front: F32, back: F32) -> None:
    """F = F̂ + α·(C − α·F̂ − (1 − α)·B̂) in place: one row of a plane, its alpha, and the mean colours there."""
    for x in range(plane.size):
        a = np.float32(alpha[x]) * np.float32(1 / 255)
        f, b = front[x], back[x]
        plane[x] = to_byte(f + a * (np.float32(plane[x]) - b - a * (f - b)))


@njit(nogil=True, cache=True)
def fuse_bgr_row(bgr: U8, alpha: U8, means: F32) -> None:
    """As `fuse_row`, of interleaved channels: `bgr` is flat, `means` (6, n) as of `mean_colors`."""
    f_b, b_b, f_g, b_g, f_r, b_r = means[0], means[1], means[2], means[3], means[4], means[5]
    for x in range(alpha.size):
        a = np.float32(alpha[x]) * np.float32(1 / 255)
        blue, green, red = np.float32(bgr[3 * x]), np.float32(bgr[3 * x + 1]), np.float32(bgr[3 * x + 2])
        bgr[3 * x] = to_byte(f_b[x] + a * (blue - b_b[x] - a * (f_b[x] - b_b[x])))
        bgr[3 * x + 1] = to_byte(f_g[x] + a * (green - b_g[x] - a * (f_g[x] - b_g[x])))
        bgr[3 * x + 2] = to_byte(f_r[x] + a * (red - b_r[x] - a * (f_r[x] - b_r[x])))


@njit(nogil=True, cache=True)
def halve_row(top: U8, bottom: U8, half: U8) -> None:
    """The rounded mean of 2x2 pixels of two rows; an odd last column counts twice."""
    pairs = top.size // 2
    for x in range(pairs):
        upper = np.uint16(top[2 * x]) + np.uint16(top[2 * x + 1])
        lower = np.uint16(bottom[2 * x]) + np.uint16(bottom[2 * x + 1])
        half[x] = np.uint8(np.uint16(upper + lower + 2) >> np.uint16(2))
    if top.size % 2:
        half[pairs] = np.uint8((np.uint16(top[top.size - 1]) + np.uint16(bottom[top.size - 1]) + 1) >> 1)


@njit(nogil=True, cache=True)
def fuse_i420(
    y: U8, u: U8, v: U8, alpha: U8, means: F32, spans: Cells, cells: Cells, shares: F32, cells_uv: Cells,
    shares_uv: F32, wide: F32, half: U8,
) -> None:  # fmt: skip
    """Puts foreground colours in place of the picture's in all uncertain `spans`.

    Cells and shares as in `Grid`; `wide` is scratch (3, 6·W) float32, `half` (⌈W/2⌉,) uint8.
    """
    upper, lower, blend = wide[0], wide[1], wide[2]
    grid_rows, height = means.shape[0], alpha.shape[0]
    for s in range(spans.shape[0]):
        if spans[s, 6] != UNCERTAIN:
            continue
        x0, x1, above, below = spans[s, 2], spans[s, 3], spans[s, 4], spans[s, 5]
        c0, c1 = x0 // 2, (x1 + 1) // 2
        # Front and back of luma, then at half width those of U and V: one after the other, so that one loop blends all.
        n, m = x1 - x0, c1 - c0
        at_u, at_v = 2 * n, 2 * n + 2 * m
        for row, target in ((above, upper), (below, lower)):
            for i in range(2):
                widen(means[row, i], cells[x0:x1], shares[x0:x1], target[i * n :])
            for i in range(4):
                widen(means[row, 2 + i], cells_uv[c0:c1], shares_uv[c0:c1], target[at_u + i * m :])
        for row in range(spans[s, 0], spans[s, 1]):
            end = at_u if row % 2 else at_u + 4 * m  # chroma only once for two rows
            between(upper[:end], lower, share_of(row, above, grid_rows, height), blend)
            fuse_row(y[row, x0:x1], alpha[row, x0:x1], blend, blend[n:])
            if row % 2:
                continue
            halve_row(alpha[row, x0:x1], alpha[min(row + 1, height - 1), x0:x1], half)
            fuse_row(u[row // 2, c0:c1], half, blend[at_u:], blend[at_u + m :])
            fuse_row(v[row // 2, c0:c1], half, blend[at_v:], blend[at_v + m :])


@njit(nogil=True, cache=True)
def fuse_bgr(bgr: U8, alpha: U8, means: F32, spans: Cells, cells: Cells, shares: F32, wide: F32) -> None:
    """As `fuse_i420`, of (H, W, 3)."""
    upper, lower, blend = wide[0], wide[1], wide[2]
    for s in range(spans.shape[0]):
        if spans[s, 6] != UNCERTAIN:
            continue
        x0, x1, above, below = spans[s, 2], spans[s, 3], spans[s, 4], spans[s, 5]
        n = x1 - x0
        for i in range(6):
            widen(means[above, i], cells[x0:x1], shares[x0:x1], upper[i * n :])
            widen(means[below, i], cells[x0:x1], shares[x0:x1], lower[i * n :])
        for row in range(spans[s, 0], spans[s, 1]):
            between(upper[: 6 * n], lower, share_of(row, above, means.shape[0], alpha.shape[0]), blend)
            fuse_bgr_row(bgr[row, x0:x1].reshape(3 * n), alpha[row, x0:x1], blend[: 6 * n].reshape(6, n))
