"""How a grid of linear maps from colour to alpha is applied to a whole picture: numba kernels, serial, without the GIL.

Between the rows of the grid, maps are first spread along x, once for both rows, then blended along y, once a row of
pixels; the loops over pixels hold nothing but multiplications. Tiles that are surely background or foreground are
filled. Scratch comes from the caller, nothing is allocated, nothing is checked.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rtmatte.frame import F32, U8
from rtmatte.refine.guided_kernels import UNCERTAIN

Cells: TypeAlias = NDArray[np.int32]

TILE = 32
"""Pixels of a row that are filled or computed together; even, so that chroma splits with it."""


@njit(nogil=True, cache=True)
def _find_tiles(upper: U8, lower: U8, cell: Cells, tiles: U8) -> None:
    """The kind of each tile between two rows of kinds, (w,) uint8; `cell` (W,) is the grid cell left of each pixel."""
    for t in range(tiles.size):
        first, last = cell[t * TILE], cell[min((t + 1) * TILE, cell.size) - 1] + 1
        kind = upper[first]
        for x in range(first, last + 1):
            if upper[x] != kind or lower[x] != kind:
                kind = np.uint8(UNCERTAIN)
        tiles[t] = kind


@njit(nogil=True, cache=True)
def _widen(row: F32, cell: Cells, share: F32, wide: F32) -> None:
    for x in range(cell.size):
        left, right = row[cell[x]], row[cell[x] + 1]
        wide[x] = left + share[x] * (right - left)


@njit(nogil=True, cache=True)
def _between(upper: F32, lower: F32, share: np.float32, row: F32) -> None:
    for x in range(upper.size):
        row[x] = upper[x] + share * (lower[x] - upper[x])


@njit(inline="always")
def _to_byte(value: np.float32) -> np.uint8:
    rounded = value + np.float32(0.5)
    rounded = rounded if rounded > np.float32(0) else np.float32(0)
    rounded = rounded if rounded < np.float32(255) else np.float32(255)
    return np.uint8(np.int32(rounded))


@njit(nogil=True, cache=True)
def luma_row(y: U8, a_y: F32, chroma_part: F32, alpha: U8) -> None:
    """alpha = a_y·Y + the part of chroma, one row, rounded and clipped to bytes."""
    for x in range(y.size):
        alpha[x] = _to_byte(a_y[x] * np.float32(y[x]) + chroma_part[x])


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
        alpha[x] = _to_byte(a_b[x] * blue + a_g[x] * green + a_r[x] * red + b[x])


@njit(inline="always")
def _place(row: int, grid_rows: int, rows: int) -> float:
    """Where the middle of a row of pixels lies on the grid, in cells from the middle of the first one."""
    return (row + 0.5) * grid_rows / rows - 0.5


@njit(inline="always")
def _share(row: int, above: int, grid_rows: int, rows: int) -> np.float32:
    return np.float32(min(max(_place(row, grid_rows, rows) - above, 0.0), 1.0))


@njit(nogil=True, cache=True)
def fill_and_plan(kinds: U8, cell: Cells, tiles: U8, alpha: U8, spans: Cells) -> int:
    """Fills the tiles of `alpha` that are sure; the others go to `spans`, (n, 6) int32; how many of them there are.

    A span is rows first and end, columns first and end, and the rows of the grid above and below. `kinds` is (h, w),
    `cell` (W,) the grid cell left of each pixel, `tiles` scratch (⌈W / TILE⌉,).
    """
    height, width = alpha.shape
    grid_rows, count, row = kinds.shape[0], 0, 0
    while row < height:
        band = int(np.floor(_place(row, grid_rows, height)))
        end = row + 1
        while end < height and int(np.floor(_place(end, grid_rows, height))) == band:
            end += 1
        above, below = max(band, 0), min(band + 1, grid_rows - 1)
        _find_tiles(kinds[above], kinds[below], cell, tiles)
        tile = 0
        while tile < tiles.size:
            kind, x0 = tiles[tile], tile * TILE
            while tile < tiles.size and tiles[tile] == kind:
                tile += 1
            x1 = min(tile * TILE, width)
            if kind == UNCERTAIN:
                span = spans[count]
                span[0], span[1], span[2], span[3], span[4], span[5] = row, end, x0, x1, above, below
                count += 1
            else:
                _fill(alpha[row:end, x0:x1], kind)
        row = end
    return count


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
    `cells_uv` and `shares_uv` (⌈W/2⌉,) the same for chroma; `wide` is scratch (3, 5, W + 1) float32.
    """
    upper, lower, blend = wide[0], wide[1], wide[2]
    for s in range(spans.shape[0]):
        x0, x1, above, below = spans[s, 2], spans[s, 3], spans[s, 4], spans[s, 5]
        c0, c1 = x0 // 2, (x1 + 1) // 2
        luma, chroma = x1 - x0, c1 - c0
        _widen(maps[above, 0], cells[x0:x1], shares[x0:x1], upper[0])
        _widen(maps[below, 0], cells[x0:x1], shares[x0:x1], lower[0])
        for i in range(1, 4):
            _widen(maps[above, i], cells_uv[c0:c1], shares_uv[c0:c1], upper[i])
            _widen(maps[below, i], cells_uv[c0:c1], shares_uv[c0:c1], lower[i])
        for row in range(spans[s, 0], spans[s, 1]):
            share = _share(row, above, maps.shape[0], alpha.shape[0])
            _between(upper[0, :luma], lower[0], share, blend[0])
            for i in range(1, 4):
                _between(upper[i, :chroma], lower[i], share, blend[i])
            chroma_row(u[row // 2, c0:c1], v[row // 2, c0:c1], blend[1], blend[2], blend[3], blend[4])
            luma_row(y[row, x0:x1], blend[0], blend[4], alpha[row, x0:x1])


@njit(nogil=True, cache=True)
def apply_bgr(
    bgr: U8, maps: F32, spans: Cells, cells: Cells, shares: F32, wide: F32, alpha: U8
) -> None:  # fmt: skip
    """As `apply_i420`, of (H, W, 3): the maps are a for B, G, R, and b."""
    upper, lower, blend = wide[0], wide[1], wide[2]
    for s in range(spans.shape[0]):
        x0, x1, above, below = spans[s, 2], spans[s, 3], spans[s, 4], spans[s, 5]
        for i in range(4):
            _widen(maps[above, i], cells[x0:x1], shares[x0:x1], upper[i])
            _widen(maps[below, i], cells[x0:x1], shares[x0:x1], lower[i])
        for row in range(spans[s, 0], spans[s, 1]):
            share = _share(row, above, maps.shape[0], alpha.shape[0])
            for i in range(4):
                _between(upper[i, : x1 - x0], lower[i], share, blend[i])
            pixels = bgr[row, x0:x1].reshape(3 * (x1 - x0))  # flat: LLVM sees the stride of 3 and vectorises
            bgr_row(pixels, blend[0], blend[1], blend[2], blend[3], alpha[row, x0:x1])
