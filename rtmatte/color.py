"""From RGB to the code values of a clip, and between the code values of two clips.

Only the matrix and the range are converted: a background's transfer curve and primaries are taken to be the frame's.

Reference: ITU-R BT.601-7, BT.709-6, BT.2020-2 (luma weights, quantisation); ITU-T H.273, section 8.3.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte import color_kernels
from rtmatte.frame import I420, U8, ColorTags, Matrix

_RED_AND_BLUE_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


def yuv_from_bgr_matrix(color: ColorTags, height: int) -> NDArray[np.float64]:
    """The affine map from (B, G, R, 1), 0..255, to a clip's code values (Y, U, V) at that height: (3, 4) float64."""
    red, blue = _RED_AND_BLUE_WEIGHTS[color.matrix(height)]
    luma = np.array([blue, 1 - red - blue, red])
    u = (np.array([1.0, 0, 0]) - luma) / (2 * (1 - blue))
    v = (np.array([0, 0, 1.0]) - luma) / (2 * (1 - red))
    luma_scale, chroma_scale = (1.0, 1.0) if color.full_range else (219 / 255, 224 / 255)
    rows = np.stack([luma * luma_scale, u * chroma_scale, v * chroma_scale])
    return np.column_stack([rows, [black_level(color), 128.0, 128.0]])


def bgr_from_yuv_matrix(color: ColorTags, height: int) -> NDArray[np.float64]:
    """The inverse of `yuv_from_bgr_matrix`: (3, 4) float64, rows B, G, R over (Y, U, V, 1)."""
    forward = yuv_from_bgr_matrix(color, height)
    inverse = np.linalg.inv(forward[:, :3])
    return np.column_stack([inverse, -inverse @ forward[:, 3]])


def black_level(color: ColorTags) -> int:
    """The luma code value of black."""
    return 0 if color.full_range else 16


def yuv_of_rgb(rgb: tuple[int, int, int], color: ColorTags, height: int) -> tuple[int, int, int]:
    """One colour, 0..255, as the rounded (Y, U, V) code values of a clip."""
    red, green, blue = rgb
    y, u, v = np.clip(np.rint(yuv_from_bgr_matrix(color, height) @ (blue, green, red, 1)), 0, 255)
    return int(y), int(u), int(v)


def bgr_into_i420(source_bgr: U8, target: I420) -> None:
    """Converts (H, W, 3) BGR into a picture of the same size, in its colours; allocates nothing of frame size."""
    matrix = yuv_from_bgr_matrix(target.color, target.size_wh[1])
    color_kernels.i420_from_bgr(source_bgr, *target.planes, matrix.astype(np.float32))


def i420_into_bgr(source: I420, target_bgr: U8, source_height: int) -> None:
    """Converts into (H, W, 3) BGR of the same size; allocates nothing of frame size.

    `source_height` is that of the clip before any resizing: it decides the matrix of an untagged one.
    """
    matrix = bgr_from_yuv_matrix(source.color, source_height)
    color_kernels.bgr_from_i420(*source.planes, target_bgr, matrix.astype(np.float32))


def recolor(picture: I420, was: ColorTags, was_height: int) -> None:
    """Rewrites code values that are in the colours `was`, of a clip of that height, in those of `picture`; in place."""
    height = picture.size_wh[1]
    if was.full_range == picture.color.full_range and was.matrix(was_height) == picture.color.matrix(height):
        return
    to_bgr, to_yuv = bgr_from_yuv_matrix(was, was_height), yuv_from_bgr_matrix(picture.color, height)
    matrix = to_yuv[:, :3] @ to_bgr
    matrix[:, 3] += to_yuv[:, 3]
    if was.matrix(was_height) == picture.color.matrix(height):
        # Only the range differs: each plane by a table of its own, ten times as fast as the general way.
        for row, plane in enumerate(picture.planes):
            table = np.rint(matrix[row, row] * np.arange(256) + matrix[row, 3]).clip(0, 255).astype(np.uint8)
            cv2.LUT(plane, table, dst=plane)
        return
    wide = np.empty(2 * picture.u.shape[1], np.int32)
    color_kernels.recolor_i420(*picture.planes, matrix.astype(np.float32), wide)
