"""The inner loops over labelled pieces of alpha: numba kernels, serial, without the GIL.

The caller vouches for shapes: nothing is checked here, nothing is allocated.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rtmatte.frame import F32


@njit(nogil=True, cache=True)
def measure(
    labels: NDArray[np.int32],
    alpha: F32,
    shown: NDArray[np.bool_],
    holes: bool,
    sums: NDArray[np.float64],
    before: NDArray[np.bool_],
) -> None:
    """Adds alpha (1 − alpha, of `holes`) to `sums` of each pixel's label; `before`: whether any of it is `shown`.

    `sums` and `before` are (labels,), zero; the others (h, w).
    """
    for y in range(labels.shape[0]):
        label, run, was = labels[y, 0], 0.0, False
        for x in range(labels.shape[1]):
            if labels[y, x] != label:  # added up while the label is the same: a sum in memory is three times as slow
                sums[label] += run
                before[label] |= was
                label, run, was = labels[y, x], 0.0, False
            run += 1 - alpha[y, x] if holes else alpha[y, x]
            was |= shown[y, x]
        sums[label] += run
        before[label] |= was


@njit(nogil=True, cache=True)
def settle(
    labels: NDArray[np.int32], keep: NDArray[np.bool_], shown: NDArray[np.bool_], alpha: F32, holes: bool
) -> None:
    """Sets alpha of the labels that aren't to `keep` to 0 (1, of `holes`), and `shown` to those that are."""
    gone = np.float32(1 if holes else 0)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            stays = label != 0 and keep[label]
            shown[y, x] = stays
            if label and not stays:
                alpha[y, x] = gone
