"""Layers: a picture that is partly there, premultiplied, so that scaling, blurring and averaging are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]

_NOTHING = 1e-6


@dataclass(frozen=True, slots=True)
class Layer:
    """`color` (H, W, 3) float32 BGR times alpha, 0..255, and `alpha` (H, W) float32 in [0, 1]."""

    color: F32
    alpha: F32

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.alpha.shape[1], self.alpha.shape[0]

    def straight(self) -> F32:
        """The colours not multiplied by alpha; 0 where there is nothing."""
        return np.asarray(self.color / np.maximum(self.alpha, _NOTHING)[:, :, None], np.float32)


def layer_from_bgra(bgra: U8) -> Layer:
    """From (H, W, 4) uint8 with straight alpha."""
    alpha: F32 = bgra[:, :, 3].astype(np.float32) / np.float32(255)
    return Layer(bgra[:, :, :3].astype(np.float32) * alpha[:, :, None], alpha)


def layer_from_matte(bgr: U8, alpha_u8: U8) -> Layer:
    """From a composite and its alpha: at soft pixels the colour of the sure foreground next to them.

    What the room left in those pixels is gone, and the colours are a guess; as alpha is applied anew, a scene made of
    the layer is exact all the same.
    """
    sure = (alpha_u8 == 255).astype(np.float32)
    color = bgr.astype(np.float32) * sure[:, :, None]
    filled, total = color.copy(), sure.copy()
    for sigma in (2, 6, 18):
        color_blurred = cv2.GaussianBlur(color, (0, 0), sigma)
        weight_blurred = cv2.GaussianBlur(sure, (0, 0), sigma)
        empty = total < _NOTHING
        known = empty & (weight_blurred > 1e-3)
        filled[known] = color_blurred[known] / weight_blurred[known][:, None]
        total[known] = 1
    alpha: F32 = alpha_u8.astype(np.float32) / np.float32(255)
    return Layer(filled * alpha[:, :, None], alpha)


def placed(layer: Layer, size_wh: tuple[int, int], scale: float, left: float, top: float, angle: float = 0) -> Layer:
    """The layer in a frame of another size: scaled, its top left corner at (left, top) pixels, turned by degrees.

    Interpolates linearly, so `scale` shouldn't be far below 1.
    """
    radians = np.deg2rad(angle)
    cos, sin = scale * np.cos(radians), scale * np.sin(radians)
    matrix = np.array([[cos, -sin, left], [sin, cos, top]])
    color, alpha = (
        cv2.warpAffine(plane, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
        for plane in (layer.color, layer.alpha)
    )
    return Layer(np.asarray(color, np.float32), np.asarray(alpha, np.float32))


def over(top: Layer, bottom: Layer) -> Layer:
    """One layer before another. Reference: Porter and Duff, "Compositing digital images", SIGGRAPH 1984."""
    rest = 1 - top.alpha
    return Layer(top.color + rest[:, :, None] * bottom.color, top.alpha + rest * bottom.alpha)


def averaged(layers: Sequence[Layer]) -> Layer:
    """What a shutter sees that is open for all of them: motion blur, of alpha too."""
    color = np.mean([layer.color for layer in layers], axis=0)
    alpha = np.mean([layer.alpha for layer in layers], axis=0)
    return Layer(color.astype(np.float32), alpha.astype(np.float32))


def view(picture_bgr: U8, size_wh: tuple[int, int], zoom: float = 1, across: float = 0.5, down: float = 0.5) -> F32:
    """A part of a picture of the frame's shape, (H, W, 3) float32 BGR.

    `zoom` 1 takes as much as fits; `across` and `down`, 0 to 1, say where the part lies.
    """
    height, width = picture_bgr.shape[:2]
    scale = max(size_wh[0] / width, size_wh[1] / height) * zoom
    left, top = across * (width - size_wh[0] / scale), down * (height - size_wh[1] / scale)
    # Shrunk first: warpAffine doesn't average over areas.
    small = picture_bgr
    if scale < 1:
        small = np.asarray(cv2.resize(picture_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        left, top, scale = left * scale, top * scale, 1.0
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    moved = cv2.warpAffine(small, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
