"""The mask filter over alpha in bytes: numba kernels in whole numbers of 16 bits, serial, without the GIL.

A picture's alpha is 0 or 1 and equal to its past nearly everywhere; so one walk over it compares alpha with the past
and works only on the tiles that differ.

The past is 256·shown + fraction − 128 in 1/256 of a code value, two planes of bytes: `shown` is it rounded, and where
that equals alpha there is nothing to do. Scratch comes from the caller, nothing is allocated, nothing is checked.

Arrays are walked over as one line, and parts of them are told by where they begin, not cut out as arrays: numba counts
the references to each array that is cut out, atomically.
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
    index = abs(index)
    if index < size:
        return index
    if size == 1:
        return 0
    index %= 2 * size - 2
    return index if index < size else 2 * size - 2 - index


@njit(inline="always")
def _past(shown: np.uint8, fraction: np.uint8) -> np.uint16:
    return np.uint16((np.uint16(shown) << np.uint16(8)) + np.uint16(fraction))


@njit(nogil=True, cache=True)
def differ(alpha: U8, shown: U8, fraction: U8, first: int, size: int, difference: U16, out: int) -> None:
    """How far `size` pixels of alpha, from `first` on, are from the past; into `difference`, from `out` on."""
    # Unsigned, here and below: a negative index would be looked for, and nothing packed.
    i, o = np.uintp(first), np.uintp(out)
    for x in range(np.uintp(size)):
        value, past = _past(alpha[i + x], np.uint8(128)), _past(shown[i + x], fraction[i + x])
        difference[o + x] = np.uint16(max(value, past) - min(value, past))


@njit(nogil=True, cache=True)
def average_rows(window: U16, a: int, b: int, c: int, d: int, e: int, f: int, g: int, size: int, mean: U16) -> None:
    """The Gaussian mean of seven rows, which begin at `a` to `g`; the one at `d` is in the middle."""
    i, j, k, m = np.uintp(a), np.uintp(b), np.uintp(c), np.uintp(d)
    p, q, r = np.uintp(e), np.uintp(f), np.uintp(g)
    for x in range(np.uintp(size)):
        near = _part(_mean(window[k + x], window[p + x]), _NEXT)
        far = _part(_mean(window[j + x], window[q + x]), _SECOND)
        furthest = _part(_mean(window[i + x], window[r + x]), _THIRD)
        mean[x] = np.uint16(_part(window[m + x], _MIDDLE) + near + far + furthest)


@njit(nogil=True, cache=True)
def average_across(row: U16, size: int, mean: U16) -> None:
    """The Gaussian mean of seven neighbours; `row` begins `REACH` before `mean` and ends as much after it."""
    for x in range(np.uintp(size)):
        near = _part(_mean(row[x + np.uintp(2)], row[x + np.uintp(4)]), _NEXT)
        far = _part(_mean(row[x + np.uintp(1)], row[x + np.uintp(5)]), _SECOND)
        furthest = _part(_mean(row[x], row[x + np.uintp(6)]), _THIRD)
        mean[x] = np.uint16(_part(row[x + np.uintp(3)], _MIDDLE) + near + far + furthest)


@njit(nogil=True, cache=True)
def follow_part(
    alpha: U8, shown: U8, fraction: U8, first: int, size: int, difference: U16, base: np.float32, scale: np.float32
) -> None:
    """Moves `size` pixels of the past, from `first` on, towards alpha by w + (1 − w)·min(1, (scale·difference)²), and
    alpha to where the past is then."""
    i, rest = np.uintp(first), np.float32(1) - base
    for x in range(np.uintp(size)):
        share = np.float32(difference[x]) * scale
        share = share if share < np.float32(1) else np.float32(1)
        past = np.float32(_past(shown[i + x], fraction[i + x]))
        past += (base + rest * share * share) * (np.float32(_past(alpha[i + x], np.uint8(128))) - past)
        moved = np.uint16(np.int32(past + np.float32(0.5)))
        shown[i + x] = alpha[i + x] = np.uint8(moved >> np.uint16(8))
        fraction[i + x] = np.uint8(moved)


@njit(nogil=True, cache=True)
def find_restless(alpha: U8, shown: U8, first: int, size: int, restless: U8, out: int) -> None:
    """Which tiles of a row of `size` pixels from `first` on differ from what was shown: 1 or 0 each, from `out` on."""
    i, o = np.uintp(first), np.uintp(out)
    for _ in range(size // TILE):
        found = False
        for x in range(np.uintp(TILE)):
            found = True if alpha[i + x] != shown[i + x] else found
        restless[o] = found
        i, o = i + np.uintp(TILE), o + np.uintp(1)
    if size % TILE:
        found = False
        for x in range(np.uintp(size % TILE)):
            found = True if alpha[i + x] != shown[i + x] else found
        restless[o] = found


@njit(nogil=True, cache=True)
def _enter(alpha: U8, shown: U8, fraction: U8, row: int, width: int, window: U16, restless: U8, tiles: int) -> None:
    """Brings one row into the window: the differences of its restless tiles, next to none elsewhere.

    `restless` says in which tiles the row that was there before has left some, and then where this one has.
    """
    first, out = row * width, (row % ROWS) * (width + 2 * REACH)
    here, found = (row % ROWS) * tiles, ROWS * tiles
    find_restless(alpha, shown, first, width, restless, found)
    for t in range(tiles):
        if restless[found + t] | restless[here + t]:
            x = t * TILE
            differ(alpha, shown, fraction, first + x, min(TILE, width - x), window, out + REACH + x)
            restless[here + t] = restless[found + t]
    for k in range(REACH):
        window[out + k] = window[out + REACH + _mirrored(k - REACH, width)]
        window[out + REACH + width + k] = window[out + REACH + _mirrored(width + k, width)]


@njit(nogil=True, cache=True)
def _average(window: U16, row: int, height: int, stride: int, x0: int, size: int, rows: U16, mean: U16) -> None:
    """The mean difference about `size` columns from `x0` on."""
    average_rows(
        window,
        (_mirrored(row - 3, height) % ROWS) * stride + x0,
        (_mirrored(row - 2, height) % ROWS) * stride + x0,
        (_mirrored(row - 1, height) % ROWS) * stride + x0,
        (row % ROWS) * stride + x0,
        (_mirrored(row + 1, height) % ROWS) * stride + x0,
        (_mirrored(row + 2, height) % ROWS) * stride + x0,
        (_mirrored(row + 3, height) % ROWS) * stride + x0,
        size + 2 * REACH,
        rows,
    )
    average_across(rows, size, mean)


@njit(nogil=True, cache=True)
def follow_bytes(
    alpha: U8, shown: U8, fraction: U8, window: U16, restless: U8, scratch: U16, weight: float, lets_go_at: float
) -> None:
    """`follow` of kernels.py for alpha in bytes, with the difference averaged on the way; alpha becomes the average.

    `alpha`, `shown` and `fraction` are (H, W) uint8. Scratch, for n = ⌈W / TILE⌉ tiles: `window` (ROWS, W + 2·REACH),
    `restless` (ROWS + 1, n), `scratch` (2, W + 2·REACH).
    """
    height, width = alpha.shape
    tiles, stride = restless.shape[1], window.shape[1]
    base, scale = np.float32(weight), np.float32(1 / (lets_go_at * _FULL))
    a, s, f, differences, held = alpha.ravel(), shown.ravel(), fraction.ravel(), window.ravel(), restless.ravel()
    rows, mean = scratch[0], scratch[1]
    held[:] = 1
    for row in range(-REACH, height):
        if row + REACH < height:
            _enter(a, s, f, row + REACH, width, differences, held, tiles)
        if row < 0:
            continue
        here, t = (row % ROWS) * tiles, 0
        while t < tiles:
            x0 = t * TILE
            while t < tiles and held[here + t]:
                t += 1
            size = min(t * TILE, width) - x0
            if size > 0:
                _average(differences, row, height, stride, x0, size, rows, mean)
                follow_part(a, s, f, row * width + x0, size, mean, base, scale)
            t += 1
