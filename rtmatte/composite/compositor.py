"""Foreground over background: alpha brought to frame size, the background asked for, the two mixed in place."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.composite import kernels
from rtmatte.composite.background import Background
from rtmatte.composite.color import black_level
from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, I420, U8, Frame, Picture

_TOLERANCE = 1e-3
"""How far outside [0, 1] alpha may lie: rounding of a filter, not a broken model."""


class Compositor:
    """Turns frames into composites, C = αF + (1 − α)B; `background` None leaves them transparent.

    Buffers are allocated for the first frame and again only when sizes change. Owned by one thread; the kernels release
    the GIL.
    """

    def __init__(self, background: Background | None) -> None:
        self._background = background
        self._small_u8: U8 = np.empty((0, 0), np.uint8)
        self._alpha_u8: U8 = np.empty((0, 0), np.uint8)
        self._half_u8: U8 = np.empty((0, 0), np.uint8)

    def composite(self, frame: Frame, alpha: F32) -> U8:
        """Overwrites the frame's picture with the composite; returns alpha at frame size.

        `alpha` is (h, w) float32 in [0, 1] at any resolution and covers the whole frame. The result, (H, W) uint8 with
        255 = foreground, belongs to the compositor until the next call. Without a background, colour is black wherever
        alpha is 0, so that nothing of the room travels along under it.

        Raises: `ModelOutputError` for an alpha that isn't two-dimensional float32, or holds NaN or values outside
        [0, 1].
        """
        alpha_u8 = self._at_frame_size(alpha, frame.picture)
        if self._background is None:
            _blank(frame.picture, alpha_u8)
        else:
            self._blend(frame.picture, self._background.picture_for(frame, alpha_u8), alpha_u8)
        return alpha_u8

    def _at_frame_size(self, alpha: F32, picture: Picture) -> U8:
        if alpha.ndim != 2 or not alpha.size or alpha.dtype != np.float32:
            raise ModelOutputError(f"Expected alpha as (h, w) float32, got {alpha.dtype} {alpha.shape}.")
        shape_hw = picture.y.shape if isinstance(picture, I420) else picture.shape[:2]
        if self._alpha_u8.shape != shape_hw:
            self._alpha_u8 = np.empty(shape_hw, np.uint8)
            self._half_u8 = np.empty(((shape_hw[0] + 1) // 2, (shape_hw[1] + 1) // 2), np.uint8)
        if alpha.shape == shape_hw:
            small_u8 = self._alpha_u8
        else:
            if self._small_u8.shape != alpha.shape:
                self._small_u8 = np.empty(alpha.shape, np.uint8)
            small_u8 = self._small_u8
        bad = kernels.quantize_alpha(alpha, small_u8, _TOLERANCE)
        if bad:
            raise ModelOutputError(
                f"Expected alpha in [0, 1], got {bad} of {alpha.size} values that are NaN or outside.",
                hint="The model or its runtime is broken here; 'rtmatte doctor' checks both.",
            )
        if small_u8 is not self._alpha_u8:
            # Rounded to bytes while small, since bytes are a quarter of the memory to walk over. Cubic, because on
            # exact mattes shrunk to 320 and 192 pixels it restores edges a fifth better than linear at next to no
            # cost; what it overshoots saturates.
            shrinks = alpha.shape[0] >= shape_hw[0] and alpha.shape[1] >= shape_hw[1]
            how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            cv2.resize(small_u8, shape_hw[::-1], dst=self._alpha_u8, interpolation=how)
        return self._alpha_u8

    def _blend(self, picture: Picture, behind: Picture, alpha_u8: U8) -> None:
        if isinstance(picture, I420):
            assert isinstance(behind, I420)  # of the protocol: the same kind as the frame's picture
            kernels.halve_alpha(alpha_u8, self._half_u8)
            kernels.blend_plane(picture.y, behind.y, alpha_u8)
            kernels.blend_plane(picture.u, behind.u, self._half_u8)
            kernels.blend_plane(picture.v, behind.v, self._half_u8)
        else:
            kernels.blend_bgr(picture, behind, alpha_u8)


def _blank(picture: Picture, alpha_u8: U8) -> None:
    if isinstance(picture, I420):
        kernels.blank_plane(picture.y, alpha_u8, black_level(picture.color))
        kernels.blank_chroma(picture.u, picture.v, alpha_u8)
    else:
        kernels.blank_plane(picture, alpha_u8, 0)
