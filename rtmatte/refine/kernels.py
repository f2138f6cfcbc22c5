"""The inner loops of refinement: numba kernels, serial, without allocation, without the GIL.

The caller vouches for shapes: nothing is checked here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import F32, U8


@njit(nogil=True, cache=True)
def quantize_alpha(alpha: F32, alpha_u8: U8, tolerance: float, opaque_from: float = 1.0) -> int:
    """Rounds alpha, (H, W) float32 of any strides, to 0..255; how many values are NaN or outside [0, 1] ± tolerance.

    Alpha of `opaque_from` and more becomes 255, less in proportion.
    """
    scale = np.float32(255 / opaque_from)
    low, high = np.float32(-tolerance), np.float32(1 + tolerance)
    bad = np.int32(0)
    for y in range(alpha.shape[0]):
        source, target = alpha[y], alpha_u8[y]
        for x in range(source.size):
            value = source[x]
            bad += np.int32(not (value >= low) or not (value <= high))
            scaled = value * scale + np.float32(0.5)
            scaled = scaled if scaled > np.float32(0) else np.float32(0)  # NaN too: a plain comparison vectorises
            scaled = scaled if scaled < np.float32(255.5) else np.float32(255)
            target[x] = np.uint8(np.int32(scaled))
    return int(bad)
