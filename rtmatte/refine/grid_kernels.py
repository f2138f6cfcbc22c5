"""Grids over pictures: window sums of cells, and spreading cells over pixels. Numba kernels, serial, without the GIL.

Inner loops run along rows of contiguous float32, so that LLVM packs 16 of them into a vector instruction; the window's
size is a constant, so that it unrolls. A row must be sliced out of its array before it is passed: slices of more than
one dimension are strided for numba. Scratch comes from the caller, nothing is allocated, nothing is checked.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rtmatte.frame import F32, U8

Cells: TypeAlias = NDArray[np.int32]
Box: TypeAlias = tuple[int, int, int, int]
"""Top, bottom, left and right of a part of the grid, the ends exclusive."""

RADIUS = 3
"""Of the window, in cells. Sums of products of bytes over it are whole numbers below 2²⁴, exact in float32: what was
added leaves nothing behind when it is taken away."""
TILE = 32
"""Pixels of a row that are treated alike; even, so that chroma splits with it."""
UNCERTAIN = 128
"""The kind of a cell about which there is neither only background (0) nor only foreground (255)."""

_WINDOW = 2 * RADIUS + 1


@njit(nogil=True, cache=True)
def accumulate(target: F32, a: U8, b: U8, sign: np.float32) -> None:
    """Adds a·b, one row of bytes each, to `target`, float32; `sign` −1 takes it away."""
    for x in range(a.size):
        target[x] += sign * (np.float32(a[x]) * np.float32(b[x]))


@njit(nogil=True, cache=True)
def sum_across(columns: F32, sums: F32, width: int) -> None:
    """Sums over the window's width: the first `width` + 2·RADIUS of each row to the first `width`; rows of float32."""
    for i in range(sums.shape[0]):
        column, total = columns[i], sums[i]
        for x in range(width):
            value = column[x]
            for k in range(1, _WINDOW):
                value += column[x + k]
            total[x] = value


@njit(nogil=True, cache=True)
def find_box(plane: U8, margin_y: int, margin_x: int) -> Box:
    """The part of (h, w) in which `plane` is not 0, that much wider; of no rows and columns where there is none."""
    height, width = plane.shape
    top, bottom, left, right = height, 0, width, 0
    for y in range(height):
        row = plane[y]
        first = 0
        while first < width and row[first] == 0:
            first += 1
        if first == width:
            continue
        last = width - 1
        while row[last] == 0:
            last -= 1
        top, bottom = min(top, y), y + 1
        left, right = min(left, first), max(right, last + 1)
    if bottom == 0:
        return 0, 0, 0, 0
    return max(top - margin_y, 0), min(bottom + margin_y, height), max(left - margin_x, 0), min(right + margin_x, width)


@njit(nogil=True, cache=True)
def widen(row: F32, cell: Cells, share: F32, wide: F32) -> None:
    """Spreads a row of cells over pixels: `cell` is the one left of each pixel, `share` the weight of the one right."""
    for x in range(cell.size):
        here = np.uint32(cell[x])  # unsigned: numba would ask of each index whether it counts from the end
        left, right = row[here], row[here + np.uint32(1)]
        wide[x] = left + share[x] * (right - left)


@njit(nogil=True, cache=True)
def between(upper: F32, lower: F32, share: np.float32, row: F32) -> None:
    """What lies between two rows, as far from the upper one as `share` says."""
    for x in range(upper.size):
        row[x] = upper[x] + share * (lower[x] - upper[x])


@njit(inline="always")
def _place(row: int, grid_rows: int, rows: int) -> float:
    """Where the middle of a row of pixels lies on the grid, in cells from the middle of the first one."""
    return (row + 0.5) * grid_rows / rows - 0.5


@njit(inline="always")
def share_of(row: int, above: int, grid_rows: int, rows: int) -> np.float32:
    """How far the middle of a row of pixels is from the row of cells `above` it towards the next one: 0 to 1."""
    return np.float32(min(max(_place(row, grid_rows, rows) - above, 0.0), 1.0))


@njit(inline="always")
def to_byte(value: np.float32) -> np.uint8:
    """Rounded and clipped."""
    rounded = value + np.float32(0.5)
    rounded = rounded if rounded > np.float32(0) else np.float32(0)
    rounded = rounded if rounded < np.float32(255) else np.float32(255)
    return np.uint8(np.int32(rounded))


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
def find_spans(kinds: U8, cell: Cells, height: int, tiles: U8, spans: Cells) -> int:
    """Cuts a picture of `height` rows into stretches of one kind; how many there are.

    `kinds` is (h, w); `cell` (W,) the cell left of each pixel; `tiles` scratch (⌈W / TILE⌉,). A stretch is a row of
    `spans`, (n, 7) int32: its rows, first and end; its columns, first and end; the rows of cells above and below; and
    its kind.
    """
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
            span = spans[count]
            span[0], span[1], span[2], span[3] = row, end, x0, min(tile * TILE, cell.size)
            span[4], span[5], span[6] = above, below, kind
            count += 1
        row = end
    return count
