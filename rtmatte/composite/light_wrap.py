"""Light wrap: the new background's light reaches a little way around the edge of the person."""

from __future__ import annotations

import math

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
    are allocated for the first picture and when sizes change, and some of the grid's size each time.
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
        self._share: U8 = np.empty((0, 0), np.uint8)
        self._half: U8 = np.empty((0, 0), np.uint8)
        self._light: list[U8] = []

    def wrap(self, picture: Picture, behind: Picture, alpha_u8: U8) -> None:
        """Changes the picture in place; `behind` is of its kind and size, `alpha_u8` (H, W) uint8, 255 = foreground."""
        height, width = alpha_u8.shape
        if self._share.shape != alpha_u8.shape:
            self._share = np.empty(alpha_u8.shape, np.uint8)
            self._half = np.empty((math.ceil(height / 2), math.ceil(width / 2)), np.uint8)
            self._light = []
        grid_wh = max(1, width // _STEP), max(1, height // _STEP)
        sigma = self._reach * height / _STEP
        opaque = np.asarray(cv2.resize(alpha_u8, grid_wh, interpolation=cv2.INTER_AREA), np.float32)
        clear: F32 = 1 - opaque / np.float32(255)
        around = cv2.GaussianBlur(clear, (0, 0), sigma)
        kept = np.rint(255 * (1 - self._strength * np.asarray(around, np.float32))).astype(np.uint8)
        cv2.resize(kept, (width, height), dst=self._share, interpolation=cv2.INTER_LINEAR)
        if isinstance(picture, I420):
            assert isinstance(behind, I420)
            kernels.halve_alpha(self._share, self._half)
            sources, shares = behind.planes, (self._share, self._half, self._half)
            for index, (plane, source, share) in enumerate(zip(picture.planes, sources, shares, strict=True)):
                kernels.blend_plane(plane, self._blurred(index, source, clear, sigma), share)
        else:
            assert not isinstance(behind, I420)
            kernels.blend_bgr(picture, self._blurred(0, behind, clear, sigma), self._share)

    def _blurred(self, index: int, plane: U8, clear: F32, sigma: float) -> U8:
        """A plane or picture blurred over what isn't covered by the person: normalised convolution."""
        if len(self._light) <= index:
            self._light.append(np.empty_like(plane))
        small = cv2.resize(plane, clear.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
        weight = (clear + np.float32(1e-3)).reshape(clear.shape + (1,) * (plane.ndim - 2))
        total = cv2.GaussianBlur(small * weight, (0, 0), sigma)
        norm = cv2.GaussianBlur(np.ascontiguousarray(weight.reshape(clear.shape)), (0, 0), sigma)
        mean = np.asarray(total) / np.asarray(norm).reshape(weight.shape)
        size_wh = plane.shape[1::-1]
        cv2.resize(np.rint(mean).astype(np.uint8), size_wh, dst=self._light[index], interpolation=cv2.INTER_LINEAR)
        return self._light[index]
