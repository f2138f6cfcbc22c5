"""Light wrap: the new background's light reaches a little way around the edge of the person."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.composite import kernels
from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Picture

_STEP = 8
"""Light is soft: it is computed on a grid of so many pixels a cell."""


class LightWrap:
    """Mixes blurred background into the foreground near its edge, so that it seems to stand in that light.

    The share of background is `strength` times how much of the surroundings is background. Owned by one thread; buffers
    are allocated for the first picture and when sizes change.
    """

    def __init__(self, *, strength: float = 0.4, reach: float = 0.03) -> None:
        """`strength` in 0..1; `reach` of the light as a share of the picture's height.

        Raises: `SettingsError` for either out of range.
        """
        if not 0 <= strength <= 1:
            raise SettingsError(f"Expected a strength in 0..1, got {strength}.")
        if not 0 < reach <= 1:
            raise SettingsError(f"Expected a reach above 0 and up to 1, got {reach}.")
        self._strength = strength
        self._reach = reach
        self._buffers: _Buffers | None = None

    def wrap(self, picture: Picture, behind: Picture, alpha_u8: U8) -> None:
        """Changes the picture in place; `behind` is of its kind and size, `alpha_u8` (H, W) uint8, 255 = foreground."""
        planes, sources = _planes_of(picture), _planes_of(behind)
        shapes = tuple(plane.shape for plane in planes)
        if self._buffers is None or self._buffers.shapes != shapes:
            self._buffers = _Buffers(shapes)
        b, sigma = self._buffers, self._reach * alpha_u8.shape[0] / _STEP
        b.look_around(alpha_u8, sigma, self._strength)
        if isinstance(picture, I420):
            kernels.halve_alpha(b.share, b.half)
        for index, (plane, source) in enumerate(zip(planes, sources, strict=True)):
            light = b.light_of(index, source, sigma)
            if plane.ndim == 3:
                kernels.blend_bgr(plane, light, b.share)
            else:
                kernels.blend_plane(plane, light, b.half if index else b.share)


class _Buffers:
    """Everything of one form of picture. `share` (H, W) uint8: how much of a pixel stays, 255 = all; `half` for chroma.

    What is blurred over the background that can be seen, by normalised convolution, is computed on a grid.
    """

    def __init__(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        self.shapes = shapes
        height, width = shapes[0][:2]
        self.share: U8 = np.empty((height, width), np.uint8)
        self.half: U8 = np.empty(((height + 1) // 2, (width + 1) // 2), np.uint8)
        grid_hw = max(1, height // _STEP), max(1, width // _STEP)
        self._cells: U8 = np.empty(grid_hw, np.uint8)
        self._clear, self._around, self._weight, self._norm = (np.empty(grid_hw, np.float32) for _ in range(4))
        color_hw = (*grid_hw, *shapes[0][2:])
        self._color: U8 = np.empty(color_hw, np.uint8)
        self._light: F32 = np.empty(color_hw, np.float32)
        self._lights: list[U8] = [np.empty(shape, np.uint8) for shape in shapes]

    def look_around(self, alpha_u8: U8, sigma: float, strength: float) -> None:
        """Sets `share`, and what weighs how much when background is blurred."""
        grid_wh = self._cells.shape[::-1]
        cv2.resize(alpha_u8, grid_wh, dst=self._cells, interpolation=cv2.INTER_AREA)
        np.divide(self._cells, np.float32(255), out=self._clear)
        np.subtract(1, self._clear, out=self._clear)
        cv2.GaussianBlur(self._clear, (0, 0), sigma, dst=self._around)
        np.multiply(self._around, -255 * strength, out=self._around)
        np.add(self._around, 255, out=self._around)
        _round_into(self._around, self._cells)
        cv2.resize(self._cells, self.share.shape[::-1], dst=self.share, interpolation=cv2.INTER_LINEAR)
        np.add(self._clear, np.float32(1e-3), out=self._weight)
        cv2.GaussianBlur(self._weight, (0, 0), sigma, dst=self._norm)

    def light_of(self, index: int, source: U8, sigma: float) -> U8:
        """A plane or picture of the background, blurred over what isn't covered by the person."""
        by_channel = (...,) + (None,) * (source.ndim - 2)
        cv2.resize(source, self._cells.shape[::-1], dst=self._color, interpolation=cv2.INTER_AREA)
        np.multiply(self._color, self._weight[by_channel], out=self._light)
        cv2.GaussianBlur(self._light, (0, 0), sigma, dst=self._light)
        np.divide(self._light, self._norm[by_channel], out=self._light)
        _round_into(self._light, self._color)
        light = self._lights[index]
        cv2.resize(self._color, light.shape[1::-1], dst=light, interpolation=cv2.INTER_LINEAR)
        return light


def _planes_of(picture: Picture) -> tuple[U8, ...]:
    return picture.planes if isinstance(picture, I420) else (picture,)


def _round_into(values: F32, bytes_u8: U8) -> None:
    np.rint(values, out=values)
    np.copyto(bytes_u8, values, casting="unsafe")
