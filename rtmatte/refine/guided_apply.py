"""How a grid of linear maps from colour to alpha is applied to a whole picture: numba kernels, serial, without the GIL.

Between two rows of the grid, maps are first spread along x, once for both rows, then blended along y, once a row of
pixels; the loops over pixels hold nothing but multiplications. Spans that are surely background or foreground are
filled. Scratch comes from the caller, nothing is allocated, nothing is checked.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8
from rtmatte.refine.grid_kernels import UNCERTAIN, Cells, between, share_of, to_byte, widen


@njit(nogil=True, cache=True)
def luma_row(y: U8, a_y: F32, chroma_part: F32, alpha: U8) -> None:
    """alpha = a_y·Y + the part of chroma, one row, rounded and clipped to bytes."""
    for x in range(y.size):
        alpha[x] = to_byte(a_y[x] * np.float32(y[x]) + chroma_part[x])


@njit(nogil=True, cache=True)
def chroma_row(u: U8, v: U8, a_u: F32, a_v: F32, b: F32, wide: F32) -> None:
    """a_u·U + a_v·V + b for one row of chroma, each value twice, into `wide` of double length."""
    for x in range(u.size):
        value = a_u[x] * np.float32(u[x]) + a_v[x] * np.float32(v[x]) + b[x]
        wide[2 * x] = value
        wide[2 * x + 1] = value


@njit(nogil=True, cache=True)
def bgr_row(bgr: U8, a_b: F32, a_g: F32, a_r: F32, b: F32, alpha: U8) -> None:
    """alpha = a·(B, G, R) + b, one row: `bgr` is flat and interleaved."""
    for x in range(alpha.size):
        blue, green, red = np.float32(bgr[3 * x]), np.float32(bgr[3 * x + 1]), np.float32(bgr[3 * x + 2])
        alpha[x] = to_byte(a_b[x] * blue + a_g[x] * green + a_r[x] * red + b[x])


@njit(nogil=True, cache=True)
def _fill(alpha: U8, value: np.uint8) -> None:
    for row in range(alpha.shape[0]):
        line = alpha[row]
        for x in range(line.size):
            line[x] = value


@njit(nogil=True, cache=True)
def apply_i420(
    y: U8, u: U8, v: U8, maps: F32, spans: Cells, cells: Cells, shares: F32, cells_uv: Cells, shares_uv: F32,
    wide: F32, alpha: U8,
) -> None:  # fmt: skip
    """Alpha of all `spans` of a planar picture by `maps`, (h, 4, w): a for Y, U, V, and b.

    `cells` and `shares` (W,) are the grid cell left of each pixel and how far right of its middle the pixel lies,
    `cells_uv` and `shares_uv` (⌈W/2⌉,) the same for chroma; `wide` is scratch (4, 4·W) float32.
    """
    upper, lower, blend, chroma_part = wide[0], wide[1], wide[2], wide[3]
    for s in range(spans.shape[0]):
        x0, x1, above, below = spans[s, 2], spans[s, 3], spans[s, 4], spans[s, 5]
        if spans[s, 6] != UNCERTAIN:
            _fill(alpha[spans[s, 0] : spans[s, 1], x0:x1], np.uint8(spans[s, 6]))
            continue
        c0, c1 = x0 // 2, (x1 + 1) // 2
        # One after the other: a for Y, then at half width a for U, a for V, and b; so that one loop blends them all.
        at_u, chroma = x1 - x0, c1 - c0
        at_v, at_b, end = at_u + chroma, at_u + 2 * chroma, at_u + 3 * chroma
        for row, target in ((above, upper), (below, lower)):
            widen(maps[row, 0], cells[x0:x1], shares[x0:x1], target)
            for i in range(1, 4):
                widen(maps[row, i], cells_uv[c0:c1], shares_uv[c0:c1], target[at_u + (i - 1) * chroma :])
        for row in range(spans[s, 0], spans[s, 1]):
            between(upper[:end], lower, share_of(row, above, maps.shape[0], alpha.shape[0]), blend)
            chroma_row(u[row // 2, c0:c1], v[row // 2, c0:c1], blend[at_u:], blend[at_v:], blend[at_b:], chroma_part)
            luma_row(y[row, x0:x1], blend, chroma_part, alpha[row, x0:x1])


@njit(nogil=True, cache=True)
def apply_bgr(
    bgr: U8, maps: F32, spans: Cells, cells: Cells, shares: F32, wide: F32, alpha: U8
) -> None:  # fmt: skip
    """As `apply_i420`, of (H, W, 3): the maps are a for B, G, R, and b."""
    upper, lower, blend = wide[0], wide[1], wide[2]
    for s in range(spans.shape[0]):
        x0, x1, above, below = spans[s, 2], spans[s, 3], spans[s, 4], spans[s, 5]
        if spans[s, 6] != UNCERTAIN:
            _fill(alpha[spans[s, 0] : spans[s, 1], x0:x1], np.uint8(spans[s, 6]))
            continue
        n = x1 - x0
        for i in range(4):
            widen(maps[above, i], cells[x0:x1], shares[x0:x1], upper[i * n :])
            widen(maps[below, i], cells[x0:x1], shares[x0:x1], lower[i * n :])
        for row in range(spans[s, 0], spans[s, 1]):
            between(upper[: 4 * n], lower, share_of(row, above, maps.shape[0], alpha.shape[0]), blend)
            pixels = bgr[row, x0:x1].reshape(3 * n)  # flat: LLVM sees the stride of 3 and vectorises
            bgr_row(pixels, blend, blend[n:], blend[2 * n :], blend[3 * n :], alpha[row, x0:x1])
