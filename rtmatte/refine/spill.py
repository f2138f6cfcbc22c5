"""Despill: the light of a coloured screen or wall is taken off the person who stands before it."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtmatte.color import bgr_from_yuv_matrix, black_level, yuv_from_bgr_matrix
from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, ColorTags, Picture
from rtmatte.refine import spill_kernels
from rtmatte.refine.foreground import LocalColors
from rtmatte.refine.grid_kernels import RADIUS

Screen: TypeAlias = Literal["auto", "green", "blue"]

Pixels: TypeAlias = NDArray[Any]
"""uint8 or uint16."""

_KEYS = {"blue": 0, "green": 1}
_GRID_LONG_SIDE = 160
_INNER = 1
"""Cells of the grid. The hue of the foreground is that of its inside, so many cells in: its rim is what is tinted. Of
grids of 96 to 256 and 1 or 2 cells, best or nearly so on a green screen and on an orange wall."""
_WEAKEST, _FULL_FROM = 8.0, 24.0
"""Chroma of a background, in code values from grey: less than the first tints nothing; from the second on all of its
tint is taken."""
_BAND_PIXELS = 1 << 18
_BGR = ColorTags(matrix_code=1, full_range=True, range_tagged=True)


class Despill:
    """Takes the light of what is behind out of the foreground's colours, in place.

    `green` and `blue` limit that channel, in the whole foreground, to the average of the other two; a green shirt turns
    grey. `auto` finds, about the foreground's edge, how much of the local background's colour the foreground has beyond
    what it has of that hue further in, and subtracts that much of it: behind grey, and in a shirt of the wall's colour,
    nothing changes. Luma that goes with the light is not given back: light was added, and giving it back made colours
    at the edge worse than leaving the spill (error x1e3 before a green screen 115 as it was, 175 with the limit at
    constant luma, 56 with the limit alone). Buffers are allocated for the first picture and when sizes change; the
    kernels release the GIL. Owned by one thread.

    Reference: the average limit, green = min(green, (red + blue) / 2): S. Wright, "Digital Compositing for Film and
    Video", on despill. The excess is linear in U and V, so that on planes no pixel has to become RGB.
    """

    def __init__(self, screen: Screen) -> None:
        """Raises: `SettingsError` for another screen."""
        if screen not in ("auto", "green", "blue"):
            raise SettingsError(f"Expected a screen of auto, green, blue, got {screen!r}.")
        self._screen = screen
        self._local: LocalColors | None = None
        self._wide: F32 = np.empty((0, 0), np.float32)
        self._rows: F32 = np.empty((0, 0), np.float32)
        self._half: U8 = np.empty(0, np.uint8)

    def suppress(self, picture: Picture | Pixels, alpha: Pixels, in_8_bits: Picture | None = None) -> None:
        """Takes the spill from the picture where alpha, (H, W) of the picture's type, isn't 0.

        `in_8_bits` is the same picture in 8 bits, for one in 16.

        Raises: `ValueError` for an alpha of another size or type.
        """
        values = picture.y if isinstance(picture, I420) else picture
        size_hw = values.shape[0], values.shape[1]
        if alpha.shape != size_hw or alpha.dtype != values.dtype:
            raise ValueError(f"expected alpha as {values.dtype} {size_hw}, got {alpha.dtype} {alpha.shape}")
        if self._screen == "auto":
            if self._local is None or self._local.grid.size_hw != size_hw:
                self._local = LocalColors(size_hw, _GRID_LONG_SIDE, inner=_INNER)
            alpha_u8 = alpha if alpha.dtype == np.uint8 else (alpha >> 8).astype(np.uint8)
            self._local.measure(picture if in_8_bits is None else in_8_bits, None, alpha_u8)
        if isinstance(picture, I420):
            self._suppress_i420(picture, alpha)
        else:
            self._suppress_bgr(picture, alpha)

    def _suppress_i420(self, picture: I420, alpha_u8: U8) -> None:
        width, black = alpha_u8.shape[1], float(black_level(picture.color))
        if self._wide.shape[1] != width + 1:
            self._half = np.empty((width + 1) // 2, np.uint8)
            self._wide = np.empty((6, width + 1), np.float32)
            self._rows = np.empty((3, 6 * self._half.size + 6), np.float32)
        if self._local is None:
            excess_of, color = _limit_uv(self._screen, picture.color, alpha_u8.shape[0])
            spill_kernels.limit_i420(*picture.planes, alpha_u8, excess_of, color, black, self._wide, self._half)
            return
        grid = self._local.grid
        spill_kernels.untint_i420(
            *picture.planes, alpha_u8, self._local.means, self._local.spans(RADIUS), grid.cells_uv, grid.shares_uv,
            _WEAKEST, _FULL_FROM, black, self._wide, self._rows, self._half,
        )  # fmt: skip

    def _suppress_bgr(self, picture: Pixels, alpha: Pixels) -> None:
        """A band of rows at a time, in float32; only pixels that change are written."""
        height, width = alpha.shape
        full = np.float32(np.iinfo(picture.dtype).max)
        rows = max(1, _BAND_PIXELS // width)
        for top in range(0, height, rows):
            band = picture[top : top + rows]
            bgr = band * (np.float32(255) / full)
            if self._local is None:
                change = _limit_bgr(self._screen, bgr)
            else:
                change = _untint_bgr(bgr, self._local.rows(top, top + len(band)))
            changes = (alpha[top : top + rows] > 0) & change.any(axis=2)
            bgr += change
            clean = np.rint(np.clip(bgr, 0, 255) * (full / np.float32(255)))
            np.copyto(band, clean, where=changes[..., np.newaxis], casting="unsafe")


def _limit_uv(screen: str, color: ColorTags, height: int) -> tuple[F32, F32]:
    """What the excess is made of, of U and V from grey; and one unit of the channel alone as (Y, U, V)."""
    to_bgr, to_yuv = bgr_from_yuv_matrix(color, height), yuv_from_bgr_matrix(color, height)
    excess_of = _over_mean(screen) @ to_bgr[:, 1:3]
    return excess_of.astype(np.float32), to_yuv[:, [_KEYS[screen], 3]].sum(axis=1).astype(np.float32)


def _over_mean(screen: str) -> F32:
    """What makes the excess of a channel over the mean of the other two, of (B, G, R)."""
    over_mean = np.full(3, -0.5, np.float32)
    over_mean[_KEYS[screen]] = 1
    return over_mean


def _limit_bgr(screen: str, bgr: F32) -> F32:
    """What is to be added to (H, W, 3)."""
    change = np.zeros_like(bgr)
    change[..., _KEYS[screen]] = -np.maximum(bgr @ _over_mean(screen), 0)
    return change


def _untint_bgr(bgr: F32, means: F32) -> F32:
    """What is to be added to (H, W, 3): as `spill_kernels.find_tint`; `means` (H, 7, W) as of `LocalColors`."""
    to_uv = yuv_from_bgr_matrix(_BGR, 0)[1:, :3].T.astype(np.float32)
    before, behind = np.moveaxis(means[:, 0:6:2], 1, 2), np.moveaxis(means[:, 1:6:2], 1, 2)
    back, front, colors = behind @ to_uv, before @ to_uv, bgr @ to_uv
    square = (back * back).sum(axis=2) + np.float32(1e-3)
    own = np.maximum((back * front).sum(axis=2), 0)
    strength = np.clip((np.sqrt(square) - _WEAKEST) / (_FULL_FROM - _WEAKEST), 0, 1)
    excess = np.maximum((back * colors).sum(axis=2) - own, 0) / square * strength * means[:, 6]
    return np.asarray(-excess[..., np.newaxis] * behind, np.float32)
