"""A coarse grid over pictures of one size."""

from __future__ import annotations

import numpy as np

from rtmatte.frame import F32, U8, Picture
from rtmatte.refine import grid_kernels
from rtmatte.refine.grid_kernels import RADIUS, TILE, Box, Cells
from rtmatte.small import SmallPlanes, small_shape


class Grid:
    """Where cells and pixels lie to each other, and scratch for kernels that go from one to the other.

    Owned by one thread; everything is allocated at once. `shape_hw` is in cells, 2 at least; `cells`, `shares` (W,) and
    `cells_uv`, `shares_uv` (⌈W/2⌉,) are what `grid_kernels.widen` wants; `window_widths` (w,) is how many cells of its
    row the window about each one holds.
    """

    def __init__(self, size_hw: tuple[int, int], long_side: int) -> None:
        """`long_side` in cells; a smaller picture has as many cells as pixels."""
        self.size_hw = size_hw
        self.shape_hw = small_shape(size_hw, long_side)
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
        self._tile_cells = -(-TILE * width // frame_w)
        self._small = SmallPlanes()

    def shrink(self, picture: Picture, planes: U8, small: U8 | None = None) -> None:
        """The picture's planes or channels into `planes`, (3, h, w) uint8; `small` are they, if of the grid's size."""
        if small is not None and small.shape == planes.shape:
            np.copyto(planes, small)
        else:
            self._small.shrink(picture, planes)

    def box(self, plane: U8, reach: int) -> Box:
        """The part of the grid outside which `plane`, (h, w) uint8, has no influence, being 0 there.

        `reach`: how many cells away a value of the plane counts. The part is wider than that by as much as a window
        and the stretches of `find_spans` look beyond.
        """
        margin_y = reach + RADIUS + 2
        box: Box = grid_kernels.find_box(plane, margin_y, margin_y + self._tile_cells)
        return box

    def find_spans(self, kinds: U8) -> Cells:
        """The picture in stretches of one kind, as `grid_kernels.find_spans`; overwritten by the next call."""
        count = grid_kernels.find_spans(kinds, self.cells, self.size_hw[0], self._tiles, self._spans)
        return self._spans[:count]


def _places(middles: F32, cells: int, pixels: int) -> tuple[Cells, F32]:
    """For the middles of pixels the cell on their left and the share of the one on their right."""
    at = np.clip(middles * cells / pixels - 0.5, 0, cells - 1)
    cell = np.minimum(at.astype(np.int32), cells - 2)
    return cell, (at - cell).astype(np.float32)
