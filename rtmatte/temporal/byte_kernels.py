"""The mask filter over alpha in bytes: numba kernels in whole numbers of 16 bits, serial, without the GIL.

A picture's alpha is 0 or 1 and equal to its past nearly everywhere; so one walk over it compares alpha with the past
and works only on the tiles that differ.

The past is 256·shown + fraction − 128 in 1/256 of a code value, two planes of bytes: `shown` is it rounded, and where
that equals alpha there is nothing to do. Scratch comes from the caller, nothing is allocated, nothing is checked.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rtmatte.frame import U8

U16: TypeAlias = NDArray[np.uint16]

REACH = 3
"""Of the Gaussian of one pixel that differences are averaged with: what lies further away weighs 1/3700."""
ROWS = 8
"""Of differences that are kept: a power of two, and no less than the window's height."""
TILE = 64
"""Pixels of a row that are looked at together. With 32, LLVM doesn't find one instruction for it."""

_FULL = 255 * 256
_TAPS = np.exp(-np.square(np.arange(REACH + 1)) / 2)
_TAPS *= 65535 / (2 * _TAPS.sum() - _TAPS[0])
_MIDDLE = int(_TAPS[0])
_NEXT, _SECOND, _THIRD = (int(2 * tap) for tap in _TAPS[1:])
"""For the mean of the two pixels that are so far away, one on each side; all in 1/65536."""


@njit(inline="always")
def _part(value: np.uint16, share: int) -> np.uint16:
    return np.uint16((np.uint32(value) * np.uint32(share)) >> np.uint32(16))


@njit(inline="always")
def _mean(a: np.uint16, b: np.uint16) -> np.uint16:
    return np.uint16((a >> np.uint16(1)) + (b >> np.uint16(1)))


@njit(inline="always")
def _mirrored(index: int, size: int) -> int:
    """Beyond the edge lies what lies within, without the edge itself."""
    if 0 <= index < size:
        return index
    if size == 1:
        return 0
    index = abs(index) % (2 * size - 2)
    return index if index < size else 2 * size - 2 - index


@njit(inline="always")
def _past(shown: np.uint8, fraction: np.uint8) -> np.uint16:
    return np.uint16((np.uint16(shown) << np.uint16(8)) + np.uint16(fraction))


@njit(nogil=True, cache=True)
def differ(alpha: U8, shown: U8, fraction: U8, difference: U16) -> None:
    """How far alpha is from the past, part of a row."""
    for x in range(alpha.size):
        value, past = _past(alpha[x], np.uint8(128)), _past(shown[x], fraction[x])
        difference[x] = np.uint16(max(value, past) - min(value, past))


@njit(nogil=True, cache=True)
def average_rows(a: U16, b: U16, c: U16, d: U16, e: U16, f: U16, g: U16, mean: U16) -> None:
    """The Gaussian mean of seven rows, of which `d` is the middle one."""
    for x in range(mean.size):
        near, far = _part(_mean(c[x], e[x]), _NEXT), _part(_mean(b[x], f[x]), _SECOND)
        mean[x] = np.uint16(_part(d[x], _MIDDLE) + near + far + _part(_mean(a[x], g[x]), _THIRD))


@njit(nogil=True, cache=True)
def average_across(row: U16, mean: U16) -> None:
    """The Gaussian mean of seven neighbours; `row` begins `REACH` before `mean` and ends as much after it."""
    for x in range(mean.size):
        near, far = _part(_mean(row[x + 2], row[x + 4]), _NEXT), _part(_mean(row[x + 1], row[x + 5]), _SECOND)
        mean[x] = np.uint16(_part(row[x + 3], _MIDDLE) + near + far + _part(_mean(row[x], row[x + 6]), _THIRD))


@njit(nogil=True, cache=True)
def follow_row(alpha: U8, shown: U8, fraction: U8, difference: U16, base: np.float32, scale: np.float32) -> None:
    """Moves part of a row's past towards alpha by w + (1 − w)·min(1, (scale·difference)²), and alpha to where it is."""
    rest = np.float32(1) - base
    for x in range(alpha.size):
        share = np.float32(difference[x]) * scale
        share = share if share < np.float32(1) else np.float32(1)
        past = np.float32(_past(shown[x], fraction[x]))
        past += (base + rest * share * share) * (np.float32(_past(alpha[x], np.uint8(128))) - past)
        moved = np.uint16(np.int32(past + np.float32(0.5)))
        shown[x] = alpha[x] = np.uint8(moved >> np.uint16(8))
        fraction[x] = np.uint8(moved)


@njit(nogil=True, cache=True)
def find_restless(alpha: U8, shown: U8, restless: U8) -> None:
    """Which tiles of a row differ from what was shown, 1 or 0 each."""
    full = alpha.size // TILE
    for t in range(full):
        a, s = alpha[t * TILE : t * TILE + TILE], shown[t * TILE : t * TILE + TILE]
        found = False
        for x in range(TILE):
            found = True if a[x] != s[x] else found
        restless[t] = found
    if full < restless.size:
        found = False
        for x in range(full * TILE, alpha.size):
            found = True if alpha[x] != shown[x] else found
        restless[full] = found


@njit(nogil=True, cache=True)
def _enter(alpha: U8, shown: U8, fraction: U8, difference: U16, restless: U8, found: U8) -> None:
    """Brings one row into the window: the differences of its restless tiles, next to none elsewhere.

    `restless` says in which tiles the row that was there before has left some, and then where this one has. `found` is
    scratch.
    """
    width = alpha.size
    find_restless(alpha, shown, found)
    for t in range(found.size):
        if found[t] | restless[t]:
            x0, x1 = t * TILE, min(t * TILE + TILE, width)
            differ(alpha[x0:x1], shown[x0:x1], fraction[x0:x1], difference[REACH + x0 : REACH + x1])
            restless[t] = found[t]
    for k in range(REACH):
        difference[k] = difference[REACH + _mirrored(k - REACH, width)]
        difference[REACH + width + k] = difference[REACH + _mirrored(width + k, width)]


@njit(nogil=True, cache=True)
def _average(window: U16, row: int, height: int, x0: int, x1: int, scratch: U16) -> U16:
    """The mean difference about columns `x0` to `x1` of a row."""
    end = x1 + 2 * REACH
    rows, mean = scratch[0, : end - x0], scratch[1, : x1 - x0]
    average_rows(
        window[_mirrored(row - 3, height) % ROWS, x0:end],
        window[_mirrored(row - 2, height) % ROWS, x0:end],
        window[_mirrored(row - 1, height) % ROWS, x0:end],
        window[row % ROWS, x0:end],
        window[_mirrored(row + 1, height) % ROWS, x0:end],
        window[_mirrored(row + 2, height) % ROWS, x0:end],
        window[_mirrored(row + 3, height) % ROWS, x0:end],
        rows,
    )
    average_across(rows, mean)
    return mean


@njit(nogil=True, cache=True)
def follow_bytes(
    alpha: U8, shown: U8, fraction: U8, window: U16, restless: U8, scratch: U16, weight: float, lets_go_at: float
) -> None:
    """`follow` of kernels.py for alpha in bytes, with the difference averaged on the way; alpha becomes the average.

    `alpha`, `shown` and `fraction` are (H, W) uint8. Scratch, for n = ⌈W / TILE⌉ tiles: `window` (ROWS, W + 2·REACH),
    `restless` (ROWS + 1, n), `scratch` (2, W + 2·REACH).
    """
    height, width = alpha.shape
    tiles, base, scale = restless.shape[1], np.float32(weight), np.float32(1 / (lets_go_at * _FULL))
    restless[:] = 1
    for row in range(-REACH, height):
        new = row + REACH
        if new < height:
            here, found = restless[new % ROWS], restless[ROWS]
            _enter(alpha[new], shown[new], fraction[new], window[new % ROWS], here, found)
        if row < 0:
            continue
        here, t = restless[row % ROWS], 0
        while t < tiles:
            x0 = t * TILE
            while t < tiles and here[t]:
                t += 1
            x1 = min(t * TILE, width)
            if x0 < x1:
                mean = _average(window, row, height, x0, x1, scratch)
                follow_row(alpha[row, x0:x1], shown[row, x0:x1], fraction[row, x0:x1], mean, base, scale)
            t += 1
