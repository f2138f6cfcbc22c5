"""How the guided filter fits alpha to colours on a grid: numba kernels, serial, without the GIL.

Everything is in code values, 0..255, alpha too. Scratch comes from the caller, nothing is allocated or checked.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8
from rtmatte.refine.grid_kernels import RADIUS, UNCERTAIN, Box, accumulate, sum_across

_ONE, _FULL, _HALF = np.float32(1), np.float32(255), np.float32(0.5)


@njit(nogil=True, cache=True)
def add_row(y: U8, u: U8, v: U8, p: U8, one: U8, sign: float, columns: F32) -> None:
    """Adds (sign 1) one row of the small planes to the sums of each column, or takes it away (−1).

    `columns` is (14, w + 2·RADIUS) float32, the outer ones stay 0: sums of Y, U, V, p, 1, YY, YU, YV, Yp, UU, UV, Up,
    VV, Vp. `one` is a row of ones.
    """
    s, first, end = np.float32(sign), RADIUS, RADIUS + y.size  # rows sliced one by one stay contiguous for numba
    accumulate(columns[0, first:end], y, one, s)
    accumulate(columns[1, first:end], u, one, s)
    accumulate(columns[2, first:end], v, one, s)
    accumulate(columns[3, first:end], p, one, s)
    accumulate(columns[4, first:end], one, one, s)
    accumulate(columns[5, first:end], y, y, s)
    accumulate(columns[6, first:end], y, u, s)
    accumulate(columns[7, first:end], y, v, s)
    accumulate(columns[8, first:end], y, p, s)
    accumulate(columns[9, first:end], u, u, s)
    accumulate(columns[10, first:end], u, v, s)
    accumulate(columns[11, first:end], u, p, s)
    accumulate(columns[12, first:end], v, v, s)
    accumulate(columns[13, first:end], v, p, s)


@njit(nogil=True, cache=True, error_model="numpy")
def solve_row(s: F32, fit: F32, left: int, right: int, epsilon_y: float, epsilon_uv: float) -> None:
    """The best p = a·(Y, U, V) + b in each window: sums (14, ≥ right − left), as `add_row` names them, to the columns
    `left` to `right` of `fit` (4, w), all float32.

    Ridge regression by LDLᵀ. Where all of p is 0 or all of it is 255, a is exactly 0 and b exactly p.
    """
    sum_y, sum_u, sum_v, sum_p, count = s[0], s[1], s[2], s[3], s[4]
    sum_yy, sum_yu, sum_yv, sum_yp, sum_uu = s[5], s[6], s[7], s[8], s[9]
    sum_uv, sum_up, sum_vv, sum_vp = s[10], s[11], s[12], s[13]
    fit_y, fit_u, fit_v = fit[0, left:right], fit[1, left:right], fit[2, left:right]
    fit_b = fit[3, left:right]
    ridge_y, ridge_uv = np.float32(epsilon_y), np.float32(epsilon_uv)
    for x in range(fit_b.size):
        n = _ONE / count[x]
        y, u, v, p = sum_y[x] * n, sum_u[x] * n, sum_v[x] * n, sum_p[x] * n
        yy, yu, yv = sum_yy[x] * n - y * y + ridge_y, sum_yu[x] * n - y * u, sum_yv[x] * n - y * v
        uu, uv, vv = sum_uu[x] * n - u * u + ridge_uv, sum_uv[x] * n - u * v, sum_vv[x] * n - v * v + ridge_uv
        yp, up, vp = sum_yp[x] * n - y * p, sum_up[x] * n - u * p, sum_vp[x] * n - v * p
        one_yy = _ONE / yy  # divisions are what takes the time here: one each, then products
        by_y = yu * one_yy
        uu, uv, up = uu - by_y * yu, uv - by_y * yv, up - by_y * yp
        one_uu = _ONE / uu
        by_y, by_u = yv * one_yy, uv * one_uu
        vv, vp = vv - by_y * yv - by_u * uv, vp - by_y * yp - by_u * up
        a_v = vp / vv
        a_u = (up - uv * a_v) * one_uu
        a_y = (yp - yu * a_u - yv * a_v) * one_yy
        full = sum_p[x] == _FULL * count[x]
        blend = np.float32(0) if full else _ONE
        fit_y[x], fit_u[x], fit_v[x] = blend * a_y, blend * a_u, blend * a_v
        fit_b[x] = _FULL if full else p - a_y * y - a_u * u - a_v * v


@njit(nogil=True, cache=True)
def _add_row_of(planes: U8, row: int, left: int, right: int, one: U8, sign: float, columns: F32) -> None:
    y, u, v, p = planes[0, row], planes[1, row], planes[2, row], planes[3, row]
    add_row(y[left:right], u[left:right], v[left:right], p[left:right], one[left:right], sign, columns)


@njit(nogil=True, cache=True)
def fit_grid(
    planes: U8, box: Box, one: U8, columns: F32, sums: F32, fit: F32, epsilon_y: float, epsilon_uv: float
) -> None:  # fmt: skip
    """`solve_row` for the cells in `box`: `planes` (4, h, w) uint8 are Y, U, V and p; `fit` is (h, 4, w) float32.

    Outside the box p has to be 0; windows end there. `columns` is scratch as of `add_row`, `sums` (14, w).
    """
    top, bottom, left, right = box
    width = right - left
    columns[:] = 0
    for row in range(top, min(top + RADIUS, bottom)):
        _add_row_of(planes, row, left, right, one, 1.0, columns)
    for row in range(top, bottom):
        enters, leaves = row + RADIUS, row - RADIUS - 1
        if enters < bottom:
            _add_row_of(planes, enters, left, right, one, 1.0, columns)
        if leaves >= top:
            _add_row_of(planes, leaves, left, right, one, -1.0, columns)
        sum_across(columns, sums, width)
        solve_row(sums, fit[row], left, right, epsilon_y, epsilon_uv)


@njit(nogil=True, cache=True, error_model="numpy")
def average_fits(
    fit: F32,
    alpha: U8,
    box: Box,
    columns: F32,
    sums: F32,
    count_x: F32,
    mean: F32,
    kinds: U8,
    gain: float,
    fitted: float,
) -> None:
    """The mean fit of all windows that hold a cell, steepened about one half by `gain`; and each cell's kind.

    Of that, `mean` holds the share `fitted`, and of `alpha` itself, (h, w) uint8, the rest. `fit` and `mean` are
    (h, 4, w) float32, filled in `box` only; outside it kinds are 0. `columns` (4, w + 2·RADIUS) and `sums` (4, w) are
    scratch, `count_x` (w,) the windows in a row of each cell. A kind is 0 or 255 where `mean` gives that for any
    colour, else `UNCERTAIN`.
    """
    top, bottom, left, right = box
    height, width = fit.shape[0], right - left
    steep, plain = np.float32(gain * fitted), np.float32(1 - fitted)
    lift = np.float32(fitted) * (_FULL - _FULL * np.float32(gain)) * _HALF
    columns[:] = 0
    kinds[:] = 0
    for row in range(top, bottom):
        first_row, end_row = max(row - RADIUS, top), min(row + RADIUS + 1, bottom)
        for i in range(4):
            column, first = columns[i, RADIUS : RADIUS + width], fit[first_row, i, left:right]
            for x in range(width):
                column[x] = first[x]
            for other in range(first_row + 1, end_row):
                more = fit[other, i, left:right]
                for x in range(width):
                    column[x] += more[x]
        sum_across(columns, sums, width)
        # The counts are those of the whole grid: at the box's own edges all fits are 0, and their mean with them.
        rows = np.float32(min(row + RADIUS + 1, height) - max(row - RADIUS, 0))
        counts, share = count_x[left:right], columns[0, :width]
        for x in range(width):
            share[x] = steep / (rows * counts[x])
        for i in range(4):
            source, target = sums[i], mean[row, i, left:right]
            for x in range(width):
                target[x] = source[x] * share[x]
        constant, own = mean[row, 3, left:right], alpha[row, left:right]
        for x in range(width):
            constant[x] += lift + plain * np.float32(own[x])
        columns[0, :] = 0  # its margins have to be
        _kinds_of(mean[row], left, right, kinds[row])


@njit(nogil=True, cache=True)
def _kinds_of(mean: F32, left: int, right: int, kinds: U8) -> None:
    zero = np.float32(0)
    a_y, a_u, a_v, b = mean[0], mean[1], mean[2], mean[3]
    for x in range(left, right):
        rise = max(a_y[x], zero) + max(a_u[x], zero) + max(a_v[x], zero)
        fall = min(a_y[x], zero) + min(a_u[x], zero) + min(a_v[x], zero)
        # Any colour is within 0..255 each; less than half a code value is rounded away.
        sure = np.uint8(0) if b[x] + _FULL * rise < _HALF else np.uint8(UNCERTAIN)
        kinds[x] = np.uint8(255) if b[x] + _FULL * fall >= _FULL - _HALF else sure


@njit(nogil=True, cache=True)
def maps_of_bgr(maps: F32, matrix: F32) -> None:
    """Turns maps of (Y, U, V), (h, 4, w) float32, into those of (B, G, R), in place; `matrix` (3, 4) is YUV of BGR."""
    for row in range(maps.shape[0]):
        a_0, a_1, a_2, b = maps[row, 0], maps[row, 1], maps[row, 2], maps[row, 3]
        for x in range(b.size):
            y, u, v = a_0[x], a_1[x], a_2[x]
            a_0[x] = y * matrix[0, 0] + u * matrix[1, 0] + v * matrix[2, 0]
            a_1[x] = y * matrix[0, 1] + u * matrix[1, 1] + v * matrix[2, 1]
            a_2[x] = y * matrix[0, 2] + u * matrix[1, 2] + v * matrix[2, 2]
            b[x] += y * matrix[0, 3] + u * matrix[1, 3] + v * matrix[2, 3]
