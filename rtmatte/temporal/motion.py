"""What moved where between two pictures, seen on small luma planes, and alpha that goes along."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import F32, I420, U8, Picture, picture_size_wh
from rtmatte.temporal import kernels

_LONG_SIDE = 240
"""About that of the small planes; at 160 masks go along a little worse, at 320 no better."""
_LEAST_SIDE = 16
"""OpenCV's flow reads beyond smaller planes."""
_FINEST_SCALE = 1
"""Of the pyramid, by default: half the small plane's size."""
_NOISE = 2.0
"""Residual in code values that is the camera's rather than a motion's, on planes averaged over 5x5."""
_WINDOW = (5, 5)


def small_luma(picture: Picture, out: U8 | None = None) -> U8:
    """The picture's luma (green, of BGR) averaged over square cells: (h, w) uint8, the longer side about 240.

    What doesn't fill a cell at the right and lower edge is left out: whole cells are five times as fast. The result is
    `out` if that has the right shape, else a new array.
    """
    width, height = picture_size_wh(picture)
    step = _cell(width, height)
    small_wh = width // step, height // step
    if out is None or out.shape != small_wh[::-1]:
        out = np.empty(small_wh[::-1], np.uint8)
    luma = picture.y if isinstance(picture, I420) else np.ascontiguousarray(picture[:, :, 1])
    cv2.resize(luma[: small_wh[1] * step, : small_wh[0] * step], small_wh, dst=out, interpolation=cv2.INTER_AREA)
    return out


def small_luma_cells(picture: Picture) -> tuple[float, float]:
    """How many cells of `small_luma` the whole picture has across and down, those that it leaves out as well."""
    width, height = picture_size_wh(picture)
    step = _cell(width, height)
    return width / step, height / step


def _cell(width: int, height: int) -> int:
    return max(1, min(round(max(width, height) / _LONG_SIDE), min(width, height) // _LEAST_SIDE))


class Motion:
    """Dense flow from one small plane to another, distrusted where standing still explains the picture as well.

    Flow leaks from what moves into the still surroundings, and would drag edges along; so each vector is scaled by how
    much better it explains the picture than no motion does. Owned by one thread; allocates when sizes change; OpenCV
    and the kernels release the GIL.

    `flow`, (h, w, 2) float32 in cells of the small plane, leads from `current` to `reference`; `residual`, (h, w)
    float32 in code values, is what it leaves unexplained, averaged over 5x5. Both are overwritten by the next call.

    Reference: T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
    """

    def __init__(self, finest_scale: int = _FINEST_SCALE) -> None:
        """The flow is found at the planes' size divided by 2 to the power of `finest_scale`, for patches of 8x8."""
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(finest_scale)
        self._allocate((0, 0))

    def stand_still(self, current: U8, reference: U8) -> None:
        """Sets `flow` to nothing, and `residual` to what that leaves unexplained, as `find` does first."""
        if self.residual.shape != current.shape:
            self._allocate(current.shape)
        self.flow.fill(0)  # OpenCV takes what is there for a first guess
        cv2.absdiff(current, reference, dst=self._difference)
        cv2.boxFilter(self._difference, cv2.CV_32F, _WINDOW, dst=self.residual)

    def find(self, current: U8, reference: U8) -> None:
        """Sets `flow` and `residual` for two planes of `small_luma` of equal shape."""
        self.stand_still(current, reference)
        if min(current.shape) < _LEAST_SIDE:
            return
        self._dis.calc(current, reference, self.flow)
        kernels.add_positions(self.flow, 1, 1, self._places)
        _remap(reference, self._places, self._moved)
        cv2.absdiff(current, self._moved, dst=self._difference)
        cv2.boxFilter(self._difference, cv2.CV_32F, _WINDOW, dst=self._moved_residual)
        kernels.prefer_stillness(self.flow, self._moved_residual, self.residual, _NOISE)

    def _allocate(self, shape_hw: tuple[int, ...]) -> None:
        self.flow: F32 = np.zeros((*shape_hw, 2), np.float32)
        self.residual: F32 = np.zeros(shape_hw, np.float32)
        self._places: F32 = np.empty((*shape_hw, 2), np.float32)
        self._moved_residual: F32 = np.empty(shape_hw, np.float32)
        self._moved: U8 = np.empty(shape_hw, np.uint8)
        self._difference: U8 = np.empty(shape_hw, np.uint8)


class Warp:
    """Fetches every value of a map from where the flow says that it was. Owned by one thread; allocates as `Motion`."""

    def __init__(self) -> None:
        self._places: F32 = np.empty((0, 0, 2), np.float32)

    def warp(self, values: F32, flow: F32, out: F32, cells_wh: tuple[float, float] | None = None) -> None:
        """Writes `values`, (h, w) float32 over the whole picture at any resolution, moved by `flow`, into `out`.

        The flow leads from where a value shall be to where it is, in cells, of which the picture has `cells_wh`: None,
        as many as the flow. Beyond the edge lies what lies at the edge.
        """
        height, width = values.shape
        if self._places.shape[:2] != values.shape:
            self._places = np.empty((height, width, 2), np.float32)
        across, down = cells_wh or (flow.shape[1], flow.shape[0])
        cv2.resize(flow, (width, height), dst=self._places, interpolation=cv2.INTER_LINEAR)
        kernels.add_positions(self._places, width / across, height / down, self._places)
        _remap(values, self._places, out)

    def again(self, values: F32, out: F32) -> None:
        """Writes other values of the same shape, moved likewise, into `out`."""
        _remap(values, self._places, out)


def _remap(values: F32 | U8, places: F32, out: F32 | U8) -> None:
    """OpenCV's stubs don't know that positions of two channels need no second map."""
    cv2.remap(values, places, None, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
