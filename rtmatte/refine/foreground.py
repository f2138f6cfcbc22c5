"""The foreground's own colours: no old room shines through the hair."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Picture
from rtmatte.refine import foreground_kernels
from rtmatte.refine.grid import Grid
from rtmatte.refine.grid_kernels import RADIUS
from rtmatte.refine.refiner import shape_hw
from rtmatte.shrink import Shrinker

_NEIGHBOURS = np.ones((3, 3), np.uint8)


class ForegroundColors:
    """Replaces a picture's colours C by the foreground's F, so that αF + (1 − α)B holds nothing of the room behind.

    F̂ and B̂, the mean colours about a pixel weighted by α² and by (1 − α)², are computed on a grid; what they don't
    explain goes to the foreground: F = F̂ + α(C − αF̂ − (1 − α)B̂). Only where alpha is neither 0 nor 1 nearby; the rest
    of the picture isn't touched. Buffers are allocated for the first picture and when sizes change; the kernels
    release the GIL. Owned by one thread.

    Reference: M. Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021; there weights are α and 1 − α and
    two passes are made.
    """

    def __init__(self, *, grid_long_side: int = 256) -> None:
        """`grid_long_side` in cells, of which a window holds 7x7.

        Raises: `SettingsError` for fewer than 2.
        """
        if grid_long_side < 2:
            raise SettingsError(f"Expected a grid of 2 cells or more, got {grid_long_side}.")
        self._grid_long_side = grid_long_side
        self._means: _Means | None = None

    def replace(self, picture: Picture, alpha_u8: U8, small: U8 | None = None) -> None:
        """Puts the foreground's colours into the picture; `alpha_u8` is (H, W) uint8, 255 = foreground.

        `small` are the picture's `SmallPlanes`, where somebody has them already.

        Raises: `ValueError` for an alpha of another size or type.
        """
        size_hw = shape_hw(picture)
        if alpha_u8.shape != size_hw or alpha_u8.dtype != np.uint8:
            raise ValueError(f"expected alpha as uint8 {size_hw}, got {alpha_u8.dtype} {alpha_u8.shape}")
        if self._means is None or self._means.grid.size_hw != size_hw:
            self._means = _Means(size_hw, self._grid_long_side)
        self._means.measure(picture, small, alpha_u8)
        self._means.fuse(picture, alpha_u8)


class _Means:
    """The buffers for one picture size, and the two passes over them."""

    def __init__(self, size_hw: tuple[int, int], long_side: int) -> None:
        self.grid = Grid(size_hw, long_side)
        height, width = self.grid.shape_hw
        self._shrink_alpha = Shrinker()
        self._planes: U8 = np.empty((5, height, width), np.uint8)
        self._alpha: U8 = np.empty((height, width), np.uint8)
        self._columns: F32 = np.empty((10, width + 2 * RADIUS), np.float32)
        self._sums: F32 = np.empty((8, width), np.float32)
        self._means: F32 = np.empty((height, 6, width), np.float32)
        self._near: U8 = np.empty((2, height, width), np.uint8)
        self._kinds: U8 = np.empty((height, width), np.uint8)
        self._wide: F32 = np.empty((3, 6 * size_hw[1] + 4), np.float32)
        self._half: U8 = np.empty((size_hw[1] + 1) // 2, np.uint8)

    def measure(self, picture: Picture, small: U8 | None, alpha_u8: U8) -> None:
        """Mean colours for every cell."""
        self.grid.shrink(picture, self._planes[:3], small)
        self._shrink_alpha.shrink(alpha_u8, self._alpha)
        foreground_kernels.weigh(self._alpha, self._planes[3], self._planes[4])
        box = self.grid.box(self._planes[3], RADIUS)
        foreground_kernels.mean_colors(self._planes, box, self.grid.ones, self._columns, self._sums, self._means)
        for weight in (3, 4):
            cv2.dilate(self._planes[weight], _NEIGHBOURS, dst=self._near[weight - 3])
        foreground_kernels.find_kinds(*self._near, self._kinds)

    def fuse(self, picture: Picture, alpha_u8: U8) -> None:
        """The foreground's colours at frame size."""
        grid, means, wide = self.grid, self._means, self._wide
        spans = grid.find_spans(self._kinds)
        if isinstance(picture, I420):
            foreground_kernels.fuse_i420(
                *picture.planes, alpha_u8, means, spans, grid.cells, grid.shares, grid.cells_uv, grid.shares_uv, wide,
                self._half,
            )  # fmt: skip
        else:
            foreground_kernels.fuse_bgr(picture, alpha_u8, means, spans, grid.cells, grid.shares, wide)
