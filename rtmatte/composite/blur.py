"""The room itself as the background, blurred, with the person left out of the blur."""

from __future__ import annotations

from math import ceil, sqrt

import cv2
import numpy as np

from rtmatte.composite import blur_kernels
from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Picture, picture_size_wh

_SIGMA_OF_HEIGHT = 0.05
"""Standard deviation at strength 1, as a share of the frame height."""
_CELLS_PER_SIGMA = 1.5
"""Finer than this, the blur hides the grid that it is computed on."""
_ROWS = 200
"""About how many rows of cells there are at most. The least blur is half a cell, so 0.3 % of the height or 1 pixel."""
_OPAQUE = 1 / 16
"""From this alpha on a pixel says nothing about the room: a sixteenth of a white shirt shows on a dark wall."""
_FAINT = 1e-5
"""The weight of all that isn't opaque: it decides only where no pixel of the whole frame is certain background."""
_MARGIN_OF_HEIGHT = 0.006
"""How far an estimated alpha may lie inside the person's real edge, as a share of the frame height."""
_MARGIN_WEIGHT = 1e-4
"""Of the cells within that margin: they count only where there is nothing better."""
_CLEAN_CELL = 0.75
"""A cell is clean background if more than this share of it is."""
_FILL_WEIGHT = 0.02
"""Where less than this share of the blur's reach is background, the next coarser level fills in."""


class BlurBackground:
    """A Gaussian blur of the background pixels only, by normalised convolution: blur(w·C) / blur(w).

    `strength` is over 0 and up to 1; 1 is a Gaussian of 5 % of the frame height, so that the look doesn't depend on the
    resolution. The weight w falls from 1 at alpha 0 to next to nothing at alpha 1/16, and also within a thin margin
    around the person: an edge pixel that is a tenth person, or an alpha that is a little too tight, would paint a halo.
    Where the blur reaches no background (deep inside the person) a pyramid of coarser means fills in, its top the mean
    of the room; a frame without any background gets that of the whole picture.

    Computed on a grid of about two cells per standard deviation and interpolated back to the frame. Frame-size
    buffers are allocated once per size. Owned by one thread; most of its time is spent without the GIL.

    Reference: H. Knutsson, C.-F. Westin, "Normalized and differential convolution", CVPR 1993; S. Gortler et al., "The
    Lumigraph", SIGGRAPH 1996 (pull-push filling).

    Raises: `SettingsError` for a strength out of range.
    """

    def __init__(self, strength: float) -> None:
        if not 0 < strength <= 1:
            raise SettingsError(f"Expected a blur strength over 0 and up to 1, got {strength!r}.")
        self.name = f"blur:{strength:g}"
        self.strength = strength
        self._result: Picture | None = None

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:
        picture = frame.picture
        if self._result is None or picture_size_wh(picture) != picture_size_wh(self._result):
            self._allocate(picture_size_wh(picture))
        self._result = result = _result_like(picture, self._result)
        self._shrink(picture, alpha_u8, _OPAQUE, _FAINT)
        if not self._cells[:, :, 3].any():  # all is person: nothing of this will be seen, but it has to be something
            self._shrink(picture, alpha_u8, np.inf, 0)
        self._keep_margin()
        self._blur()
        self._grow(result)
        return result

    def close(self) -> None:
        pass

    def _allocate(self, size_wh: tuple[int, int]) -> None:
        width, height = size_wh
        sigma = self.strength * _SIGMA_OF_HEIGHT * height
        cell = 2 * max(1, round(max(sigma / _CELLS_PER_SIGMA, height / _ROWS) / 2))
        rows, columns = ceil(height / cell), ceil(width / cell)
        # The mean over a cell and the interpolation back blur too: variances of 1/12 and 1/6 of a cell.
        self._sigmas = tuple(
            sqrt(max((sigma * cells / pixels) ** 2 - 1 / 4, 0)) for cells, pixels in ((columns, width), (rows, height))
        )
        reach = 2 * ceil(_MARGIN_OF_HEIGHT * height / cell) + 1
        self._margin = np.ones((reach, reach), np.uint8)
        self._cells = np.empty((rows, columns, 4), np.float32)
        self._blurred = np.empty_like(self._cells)
        self._filler = _Filler((rows, columns))
        self._clean = np.empty((rows, columns), np.float32)
        self._small_u8 = np.empty((rows, columns, 3), np.uint8)
        self._plane_u8 = np.empty((rows, columns), np.uint8)
        self._columns = np.empty((5, (width + 1) // 2), np.float32)

    def _shrink(self, picture: Picture, alpha_u8: U8, opaque: float, faint: float) -> None:
        if isinstance(picture, I420):
            blur_kernels.shrink_weighted_i420(*picture.planes, alpha_u8, opaque, faint, self._columns, self._cells)
        else:
            blur_kernels.shrink_weighted_bgr(picture, alpha_u8, opaque, faint, self._cells)

    def _keep_margin(self) -> None:
        """Takes nearly all weight from the cells near the person."""
        np.copyto(self._clean, self._cells[:, :, 3])
        cv2.erode(self._clean, self._margin, dst=self._clean)
        np.subtract(self._clean, _CLEAN_CELL, out=self._clean)
        np.multiply(self._clean, 1 / (1 - _CLEAN_CELL), out=self._clean)
        np.clip(self._clean, _MARGIN_WEIGHT, 1, out=self._clean)
        np.multiply(self._cells, self._clean[:, :, None], out=self._cells)

    def _blur(self) -> None:
        """From the weighted cells to blurred, filled code values in `_small_u8`."""
        sigma_x, sigma_y = self._sigmas
        if min(self._sigmas) > 0:
            cv2.GaussianBlur(self._cells, (0, 0), sigma_x, dst=self._blurred, sigmaY=sigma_y)
        else:
            np.copyto(self._blurred, self._cells)
        colors = self._filler.fill(self._blurred)
        np.rint(colors, out=colors)
        np.copyto(self._small_u8, colors, casting="unsafe")

    def _grow(self, result: Picture) -> None:
        if not isinstance(result, I420):
            cv2.resize(self._small_u8, picture_size_wh(result), dst=result, interpolation=cv2.INTER_LINEAR)
            return
        for channel, plane in enumerate(result.planes):
            np.copyto(self._plane_u8, self._small_u8[:, :, channel])
            cv2.resize(self._plane_u8, plane.shape[::-1], dst=plane, interpolation=cv2.INTER_LINEAR)


class _Filler:
    """Colours where there is weight, their surroundings' where there is little, for a grid of one shape.

    Each level of the pyramid is a quarter as wide and high as the one below, up to a single cell; all are kept.
    """

    def __init__(self, shape_hw: tuple[int, int]) -> None:
        height, width = shape_hw
        self._colors: F32 = np.empty((height, width, 3), np.float32)
        self._weight: F32 = np.empty((height, width, 1), np.float32)
        self._above: _Filler | None = None
        if height * width > 1:
            above_hw = (height + 3) // 4, (width + 3) // 4
            self._quarter: F32 = np.empty((*above_hw, 4), np.float32)
            self._above = _Filler(above_hw)

    def fill(self, weighted: F32) -> F32:
        """(h, w, 3) float32, overwritten by the next call.

        `weighted` is (h, w, 4) float32: three weighted sums and the weight, which is over 0 somewhere.
        """
        if self._above is None:
            return np.divide(weighted[:, :, :3], weighted[:, :, 3:], out=self._colors)
        height, width = weighted.shape[:2]
        cv2.resize(weighted, self._quarter.shape[1::-1], dst=self._quarter, interpolation=cv2.INTER_AREA)
        coarse = self._above.fill(self._quarter)
        cv2.resize(coarse, (width, height), dst=self._colors, interpolation=cv2.INTER_LINEAR)
        self._colors *= np.float32(_FILL_WEIGHT)
        self._colors += weighted[:, :, :3]
        np.add(weighted[:, :, 3:], np.float32(_FILL_WEIGHT), out=self._weight)
        self._colors /= self._weight
        return self._colors


def _result_like(picture: Picture, buffer: Picture | None) -> Picture:
    if isinstance(picture, I420):
        if isinstance(buffer, I420) and buffer.size_wh == picture.size_wh:
            same_color = buffer.color == picture.color
            return buffer if same_color else I420.over(buffer.buffer, picture.size_wh, picture.color)
        return I420.allocate(picture.size_wh, picture.color)
    if isinstance(buffer, np.ndarray) and buffer.shape == picture.shape:
        return buffer
    return np.empty_like(picture)
