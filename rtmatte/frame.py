"""What travels through the pipeline: pictures, their colours, their time.

A picture is either planar YUV 4:2:0 (`I420`: what decoders give and encoders want, 1.5 bytes a pixel) or an
(H, W, 3) uint8 array in blue-green-red order (stills, and sources that deliver nothing else).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]

Matrix: TypeAlias = Literal["bt601", "bt709", "bt2020"]

# H.273 code points, the ones FFmpeg and every container use.
UNSPECIFIED = 2
_MATRIX_OF_CODE: dict[int, Matrix] = {
    1: "bt709",
    4: "bt601",
    5: "bt601",
    6: "bt601",
    7: "bt601",
    9: "bt2020",
    10: "bt2020",
}


@dataclass(frozen=True, slots=True)
class ColorTags:
    """How the YUV code values of a clip are to be read, as the clip itself says (H.273 code points; 2 = unspecified).

    `full_range` is what the values are; `range_tagged` tells whether the clip says so or it is the usual assumption.
    """

    matrix_code: int = UNSPECIFIED
    primaries_code: int = UNSPECIFIED
    transfer_code: int = UNSPECIFIED
    full_range: bool = False
    range_tagged: bool = False

    def matrix(self, height: int) -> Matrix:
        """The YUV-to-RGB matrix: as tagged; untagged, what players assume: BT.709 from 720 lines up, else BT.601."""
        return _MATRIX_OF_CODE.get(self.matrix_code, "bt709" if height >= 720 else "bt601")


@dataclass(frozen=True, slots=True)
class I420:
    """A planar YUV 4:2:0 picture.

    `buffer` is one contiguous uint8 array of W·H + 2·⌈W/2⌉·⌈H/2⌉ bytes; `y` (H, W), `u` and `v` (⌈H/2⌉, ⌈W/2⌉) are
    C-contiguous views into it. Code values are in the range that `color` says.
    """

    buffer: U8
    y: U8
    u: U8
    v: U8
    color: ColorTags

    @classmethod
    def allocate(cls, size_wh: tuple[int, int], color: ColorTags) -> I420:
        """A new picture, its content undefined."""
        return cls.over(np.empty(i420_bytes(size_wh), np.uint8), size_wh, color)

    @classmethod
    def over(cls, buffer: U8, size_wh: tuple[int, int], color: ColorTags) -> I420:
        """The picture that lies in a flat contiguous uint8 `buffer`; no copy."""
        width, height = size_wh
        chroma_w, chroma_h = (width + 1) // 2, (height + 1) // 2
        luma, chroma = width * height, chroma_w * chroma_h
        if buffer.shape != (luma + 2 * chroma,) or buffer.dtype != np.uint8:
            raise ValueError(
                f"expected a flat uint8 buffer of {luma + 2 * chroma} bytes for {width}x{height} I420, "
                f"got {buffer.dtype} {buffer.shape}"
            )
        return cls(
            buffer,
            buffer[:luma].reshape(height, width),
            buffer[luma : luma + chroma].reshape(chroma_h, chroma_w),
            buffer[luma + chroma :].reshape(chroma_h, chroma_w),
            color,
        )

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.y.shape[1], self.y.shape[0]

    @property
    def planes(self) -> tuple[U8, U8, U8]:
        return self.y, self.u, self.v


Picture: TypeAlias = I420 | U8
"""`I420`, or (H, W, 3) uint8 BGR, C-contiguous."""


def i420_bytes(size_wh: tuple[int, int]) -> int:
    """Bytes of an I420 picture of this size; odd sizes round chroma up."""
    width, height = size_wh
    return width * height + 2 * ((width + 1) // 2) * ((height + 1) // 2)


def picture_size_wh(picture: Picture) -> tuple[int, int]:
    """Width and height in pixels of either kind of picture."""
    return picture.size_wh if isinstance(picture, I420) else (picture.shape[1], picture.shape[0])


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and its place in time: shown from `pts` for `duration`, both in units of `time_base` seconds."""

    picture: Picture
    pts: int
    time_base: Fraction
    index: int
    duration: int | None = None

    @property
    def pts_seconds(self) -> Fraction:
        return self.pts * self.time_base


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What a source says of all its frames, and a sink needs to know before the first one.

    `size_wh` is the upright size, after rotation. `frame_rate_reported` is what the container claims, for encoders'
    rate control and progress bars; time stamps never come from it.
    """

    size_wh: tuple[int, int]
    time_base: Fraction
    color: ColorTags = field(default_factory=ColorTags)
    sample_aspect_ratio: Fraction = Fraction(1)
    frame_rate_reported: Fraction | None = None
