"""The loops of the clean plate: numba kernels over a small grid, serial, without the GIL. Nothing is checked here."""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8

_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(nogil=True, cache=True)
def compare(planes: U8, plate: F32, chroma_weight: float, squared: F32) -> None:
    """Squared distance of (3, h, w) bytes Y, U, V from the plate, (3, h, w) float32, into `squared` (h, w)."""
    y, u, v = planes[0].ravel(), planes[1].ravel(), planes[2].ravel()
    p_y, p_u, p_v, out = plate[0].ravel(), plate[1].ravel(), plate[2].ravel(), squared.ravel()
    weight = np.float32(chroma_weight * chroma_weight)
    for i in range(out.size):
        d_y, d_u, d_v = np.float32(y[i]) - p_y[i], np.float32(u[i]) - p_u[i], np.float32(v[i]) - p_v[i]
        out[i] = d_y * d_y + weight * (d_u * d_u + d_v * d_v)


@njit(nogil=True, cache=True)
def learn(planes: U8, nearby: F32, limit: float, plate: F32, known_s: F32, elapsed_s: float, memory_s: float) -> None:
    """Takes cells into the plate about which no alpha `nearby` is over `limit`: a mean at first, then one that fades.

    `known_s` (h, w) counts for how long each cell has been seen; `plate` forgets with `memory_s`.
    """
    near, seen = nearby.ravel(), known_s.ravel()
    step, least = np.float32(elapsed_s), np.float32(1 - np.exp(-elapsed_s / memory_s))
    for i in range(near.size):
        seen[i] += step if near[i] < np.float32(limit) else _ZERO
    for k in range(3):
        color, mean = planes[k].ravel(), plate[k].ravel()
        for i in range(near.size):
            weight = max(step / max(seen[i], step), least)
            weight = weight if near[i] < np.float32(limit) else _ZERO
            mean[i] += weight * (np.float32(color[i]) - mean[i])


@njit(nogil=True, cache=True, error_model="numpy")
def raise_what_stands_out(
    squared: F32, known: F32, noise: float, hint: float, begins: float, ends: float, power: float, alpha: F32
) -> None:
    """Raises alpha over `hint` to ((α − hint) / (1 − hint))^(1 − power·e), where `known`.

    e goes from 0 to 1 as the distance from the plate, whose windows' mean square is `squared`, goes from `begins` to
    `ends` times the noise. All are (h, w).
    """
    d, k, a = squared.ravel(), known.ravel(), alpha.ravel()
    low, span = np.float32(begins * noise), np.float32((ends - begins) * noise)
    least, most = np.float32(hint), np.float32(power)
    for i in range(a.size):
        if (a[i] > least) & (a[i] < _ONE) & (k[i] >= _ONE) & (d[i] > low * low):
            evidence = min((np.sqrt(d[i]) - low) / span, _ONE)
            a[i] = ((a[i] - least) / (_ONE - least)) ** (_ONE - most * evidence)


@njit(nogil=True, cache=True)
def hold_back(
    squared: F32, known: F32, limit: float, stands_s: F32, elapsed_s: float, after_s: float, nearby: F32
) -> None:
    """Sets `nearby` to 1 where the picture has differed from the plate for less than `after_s`; all are (h, w).

    `squared` are means of windows, `stands_s` counts the seconds over `limit`.
    """
    d, k, stands, near = squared.ravel(), known.ravel(), stands_s.ravel(), nearby.ravel()
    step, after, least = np.float32(elapsed_s), np.float32(after_s), np.float32(limit)
    for i in range(near.size):
        differs = (d[i] > least) & (k[i] >= _ONE)
        stands[i] = stands[i] + step if differs else _ZERO
        near[i] = _ONE if differs & (stands[i] < after) else near[i]


@njit(nogil=True, cache=True)
def weigh(planes: U8, alpha: F32, weighted: F32) -> None:
    """α⁴·Y, α⁴·U, α⁴·V and α⁴, interleaved, into `weighted` (h, w, 4)."""
    for row in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            square = alpha[row, x] * alpha[row, x]
            weight = square * square
            for k in range(3):
                weighted[row, x, k] = weight * np.float32(planes[k, row, x])
            weighted[row, x, 3] = weight


@njit(nogil=True, cache=True, error_model="numpy")
def settle(
    planes: U8, plate: F32, known: F32, fronts: F32, band: F32, alpha: F32, chroma_weight: float, contrast: float
) -> None:
    """Moves alpha to what C = αF + (1 − α)B says, as far as `band`, `known` and the contrast of F and B allow.

    `fronts` (h, w, 4) are window means of what `weigh` made; all others (h, w), `known` and `band` in 0..1. A contrast
    of `contrast` code values counts half.
    """
    uv, half = np.float32(chroma_weight * chroma_weight), np.float32(contrast * contrast)
    for row in range(alpha.shape[0]):
        for x in range(alpha.shape[1]):
            trust = band[row, x] * known[row, x]
            weight = fronts[row, x, 3]
            if trust <= _ZERO or weight < np.float32(0.02):
                continue
            dot, length = _ZERO, np.float32(1e-3)
            for k in range(3):
                scale = _ONE if k == 0 else uv
                back = plate[k, row, x]
                span = fronts[row, x, k] / weight - back
                dot += scale * span * (np.float32(planes[k, row, x]) - back)
                length += scale * span * span
            solved = min(max(dot / length, _ZERO), _ONE)
            alpha[row, x] += trust * length / (length + half) * (solved - alpha[row, x])


@njit(nogil=True, cache=True)
def drop_clutter(
    squared: F32, known: F32, limit: float, matched_s: F32, elapsed_s: float, after_s: float, alpha: F32
) -> None:
    """Fades alpha out where the picture has equalled the plate for `after_s`; `squared` are means of windows."""
    d, k, matched, a = squared.ravel(), known.ravel(), matched_s.ravel(), alpha.ravel()
    step, after, most = np.float32(elapsed_s), np.float32(after_s), np.float32(limit)
    for i in range(a.size):
        matched[i] = matched[i] + step if (d[i] < most) & (k[i] >= _ONE) else _ZERO
        left = _ONE - (matched[i] - after) / (np.float32(0.2) * after)
        a[i] *= min(max(left, _ZERO), _ONE)
