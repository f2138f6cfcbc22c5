"""The inner loops of spill suppression on planes: numba kernels, serial, without the GIL.

How much is too much is asked at the resolution of chroma; luma follows, two by two pixels alike. Scratch comes from the
caller, nothing is allocated, nothing is checked.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8
from rtmatte.refine.foreground_kernels import halve_row
from rtmatte.refine.grid_kernels import UNCERTAIN, Cells, between, share_of, to_byte, widen

_GREY = np.float32(128)


@njit(nogil=True, cache=True)
def find_excess(u: U8, v: U8, there: U8, of_u: np.float32, of_v: np.float32, excess: F32) -> None:
    """What a row of chroma has too much of: `of_u`·U + `of_v`·V from grey, if over 0 and `there` isn't 0."""
    for x in range(u.size):
        found = of_u * (np.float32(u[x]) - _GREY) + of_v * (np.float32(v[x]) - _GREY)
        found = found if found > np.float32(0) else np.float32(0)
        excess[x] = found if there[x] > np.uint8(0) else np.float32(0)


@njit(nogil=True, cache=True)
def find_tint(u: U8, v: U8, there: U8, means: F32, weakest: np.float32, full_from: np.float32, excess: F32) -> None:
    """How much of the colour behind a row of chroma holds, as a share of it, beyond what is in front has of that hue.

    `means` (6, n): the mean Y behind, U in front and behind, V in front and behind, and how near that is. Colours
    behind whose chroma is shorter than `weakest` tint nothing; from `full_from` on all counts.
    """
    front_u, back_u, front_v, back_v, near = means[1], means[2], means[3], means[4], means[5]
    ramp = np.float32(1) / (full_from - weakest)
    for x in range(u.size):
        ku, kv = back_u[x] - _GREY, back_v[x] - _GREY
        square = ku * ku + kv * kv + np.float32(1e-3)
        own = ku * (front_u[x] - _GREY) + kv * (front_v[x] - _GREY)
        own = own if own > np.float32(0) else np.float32(0)
        found = (ku * (np.float32(u[x]) - _GREY) + kv * (np.float32(v[x]) - _GREY) - own) / square
        strength = (np.sqrt(square) - weakest) * ramp
        strength = strength if strength < np.float32(1) else np.float32(1)
        found = found * strength * near[x] if strength > np.float32(0) else np.float32(0)
        found = found if found > np.float32(0) else np.float32(0)
        excess[x] = found if there[x] > np.uint8(0) else np.float32(0)


@njit(nogil=True, cache=True)
def take_row(plane: U8, excess: F32, color: F32, zero: np.float32) -> None:
    """Takes `excess` times a `color`, as far from `zero`, from a row; all of one length."""
    for x in range(plane.size):
        plane[x] = to_byte(np.float32(plane[x]) - excess[x] * (color[x] - zero))


@njit(nogil=True, cache=True)
def double_row(half: F32, whole: F32) -> None:
    """Each value twice; an odd last one once."""
    for x in range(whole.size // 2):
        whole[2 * x] = half[x]
        whole[2 * x + 1] = half[x]
    if whole.size % 2:
        whole[whole.size - 1] = half[whole.size // 2]


@njit(nogil=True, cache=True)
def _take(
    y: U8, u: U8, v: U8, row: int, x0: int, x1: int, excess: F32, color_y: F32, color_u: F32, color_v: F32,
    black: np.float32, wide: F32,
) -> None:  # fmt: skip
    """`take_row` of a row of chroma and the two of luma over it, columns `x0` to `x1` of luma."""
    c0, c1, n = x0 // 2, (x1 + 1) // 2, x1 - x0
    take_row(u[row, c0:c1], excess, color_u, _GREY)
    take_row(v[row, c0:c1], excess, color_v, _GREY)
    excess_wide, color_wide = wide[0, :n], wide[1, :n]
    double_row(excess, excess_wide)
    double_row(color_y, color_wide)
    take_row(y[2 * row, x0:x1], excess_wide, color_wide, black)
    if 2 * row + 1 < y.shape[0]:
        take_row(y[2 * row + 1, x0:x1], excess_wide, color_wide, black)


@njit(nogil=True, cache=True)
def limit_i420(y: U8, u: U8, v: U8, alpha: U8, excess_of: F32, color: F32, black: float, wide: F32, half: U8) -> None:
    """Takes `find_excess` times a colour (Y, U, V) off whole planes.

    `excess_of` (2,) and `color` (3,) are constants of the screen; `wide` is scratch (8, W + 1) float32, `half`
    (⌈W/2⌉,) uint8.
    """
    height, n = alpha.shape[0], u.shape[1]
    excess, color_y, color_u, color_v = wide[2, :n], wide[3, :n], wide[4, :n], wide[5, :n]
    color_y[:], color_u[:], color_v[:] = color[0], color[1], color[2]
    for row in range(u.shape[0]):
        halve_row(alpha[2 * row], alpha[min(2 * row + 1, height - 1)], half)
        find_excess(u[row], v[row], half, excess_of[0], excess_of[1], excess)
        _take(y, u, v, row, 0, y.shape[1], excess, color_y, color_u, color_v, np.float32(black), wide)


@njit(nogil=True, cache=True)
def untint_i420(
    y: U8, u: U8, v: U8, alpha: U8, means: F32, spans: Cells, cells_uv: Cells, shares_uv: F32, weakest: float,
    full_from: float, black: float, wide: F32, rows: F32, half: U8,
) -> None:  # fmt: skip
    """Takes `find_tint` times the colour behind off the planes, in all uncertain `spans`.

    `means` (h, 7, w) as of `LocalColors`; cells and shares as in `Grid`; `wide` and `half` as of `limit_i420`, `rows`
    scratch (3, 6·⌈W/2⌉ + 6) float32.
    """
    upper, lower, blend = rows[0], rows[1], rows[2]
    grid_rows, height = means.shape[0], alpha.shape[0]
    for s in range(spans.shape[0]):
        if spans[s, 6] != UNCERTAIN:
            continue
        x0, x1, above, below = spans[s, 2], spans[s, 3], spans[s, 4], spans[s, 5]
        c0, c1 = x0 // 2, (x1 + 1) // 2
        n = c1 - c0
        for i in range(6):
            widen(means[above, 1 + i], cells_uv[c0:c1], shares_uv[c0:c1], upper[i * n :])
            widen(means[below, 1 + i], cells_uv[c0:c1], shares_uv[c0:c1], lower[i * n :])
        excess = wide[2, :n]
        for row in range(spans[s, 0] + spans[s, 0] % 2, spans[s, 1], 2):
            between(upper[: 6 * n], lower, share_of(row, above, grid_rows, height), blend)
            halve_row(alpha[row, x0:x1], alpha[min(row + 1, height - 1), x0:x1], half)
            near = blend[: 6 * n].reshape(6, n)
            find_tint(
                u[row // 2, c0:c1], v[row // 2, c0:c1], half, near, np.float32(weakest), np.float32(full_from), excess
            )
            _take(y, u, v, row // 2, x0, x1, excess, near[0], near[2], near[4], np.float32(black), wide)
