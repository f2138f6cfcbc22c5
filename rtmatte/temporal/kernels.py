"""The inner loops over time: numba kernels, serial, without allocation, without the GIL.

The caller vouches for shapes: nothing is checked here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32

_LEAST_WEIGHT = 1e-3
_MOST_WEIGHT = 63.0
"""What `RememberedFuture` can keep; past and future have to be cut alike, or the mean trails."""


@njit(nogil=True, cache=True)
def follow(state: F32, alpha: F32, difference: F32, weight: float, lets_go_at: float) -> None:
    """Moves `state` towards `alpha` by w + (1 − w)·min(1, (difference / lets_go_at)²); (h, w), of one shape."""
    base, rest, scale = np.float32(weight), np.float32(1 - weight), np.float32(1 / lets_go_at)
    for y in range(state.shape[0]):
        s, a, d = state[y], alpha[y], difference[y]
        for x in range(s.size):
            share = d[x] * scale
            share = share if share < np.float32(1) else np.float32(1)
            s[x] += (base + rest * share * share) * (a[x] - s[x])


@njit(nogil=True, cache=True)
def follow_moved(
    state: F32, alpha: F32, difference: F32, residual: F32, weight: float, lets_go_at: float, trusts_up_to: float
) -> None:  # fmt: skip
    """Moves `state` towards `alpha` by 1 − (1 − weight)·t; (h, w), of one shape.

    t = (1 − (difference / lets_go_at)²)·(1 − (residual / trusts_up_to)²)², each bracket 0 at least.
    """
    one, zero, rest = np.float32(1), np.float32(0), np.float32(1 - weight)
    scale_d, scale_r = np.float32(1 / lets_go_at), np.float32(1 / trusts_up_to)
    for y in range(state.shape[0]):
        s, a, d, r = state[y], alpha[y], difference[y], residual[y]
        for x in range(s.size):
            share_d, share_r = d[x] * scale_d, r[x] * scale_r
            agrees, explained = one - share_d * share_d, one - share_r * share_r
            agrees = agrees if agrees > zero else zero
            explained = explained if explained > zero else zero
            s[x] += (one - rest * agrees * explained * explained) * (a[x] - s[x])


@njit(nogil=True, cache=True)
def pass_by(
    alpha: F32,
    own: float,
    moved: F32,
    moved_weight: F32,
    difference: F32,
    residual: F32,
    share: float,
    lets_go_at: float,
    trusts_up_to: float,
    mean: F32,
    weight: F32,
) -> None:
    """Multiplies `moved_weight` by share·t, up to 63; `mean` and `weight` become those of alpha and moved together.

    All are (h, w), of one shape. t is that of `follow_moved`. `own`, alpha's weight, is 1, or 0 if there is none; then
    the little of what is moved that is left when nothing can be trusted is better than nothing.
    """
    one, zero, most = np.float32(1), np.float32(0), np.float32(share)
    limit, itself, least = np.float32(_MOST_WEIGHT), np.float32(own), np.float32((1 - own) * _LEAST_WEIGHT)
    scale_d, scale_r = np.float32(1 / lets_go_at), np.float32(1 / trusts_up_to)
    for y in range(alpha.shape[0]):
        a, m, n, d, r, mean_row, weight_row = (
            alpha[y], moved[y], moved_weight[y], difference[y], residual[y], mean[y], weight[y],
        )  # fmt: skip
        for x in range(a.size):
            share_d, share_r = d[x] * scale_d, r[x] * scale_r
            agrees, explained = one - share_d * share_d, one - share_r * share_r
            agrees = agrees if agrees > zero else zero
            explained = explained if explained > zero else zero
            trusted = n[x] * most * agrees * explained * explained
            trusted = trusted if trusted < limit else limit
            left = n[x] if n[x] < least else least
            trusted = trusted if trusted > left else left
            n[x] = trusted
            both = itself + trusted
            weight_row[x] = both
            mean_row[x] = (itself * a[x] + trusted * m[x]) / (both if both > zero else one)


@njit(nogil=True, cache=True)
def mean_of_three(
    alpha: F32, own: float, one: F32, one_weight: F32, other: F32, other_weight: F32, out: F32
) -> None:  # fmt: skip
    """The weighted mean, alpha's weight being `own`; (h, w) all. Without any weight, 0."""
    itself, zero, unit = np.float32(own), np.float32(0), np.float32(1)
    for y in range(out.shape[0]):
        a, b, c, o = alpha[y], one[y], other[y], out[y]
        weight_b, weight_c = one_weight[y], other_weight[y]
        for x in range(o.size):
            weight = itself + weight_b[x] + weight_c[x]
            o[x] = (itself * a[x] + weight_b[x] * b[x] + weight_c[x] * c[x]) / (weight if weight > zero else unit)


@njit(nogil=True, cache=True)
def add_positions(flow: F32, scale_x: float, scale_y: float, places: F32) -> None:
    """Where each pixel's flow leads to: its own position plus the flow times the scale."""
    width = flow.shape[1]
    along_x, along_y = np.float32(scale_x), np.float32(scale_y)
    for y in range(flow.shape[0]):
        source, target = flow[y], places[y]
        for x in range(width):
            target[x, 0] = np.float32(x) + source[x, 0] * along_x
            target[x, 1] = np.float32(y) + source[x, 1] * along_y


@njit(nogil=True, cache=True)
def prefer_stillness(flow: F32, moved: F32, still: F32, noise: float) -> None:
    """Scales the flow by s⁴ / (s⁴ + m⁴ + noise⁴) and writes the residual of that mixture into `still`.

    s is the residual without any motion (`still`), m with the flow (`moved`).
    """
    floor = np.float32(noise) ** 4
    for y in range(flow.shape[0]):
        target, with_flow, without = flow[y], moved[y], still[y]
        for x in range(with_flow.size):
            s, m = without[x], with_flow[x]
            s4, m4 = s * s * s * s, m * m * m * m
            trust = s4 / (s4 + m4 + floor)
            target[x, 0] *= trust
            target[x, 1] *= trust
            without[x] = s + trust * (m - s)
