"""Alpha snapped to the edges of the picture: the fast guided filter, with colour, on planes."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.refine import guided_apply, guided_kernels
from rtmatte.refine.guided_apply import TILE, Cells
from rtmatte.refine.guided_kernels import RADIUS
from rtmatte.refine.refiner import Quantizer, shape_hw
from rtmatte.refine.shrink import Shrinker

_YUV_OF_BGR: F32 = np.array(
    [[0.098, 0.504, 0.257, 16], [0.439, -0.291, -0.148, 128], [-0.071, -0.368, 0.439, 128]], np.float32
)
"""BT.601 in limited range, so that both kinds of picture are judged by the same epsilons."""


class GuidedFilter:
    """A `Refiner` that fits alpha, in each small window, to a linear function of the colours there.

    The fit is made on a grid about as fine as the model's alpha; applied at frame size, edges of alpha follow those of
    the picture. Pixels far from any uncertain alpha are filled, not computed. Buffers are allocated for the first frame
    and when sizes change; the kernels release the GIL.

    Reference: K. He, J. Sun, "Fast Guided Filter", arXiv:1505.00996, 2015; K. He, J. Sun, X. Tang, "Guided Image
    Filtering", IEEE TPAMI 35(6), 2013, section 3.5 (colour).
    """

    def __init__(
        self, *, grid_long_side: int = 256, epsilon_y: float = 200.0, epsilon_uv: float = 22.0, gain: float = 1.2
    ) -> None:
        """`grid_long_side` in cells, of which a window holds 7x7; the epsilons, in squared code values, are variances
        of luma and chroma below which a window counts as flat; alpha is steepened about one half by `gain`, 1 or more.

        Raises: `SettingsError` for a value out of range.
        """
        if grid_long_side < 2:
            raise SettingsError(f"Expected a grid of 2 cells or more, got {grid_long_side}.")
        if not (epsilon_y > 0 and epsilon_uv > 0):
            raise SettingsError(f"Expected positive variances, got {epsilon_y} and {epsilon_uv}.")
        if not gain >= 1:
            raise SettingsError(f"Expected a gain of 1 or more, got {gain}.")
        self._grid_long_side = grid_long_side
        self._epsilons = float(epsilon_y), float(epsilon_uv)
        self._gain = float(gain)
        self._quantizer = Quantizer()
        self._alpha_u8: U8 = np.empty((0, 0), np.uint8)
        self._grid: _Grid | None = None

    def refine(self, frame: Frame, alpha: F32, out_u8: U8 | None = None) -> U8:
        picture = frame.picture
        size_hw = shape_hw(picture)
        if out_u8 is None:
            if self._alpha_u8.shape != size_hw:
                self._alpha_u8 = np.empty(size_hw, np.uint8)
            out_u8 = self._alpha_u8
        small_u8 = self._quantizer.quantize(alpha)
        if self._grid is None or self._grid.size_hw != size_hw:
            self._grid = _Grid(size_hw, self._grid_long_side)
        grid = self._grid
        grid.fit(picture, small_u8, self._epsilons, self._gain)
        grid.apply(picture, out_u8)
        return out_u8

    def reset(self) -> None:
        """Nothing to forget."""


class _Grid:
    """The buffers for one frame size, and the two passes over them."""

    def __init__(self, size_hw: tuple[int, int], long_side: int) -> None:
        self.size_hw = size_hw
        scale = min(1.0, long_side / max(size_hw))
        height, width = (max(2, round(side * scale)) for side in size_hw)
        self._planes: U8 = np.empty((4, height, width), np.uint8)
        self._bgr: U8 = np.empty((height, width, 3), np.uint8)
        self._yuv: U8 = np.empty((height, width, 3), np.uint8)
        self._shrink_luma, self._shrink = Shrinker(), Shrinker()
        self._one: U8 = np.ones(width, np.uint8)
        self._columns: F32 = np.empty((14, width + 2 * RADIUS), np.float32)
        self._sums: F32 = np.empty((14, width), np.float32)
        self._fits: F32 = np.empty((height, 4, width), np.float32)
        self._maps: F32 = np.empty((height, 4, width), np.float32)
        self._kinds: U8 = np.empty((height, width), np.uint8)
        reach = np.arange(width)
        self._count_x: F32 = (np.minimum(reach + RADIUS, width - 1) - np.maximum(reach - RADIUS, 0) + 1).astype(
            np.float32
        )
        frame_w = size_hw[1]
        self._cells, self._shares = _places(np.arange(frame_w) + 0.5, width, frame_w)
        self._cells_uv, self._shares_uv = _places(2 * np.arange((frame_w + 1) // 2) + 1.0, width, frame_w)
        self._tiles: U8 = np.empty(-(-frame_w // TILE), np.uint8)
        self._spans: Cells = np.empty(((height + 1) * self._tiles.size, 6), np.int32)
        self._wide: F32 = np.empty((3, 5, frame_w + 1), np.float32)

    def fit(self, picture: Picture, small_u8: U8, epsilons: tuple[float, float], gain: float) -> None:
        """The maps from colour to alpha for every cell."""
        planes = self._planes
        if isinstance(picture, I420):
            self._shrink_luma.shrink(picture.y, planes[0])
            self._shrink.shrink(picture.u, planes[1])
            self._shrink.shrink(picture.v, planes[2])
        else:
            self._shrink.shrink(picture, self._bgr)
            cv2.transform(self._bgr, _YUV_OF_BGR, dst=self._yuv)
            cv2.split(self._yuv, mv=list(planes[:3]))
        shrinks = small_u8.shape[0] >= planes.shape[1] and small_u8.shape[1] >= planes.shape[2]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        cv2.resize(small_u8, planes.shape[:0:-1], dst=planes[3], interpolation=how)
        guided_kernels.fit_grid(planes, self._one, self._columns, self._sums, self._fits, *epsilons)
        guided_kernels.average_fits(self._fits, self._columns[:4], self._count_x, self._maps, self._kinds, gain)

    def apply(self, picture: Picture, alpha_u8: U8) -> None:
        """The maps at frame size."""
        count = guided_apply.fill_and_plan(self._kinds, self._cells, self._tiles, alpha_u8, self._spans)
        spans = self._spans[:count]
        if isinstance(picture, I420):
            guided_apply.apply_i420(
                *picture.planes, self._maps, spans, self._cells, self._shares, self._cells_uv, self._shares_uv,
                self._wide, alpha_u8,
            )  # fmt: skip
        else:
            guided_kernels.maps_of_bgr(self._maps, _YUV_OF_BGR)
            guided_apply.apply_bgr(picture, self._maps, spans, self._cells, self._shares, self._wide, alpha_u8)


def _places(middles: F32, cells: int, pixels: int) -> tuple[Cells, F32]:
    """For the middles of pixels the grid cell on their left and the share of the one on their right."""
    at = np.clip(middles * cells / pixels - 0.5, 0, cells - 1)
    cell = np.minimum(at.astype(np.int32), cells - 2)
    return cell, (at - cell).astype(np.float32)
