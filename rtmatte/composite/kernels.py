"""The inner loops of compositing: numba kernels over uint8 pictures.

The mixture of two code values is `(v + (v >> 8)) >> 8` with `v = f·a + b·(255 − a) + 128`: exactly
round((f·a + b·(255 − a)) / 255), and v never leaves 16 bits. The blends keep all arithmetic in uint16 and free of
branches so that LLVM packs 16 or 32 pixels into a vector instruction; a float or a 64-bit intermediate loses a factor
of four.

Every kernel is serial, allocates nothing and releases the GIL. The caller vouches for shapes: nothing is checked here.
Planes are C-contiguous.

Reference: T. Porter, T. Duff, "Compositing Digital Images", SIGGRAPH 1984 (the `over` operator); J. Blinn, "Three
Wrongs Make a Right", IEEE CG&A 15(6), 1995 (the exact division by 255).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from rtmatte.frame import U8


@njit(inline="always")
def _mix(f: np.uint8, b: np.uint8, a: np.uint8) -> np.uint8:
    inverse = np.uint16(np.uint16(255) - np.uint16(a))
    v = np.uint16(np.uint16(f) * np.uint16(a) + np.uint16(b) * inverse + np.uint16(128))
    return np.uint8(np.uint16(v + (v >> np.uint16(8))) >> np.uint16(8))


@njit(nogil=True, cache=True)
def blend_plane(foreground: U8, background: U8, alpha: U8) -> None:
    """Mixes one plane into `foreground`: three uint8 arrays of one (H, W) shape, alpha 255 = foreground."""
    f, b, a = foreground.ravel(), background.ravel(), alpha.ravel()
    for i in range(f.size):
        f[i] = _mix(f[i], b[i], a[i])


@njit(nogil=True, cache=True)
def blend_bgr(foreground: U8, background: U8, alpha: U8) -> None:
    """Mixes interleaved colour into `foreground`: (H, W, 3) uint8 twice and (H, W) uint8 alpha, 255 = foreground."""
    f, b, a = foreground.ravel(), background.ravel(), alpha.ravel()  # flat: LLVM sees the stride of 3 and vectorises
    for i in range(a.size):
        f[3 * i] = _mix(f[3 * i], b[3 * i], a[i])
        f[3 * i + 1] = _mix(f[3 * i + 1], b[3 * i + 1], a[i])
        f[3 * i + 2] = _mix(f[3 * i + 2], b[3 * i + 2], a[i])


@njit(nogil=True, cache=True)
def halve_alpha(alpha: U8, half: U8) -> None:
    """The rounded mean of each 2x2 block of (H, W) alpha into `half` (⌈H/2⌉, ⌈W/2⌉); odd edges: of the pixels there."""
    height, width = alpha.shape
    pairs = width // 2
    for y in range(half.shape[0]):
        top, bottom, out = alpha[2 * y], alpha[min(2 * y + 1, height - 1)], half[y]
        for x in range(pairs):
            upper = np.uint16(top[2 * x]) + np.uint16(top[2 * x + 1])
            lower = np.uint16(bottom[2 * x]) + np.uint16(bottom[2 * x + 1])
            out[x] = np.uint8(np.uint16(upper + lower + 2) >> np.uint16(2))
        if width % 2:
            out[pairs] = np.uint8((np.uint16(top[width - 1]) + np.uint16(bottom[width - 1]) + 1) >> 1)


@njit(nogil=True, cache=True)
def blank_plane(plane: U8, alpha: U8, value: int) -> None:
    """Sets `plane` to `value` where alpha is 0; both (H, W) uint8, or (H, W, 3) over (H, W)."""
    blank = np.uint8(value)
    p, a = plane.ravel(), alpha.ravel()
    channels = p.size // a.size
    for i in range(a.size):
        for c in range(channels):
            p[channels * i + c] = p[channels * i + c] if a[i] else blank


@njit(nogil=True, cache=True)
def blank_chroma(u: U8, v: U8, alpha: U8) -> None:
    """Sets both chroma planes (⌈H/2⌉, ⌈W/2⌉) to 128 where all pixels of their block in (H, W) `alpha` are 0."""
    height, width = alpha.shape
    for y in range(u.shape[0]):
        top, bottom = alpha[2 * y], alpha[min(2 * y + 1, height - 1)]
        for x in range(u.shape[1]):
            left, right = 2 * x, min(2 * x + 1, width - 1)
            if not (top[left] | top[right] | bottom[left] | bottom[right]):
                u[y, x] = np.uint8(128)
                v[y, x] = np.uint8(128)
