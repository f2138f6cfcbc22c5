"""Alpha snapped to the edges of the picture: the fast guided filter, with colour, on planes."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.refine import guided_apply, guided_kernels
from rtmatte.refine.grid import Grid
from rtmatte.refine.grid_kernels import RADIUS
from rtmatte.refine.refiner import Quantizer, shape_hw

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
        self,
        *,
        grid_long_side: int = 256,
        epsilon_y: float = 1000.0,
        epsilon_uv: float = 30.0,
        gain: float = 1.2,
        fitted: float = 0.8,
        opaque_from: float = 0.75,
    ) -> None:
        """`grid_long_side` in cells, of which a window holds 7x7; the epsilons, in squared code values, are variances
        of luma and chroma below which a window counts as flat. The model's alpha counts as 1 from `opaque_from` on,
        since nets draw people too small rather than too large. The fit is steepened about one half by `gain`; the share
        `fitted` of the result is that, the rest is the model's alpha interpolated: noise of the picture comes through
        the fit, so that a little less of it is calmer and no less sharp (figures in docs/design.md).

        Raises: `SettingsError` for a value out of range.
        """
        if grid_long_side < 2:
            raise SettingsError(f"Expected a grid of 2 cells or more, got {grid_long_side}.")
        if not (epsilon_y > 0 and epsilon_uv > 0):
            raise SettingsError(f"Expected positive variances, got {epsilon_y} and {epsilon_uv}.")
        if not gain >= 1:
            raise SettingsError(f"Expected a gain of 1 or more, got {gain}.")
        if not 0 <= fitted <= 1:
            raise SettingsError(f"Expected a share from 0 to 1, got {fitted}.")
        if not 0 < opaque_from <= 1:
            raise SettingsError(f"Expected an alpha above 0 and up to 1, got {opaque_from}.")
        self._grid_long_side = grid_long_side
        self._epsilons = float(epsilon_y), float(epsilon_uv)
        self._steepness = float(gain), float(fitted)
        self._quantizer = Quantizer(opaque_from)
        self._alpha_u8: U8 = np.empty((0, 0), np.uint8)
        self._maps: _Maps | None = None

    def refine(self, frame: Frame, alpha: F32, out_u8: U8 | None = None, small: U8 | None = None) -> U8:
        picture = frame.picture
        size_hw = shape_hw(picture)
        if out_u8 is None:
            if self._alpha_u8.shape != size_hw:
                self._alpha_u8 = np.empty(size_hw, np.uint8)
            out_u8 = self._alpha_u8
        alpha_small_u8 = self._quantizer.quantize(alpha)
        if self._maps is None or self._maps.grid.size_hw != size_hw:
            self._maps = _Maps(size_hw, self._grid_long_side)
        self._maps.fit(picture, small, alpha_small_u8, self._epsilons, self._steepness)
        self._maps.apply(picture, out_u8)
        return out_u8

    def reset(self) -> None:
        """Nothing to forget."""


class _Maps:
    """The buffers for one frame size, and the two passes over them."""

    def __init__(self, size_hw: tuple[int, int], long_side: int) -> None:
        self.grid = Grid(size_hw, long_side)
        height, width = self.grid.shape_hw
        self._planes: U8 = np.empty((4, height, width), np.uint8)
        self._bgr: U8 = np.empty((height, width, 3), np.uint8)
        self._columns: F32 = np.empty((14, width + 2 * RADIUS), np.float32)
        self._sums: F32 = np.empty((14, width), np.float32)
        self._fits: F32 = np.empty((height, 4, width), np.float32)
        self._maps: F32 = np.empty((height, 4, width), np.float32)
        self._kinds: U8 = np.empty((height, width), np.uint8)
        self._wide: F32 = np.empty((4, 4 * size_hw[1] + 4), np.float32)

    def fit(
        self,
        picture: Picture,
        small: U8 | None,
        alpha_u8: U8,
        epsilons: tuple[float, float],
        steepness: tuple[float, float],
    ) -> None:
        """The maps from colour to alpha for every cell; `steepness` is gain and fitted share."""
        planes, (height, width) = self._planes, self.grid.shape_hw
        self.grid.shrink(picture, planes[:3], small)
        if not isinstance(picture, I420):
            cv2.merge(list(planes[:3]), dst=self._bgr)
            cv2.transform(self._bgr, _YUV_OF_BGR, dst=self._bgr)
            cv2.split(self._bgr, mv=list(planes[:3]))
        shrinks = alpha_u8.shape[0] >= height and alpha_u8.shape[1] >= width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        cv2.resize(alpha_u8, (width, height), dst=planes[3], interpolation=how)
        box = self.grid.box(planes[3], 2 * RADIUS)
        guided_kernels.fit_grid(planes, box, self.grid.ones, self._columns, self._sums, self._fits, *epsilons)
        guided_kernels.average_fits(
            self._fits,
            planes[3],
            box,
            self._columns[:4],
            self._sums[:4],
            self.grid.window_widths,
            self._maps,
            self._kinds,
            *steepness,
        )

    def apply(self, picture: Picture, alpha_u8: U8) -> None:
        """The maps at frame size."""
        grid, maps, wide = self.grid, self._maps, self._wide
        spans = grid.find_spans(self._kinds)
        if isinstance(picture, I420):
            guided_apply.apply_i420(
                *picture.planes, maps, spans, grid.cells, grid.shares, grid.cells_uv, grid.shares_uv, wide, alpha_u8
            )
        else:
            guided_kernels.maps_of_bgr(maps, _YUV_OF_BGR)
            guided_apply.apply_bgr(picture, maps, spans, grid.cells, grid.shares, wide, alpha_u8)
