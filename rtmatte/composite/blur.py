"""The room itself as the background, blurred, with the person left out of the blur."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.composite import kernels
from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Picture, picture_size_wh

_SIGMA_OF_HEIGHT = 0.05
"""Standard deviation at strength 1, as a share of the frame height."""
_CELLS_PER_SIGMA = 3.0
"""Finer than this, the blur hides the grid it is computed on."""
_FEWEST_CELLS, _MOST_CELLS = 16, 180
"""Of the grid's height."""
_FILL_WEIGHT = 1e-3
"""How much the next coarser level counts where a cell has background of its own: next to nothing."""


class BlurBackground:
    """A Gaussian blur of the background pixels only, by normalised convolution: blur(w·C) / blur(w).

    `strength` is over 0 and up to 1; 1 is a Gaussian of 5 % of the frame height, so that the look doesn't depend on the
    resolution. The weight w falls steeply with alpha: (1 − α)⁸, since a pixel that is one tenth person would still
    paint a halo. Where the blur reaches no background (deep inside the person) coarser blurs fill in, at last the mean
    of the room; a frame without any background is blurred whole.

    Computed on a grid of cells, allocated once per size; the result is interpolated back to the frame. Owned by one
    thread.

    Reference: Knutsson and Westin, "Normalized and differential convolution", CVPR 1993.

    Raises: `SettingsError` for a strength out of range.
    """

    def __init__(self, strength: float) -> None:
        if not 0 < strength <= 1:
            raise SettingsError(f"Expected a blur strength over 0 and up to 1, got {strength!r}.")
        self.name = f"blur:{strength:g}"
        self._strength = strength
        weights = (1 - np.arange(256) / 255) ** 8
        self._weight_of: F32 = weights.astype(np.float32)
        self._size_wh = (0, 0)
        self._cells: F32 = np.empty((0, 0, 4), np.float32)
        self._result: Picture | None = None

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:
        picture = frame.picture
        if picture_size_wh(picture) != self._size_wh or self._result is None:
            self._allocate(picture)
        self._shrink(picture, alpha_u8)
        colors = self._blurred()
        return self._grow(colors, picture)

    def close(self) -> None:
        pass

    def _allocate(self, picture: Picture) -> None:
        self._size_wh = width, height = picture_size_wh(picture)
        sigma = self._strength * _SIGMA_OF_HEIGHT * height
        rows = int(np.clip(round(height / sigma * _CELLS_PER_SIGMA), _FEWEST_CELLS, _MOST_CELLS))
        rows = max(1, min(rows, (height + 1) // 2))
        columns = max(1, min(round(rows * width / height), (width + 1) // 2))
        self._sigma_cells = sigma * rows / height
        self._cells = np.empty((rows, columns, 4), np.float32)
        self._small_u8 = np.empty((rows, columns, 3), np.uint8)
        self._result = (
            I420.allocate(picture.size_wh, picture.color) if isinstance(picture, I420) else np.empty_like(picture)
        )

    def _shrink(self, picture: Picture, alpha_u8: U8) -> None:
        if isinstance(picture, I420):
            kernels.shrink_weighted_i420(*picture.planes, alpha_u8, self._weight_of, self._cells)
        else:
            kernels.shrink_weighted_bgr(picture, alpha_u8, self._weight_of, self._cells)
        if not self._cells[:, :, 3].any():
            # No background at all: nothing can bleed into it, and something has to stand there.
            opaque = np.zeros_like(alpha_u8)
            self._shrink(picture, opaque)

    def _blurred(self) -> F32:
        """The normalised blur on the grid: (h, w, 3) float32 code values."""
        total = self._cells.mean(axis=(0, 1))
        filled = np.broadcast_to(total[:3] / total[3], (*self._cells.shape[:2], 3))
        for sigma in (9 * self._sigma_cells, 3 * self._sigma_cells, self._sigma_cells):
            blurred = cv2.GaussianBlur(self._cells, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
            weight = blurred[:, :, 3:]
            filled = (blurred[:, :, :3] + _FILL_WEIGHT * filled) / (weight + _FILL_WEIGHT)
        return np.asarray(filled, np.float32)

    def _grow(self, colors: F32, picture: Picture) -> Picture:
        np.copyto(self._small_u8, np.clip(np.rint(colors), 0, 255), casting="unsafe")
        if not isinstance(picture, I420):
            assert isinstance(self._result, np.ndarray)
            cv2.resize(self._small_u8, self._size_wh, dst=self._result, interpolation=cv2.INTER_CUBIC)
            return self._result
        assert isinstance(self._result, I420)
        self._result = I420.over(self._result.buffer, picture.size_wh, picture.color)
        for channel, plane in enumerate(self._result.planes):
            small = np.ascontiguousarray(self._small_u8[:, :, channel])
            cv2.resize(small, plane.shape[::-1], dst=plane, interpolation=cv2.INTER_CUBIC)
        return self._result
