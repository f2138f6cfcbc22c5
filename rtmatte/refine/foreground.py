"""The foreground's own colours: no old room shines through the hair."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Picture
from rtmatte.refine import foreground_kernels
from rtmatte.refine.grid import Grid
from rtmatte.refine.grid_kernels import RADIUS, UNCERTAIN, Cells
from rtmatte.refine.refiner import shape_hw
from rtmatte.shrink import Shrinker

_NEAR = 3.0
"""Of the share of the back in a window: from a third on it is as near as can be."""


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
        self._local: LocalColors | None = None
        self._wide: F32 = np.empty((0, 0), np.float32)
        self._half: U8 = np.empty(0, np.uint8)

    def replace(self, picture: Picture, alpha_u8: U8, small: U8 | None = None) -> None:
        """Puts the foreground's colours into the picture; `alpha_u8` is (H, W) uint8, 255 = foreground.

        `small` are the picture's `SmallPlanes`, where somebody has them already.

        Raises: `ValueError` for an alpha of another size or type.
        """
        size_hw = shape_hw(picture)
        if alpha_u8.shape != size_hw or alpha_u8.dtype != np.uint8:
            raise ValueError(f"expected alpha as uint8 {size_hw}, got {alpha_u8.dtype} {alpha_u8.shape}")
        if self._local is None or self._local.grid.size_hw != size_hw:
            self._local = LocalColors(size_hw, self._grid_long_side)
            self._wide = np.empty((3, 6 * size_hw[1] + 4), np.float32)
            self._half = np.empty((size_hw[1] + 1) // 2, np.uint8)
        self._local.measure(picture, small, alpha_u8)
        self._fuse(picture, alpha_u8, self._local)

    def _fuse(self, picture: Picture, alpha_u8: U8, local: LocalColors) -> None:
        """The foreground's colours at frame size."""
        grid, means, spans = local.grid, local.means, local.spans()
        if isinstance(picture, I420):
            foreground_kernels.fuse_i420(
                *picture.planes, alpha_u8, means, spans, grid.cells, grid.shares, grid.cells_uv, grid.shares_uv,
                self._wide, self._half,
            )  # fmt: skip
        else:
            foreground_kernels.fuse_bgr(picture, alpha_u8, means, spans, grid.cells, grid.shares, self._wide)


class LocalColors:
    """The mean colours of front and back about each cell of a grid, for pictures of one size. Owned by one thread.

    `means` is (h, 7, w) float32: front and back of Y, U, V or B, G, R in turn, and how near the back is: 1 at an edge,
    0 where nothing of it is in the window. Everything is allocated at once.
    """

    def __init__(self, size_hw: tuple[int, int], long_side: int, *, inner: int = 0) -> None:
        """`inner`: so many cells of the front's rim don't count as front; with 0, nearness isn't measured."""
        self.grid = Grid(size_hw, long_side)
        height, width = self.grid.shape_hw
        self.means: F32 = np.zeros((height, 7, width), np.float32)
        self._shrink_alpha = Shrinker()
        self._planes: U8 = np.empty((5, height, width), np.uint8)
        self._alpha: U8 = np.empty((height, width), np.uint8)
        self._columns: F32 = np.empty((10, width + 2 * RADIUS), np.float32)
        self._sums: F32 = np.empty((8, width), np.float32)
        self._near: U8 = np.empty((2, height, width), np.uint8)
        self._kinds: U8 = np.empty((height, width), np.uint8)
        self._around: U8 = np.empty((height, width), np.uint8)
        self._inner = inner

    def measure(self, picture: Picture, small: U8 | None, alpha_u8: U8) -> None:
        """Mean colours for every cell with both front and back around it; `small` as of `ForegroundColors.replace`."""
        self.grid.shrink(picture, self._planes[:3], small)
        self._shrink_alpha.shrink(alpha_u8, self._alpha)
        foreground_kernels.weigh(self._alpha, self._planes[3], self._planes[4])
        if self._inner:
            cv2.erode(self._planes[3], _square(self._inner), dst=self._planes[3])
            cv2.blur(self._alpha, (2 * RADIUS + 1, 2 * RADIUS + 1), dst=self._around)
            foreground_kernels.find_nearness(self._around, _NEAR, self.means)
        box = self.grid.box(self._planes[3], RADIUS)
        foreground_kernels.mean_colors(self._planes, box, self.grid.ones, self._columns, self._sums, self.means)

    def spans(self, reach: int = 1) -> Cells:
        """The picture in stretches as of `Grid.find_spans`: uncertain is what lies within `reach` cells of both."""
        footprint = _square(reach)
        for weight in (3, 4):
            cv2.dilate(self._planes[weight], footprint, dst=self._near[weight - 3])
        foreground_kernels.find_kinds(*self._near, self._kinds)
        return self.grid.find_spans(self._kinds)

    def rows(self, top: int, end: int) -> F32:
        """The means of every pixel of some rows of the picture, (end − top, 7, W) float32, where both front and back
        are near; 0 elsewhere. Allocates."""
        height = self.grid.size_hw[0]
        found = np.zeros((end - top, 7, self.grid.size_hw[1]), np.float32)
        for first, last, left, right, above, below, kind in self.spans(RADIUS):
            rows = np.arange(max(first, top), min(last, end))
            if kind != UNCERTAIN or not rows.size:
                continue
            cells, shares = self.grid.cells[left:right], self.grid.shares[left:right]
            upper, lower = (
                self.means[row][:, cells] + shares * (self.means[row][:, cells + 1] - self.means[row][:, cells])
                for row in (above, below)
            )
            down = np.clip((rows + 0.5) * self.grid.shape_hw[0] / height - 0.5 - above, 0, 1)[:, None, None]
            found[rows - top, :, left:right] = upper + down.astype(np.float32) * (lower - upper)
        return found


@lru_cache
def _square(reach: int) -> U8:
    """The footprint of a cell and those within reach."""
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
