"""From a frame to what the network eats: shrink the planes, then make RGB, then pad.

The order matters: a 1080p frame has 3.1 MB in I420 and 6.2 MB in RGB, the model's picture has 0.2 MB.

How the picture is fitted was chosen on seven clips with exact alpha (10 frames each, mean absolute difference of alpha
x1e3; as they are / cut to 16:9 / cut to 9:16):

    squashed to 320x320                       32.6 / 62.3 / 139.1
    aspect kept, long side 320, padded        27.0 / 15.4 /  73.7     this one
    aspect kept, long side 320, centred       25.7 / 17.3 /  74.0
    stretched to the nearest multiples of 32  27.2 / 18.8 /  71.4
    aspect kept, area of 320x320, padded      45.6 / 72.6 / 143.2
    aspect kept, long side 256 and 384        27.5 / 16.6 / -  and  48.0 / 46.9 / 117.8

The network was trained on 320 pixels a side: a larger picture shows it people of a size that it doesn't know.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Matrix, Picture, picture_size_wh

STRIDE = 32
"""The network halves its picture five times."""

_LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {  # Kr, Kb of H.273
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a frame lies in the model's picture: at the top left, `content_hw` of `padded_hw` pixels."""

    content_hw: tuple[int, int]
    padded_hw: tuple[int, int]


def fit(size_wh: tuple[int, int], sample_aspect_ratio: Fraction, long_side: int) -> Fit:
    """The frame as it is displayed, scaled so that its longer side is `long_side`, padded to multiples of 32."""
    display_w, height = size_wh[0] * sample_aspect_ratio, size_wh[1]
    scale = long_side / max(display_w, Fraction(height))
    content_w, content_h = max(1, round(display_w * scale)), max(1, round(height * scale))
    return Fit((content_h, content_w), (-(-content_h // STRIDE) * STRIDE, -(-content_w // STRIDE) * STRIDE))


class Preprocessor:
    """Writes frames into the model's picture. Owned by one thread; its buffers are allocated when a size is first seen.

    Releases the GIL while it works (OpenCV).
    """

    def __init__(self, *, long_side: int = 320, sample_aspect_ratio: Fraction = Fraction(1)) -> None:
        """`long_side` in pixels, a multiple of 32; `sample_aspect_ratio` width / height of one pixel of the frames.

        Raises:
            SettingsError: either of them out of range.
        """
        if long_side < STRIDE or long_side % STRIDE:
            raise SettingsError(f"expected a long side that is a positive multiple of {STRIDE}, got {long_side}")
        if sample_aspect_ratio <= 0:
            raise SettingsError(f"expected a positive sample aspect ratio, got {sample_aspect_ratio}")
        self.long_side = long_side
        self.sample_aspect_ratio = sample_aspect_ratio
        self._planes: tuple[U8, U8, U8] | None = None
        self._pixels = np.empty((0, 0, 3), np.uint8)

    def fit(self, frame: Frame) -> Fit:
        """Where this frame will lie."""
        return fit(picture_size_wh(frame.picture), self.sample_aspect_ratio, self.long_side)

    def write(self, picture: Picture, content_hw: tuple[int, int], target_rgb: U8) -> None:
        """Fills `target_rgb`, (H, W, 3) uint8: the picture at the top left, in `content_hw`; beyond, its last pixels.

        YUV becomes RGB by the picture's own matrix and range, rounded and clipped to 0..255.
        """
        height, width = content_hw
        if self._pixels.shape[:2] != content_hw:
            self._pixels = np.empty((height, width, 3), np.uint8)
            self._planes = None
        content_rgb = target_rgb[:height, :width]
        if isinstance(picture, I420):
            if self._planes is None:
                y, u, v = np.empty((3, height, width), np.uint8)
                self._planes = y, u, v
            # Chroma goes straight to the size of luma. Its quarter-pixel offset in most clips is lost on the model.
            for plane, small in zip(picture.planes, self._planes, strict=True):
                _resize(plane, small)
            cv2.merge(self._planes, dst=self._pixels)
            matrix = yuv_to_rgb(picture.color.matrix(picture.size_wh[1]), picture.color.full_range)
            cv2.transform(self._pixels, matrix, dst=content_rgb)
        else:
            _resize(picture, self._pixels)
            cv2.cvtColor(self._pixels, cv2.COLOR_BGR2RGB, dst=content_rgb)
        target_rgb[:height, width:] = target_rgb[:height, width - 1 : width]
        target_rgb[height:] = target_rgb[height - 1]


def _resize(picture: U8, target: U8) -> None:
    """Averages over areas; enlarges linearly."""
    shrinks = picture.shape[0] >= target.shape[0] and picture.shape[1] >= target.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    cv2.resize(picture, (target.shape[1], target.shape[0]), dst=target, interpolation=method)


@lru_cache
def yuv_to_rgb(matrix: Matrix, full_range: bool) -> F32:
    """The affine map from (Y, U, V) to (R, G, B) code values: (3, 4) float32, the last column is added.

    Reference: ITU-T H.273, equations 38 to 61.
    """
    kr, kb = _LUMA_WEIGHTS[matrix]
    kg = 1 - kr - kb
    luma_scale, chroma_scale, black = (1.0, 2.0, 0.0) if full_range else (255 / 219, 2 * 255 / 224, 16.0)
    linear = np.array(
        [
            [luma_scale, 0, chroma_scale * (1 - kr)],
            [luma_scale, -chroma_scale * (1 - kb) * kb / kg, -chroma_scale * (1 - kr) * kr / kg],
            [luma_scale, chroma_scale * (1 - kb), 0],
        ]
    )
    offset = -linear @ np.array([black, 128.0, 128.0])
    return np.column_stack([linear, offset]).astype(np.float32)
