"""A coarse grid over pictures of one size."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import F32, I420, U8, Picture
from rtmatte.refine import grid_kernels
from rtmatte.refine.grid_kernels import RADIUS, TILE, Cells
from rtmatte.refine.shrink import Shrinker


class Grid:
    """Where cells and pixels lie to each other, and scratch for kernels that go from one to the other.

    Owned by one thread; everything is allocated at once. `shape_hw` is in cells, 2 at least; `cells`, `shares` (W,) and
    `cells_uv`, `shares_uv` (⌈W/2⌉,) are what `grid_kernels.widen` wants; `window_widths` (w,) is how many cells of its
    row the window about each one holds.
    """

    def __init__(self, size_hw: tuple[int, int], long_side: int) -> None:
        """`long_side` in cells; a smaller picture has as many cells as pixels."""
        self.size_hw = size_hw
        scale = min(1.0, long_side / max(size_hw))
        self.shape_hw = max(2, round(size_hw[0] * scale)), max(2, round(size_hw[1] * scale))
        height, width = self.shape_hw
        column = np.arange(width)
        last, first = np.minimum(column + RADIUS, width - 1), np.maximum(column - RADIUS, 0)
        self.window_widths: F32 = (last - first + 1).astype(np.float32)
        self.ones: U8 = np.ones(width, np.uint8)
        frame_w = size_hw[1]
        self.cells, self.shares = _places(np.arange(frame_w) + 0.5, width, frame_w)
        self.cells_uv, self.shares_uv = _places(2 * np.arange((frame_w + 1) // 2) + 1.0, width, frame_w)
        self._tiles: U8 = np.empty(-(-frame_w // TILE), np.uint8)
        self._spans: Cells = np.empty(((height + 1) * self._tiles.size, 7), np.int32)
        self._shrink_full, self._shrink_half = Shrinker(), Shrinker()
        self._pixels: U8 = np.empty((height, width, 3), np.uint8)

    def shrink(self, picture: Picture, planes: U8) -> None:
        """The picture's planes or channels into `planes`, (3, h, w) uint8."""
        if isinstance(picture, I420):
            self._shrink_full.shrink(picture.y, planes[0])
            self._shrink_half.shrink(picture.u, planes[1])
            self._shrink_half.shrink(picture.v, planes[2])
        else:
            self._shrink_full.shrink(picture, self._pixels)
            cv2.split(self._pixels, mv=list(planes))

    def find_spans(self, kinds: U8) -> Cells:
        """The picture in stretches of one kind, as `grid_kernels.find_spans`; overwritten by the next call."""
        count = grid_kernels.find_spans(kinds, self.cells, self.size_hw[0], self._tiles, self._spans)
        return self._spans[:count]


def _places(middles: F32, cells: int, pixels: int) -> tuple[Cells, F32]:
    """For the middles of pixels the cell on their left and the share of the one on their right."""
    at = np.clip(middles * cells / pixels - 0.5, 0, cells - 1)
    cell = np.minimum(at.astype(np.int32), cells - 2)
    return cell, (at - cell).astype(np.float32)
