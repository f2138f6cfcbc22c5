"""The inner loops over time: numba kernels, serial, without allocation, without the GIL.

The caller vouches for shapes: nothing is checked here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32


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
