"""What a webcam delivers, as it delivers it, and its way to I420."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from rtmatte.capture.chroma import mean_of_row_pairs
from rtmatte.capture.mjpeg import MjpegDecoder
from rtmatte.frame import I420, U8, ColorTags, i420_bytes
from rtmatte.pool import PicturePool

WEBCAM_COLOR = ColorTags(matrix_code=6, range_tagged=True)
"""BT.601, limited range: what the USB video class says of uncompressed video, and what OpenCV makes of BGR."""

JPEG_FORMATS = ("MJPG", "JPEG")
BGR = "BGR3"


@dataclass(frozen=True, slots=True, eq=False)
class RawFrame:
    """The bytes of one picture of `size_wh` in the V4L2 pixel format `fourcc`."""

    data: U8
    fourcc: str
    size_wh: tuple[int, int]


class RawReader:
    """Makes I420 of raw frames; for one thread. Releases the GIL while it decodes or converts."""

    def __init__(self, pool: PicturePool) -> None:
        self._pool = pool
        self._mjpeg: MjpegDecoder | None = None
        self._scratch = np.empty(0, np.uint8)

    def read(self, raw: RawFrame) -> I420 | None:
        """The picture, in a buffer of the pool; None if the bytes are torn or too few.

        Raises: KeyError for a format that isn't in `RAW_FORMATS`.
        """
        data = raw.data.reshape(-1)
        if raw.fourcc in JPEG_FORMATS:
            self._mjpeg = self._mjpeg or MjpegDecoder()
            return self._mjpeg.decode(data, self._pool)
        write, bytes_of = _WRITERS[raw.fourcc]
        if data.size < bytes_of(raw.size_wh):
            return None
        if self._scratch.size != 2 * data.size:
            self._scratch = np.empty(2 * data.size, np.uint8)
        picture = self._pool.acquire(raw.size_wh, WEBCAM_COLOR)
        write(data[: bytes_of(raw.size_wh)], picture, self._scratch)
        return picture


def _packed(luma_first: bool) -> Callable[[U8, I420, U8], None]:
    """YUYV or UYVY: luma of every pixel, U and V of every second one; chroma is averaged over pairs of rows."""

    def write(data: U8, picture: I420, scratch: U8) -> None:
        width, height = picture.size_wh
        rows = -(-height // 2)
        chroma = scratch[: height * width].reshape(height, width)
        means = scratch[height * width : (height + rows) * width].reshape(rows, width)
        cv2.split(data.reshape(height, width, 2), (picture.y, chroma) if luma_first else (chroma, picture.y))
        mean_of_row_pairs(chroma, means)
        cv2.split(means.reshape(rows, width // 2, 2), (picture.u, picture.v))

    return write


def _planar(v_first: bool) -> Callable[[U8, I420, U8], None]:
    """Three planes, as in I420 or with V before U."""

    def write(data: U8, picture: I420, _scratch: U8) -> None:
        stored = I420.over(data, picture.size_wh, picture.color)
        chroma = (picture.v, picture.u) if v_first else (picture.u, picture.v)
        for target, plane in zip((picture.y, *chroma), stored.planes, strict=True):
            np.copyto(target, plane)

    return write


def _semi_planar(v_first: bool) -> Callable[[U8, I420, U8], None]:
    """A plane of luma and one of U and V in turn."""

    def write(data: U8, picture: I420, _scratch: U8) -> None:
        np.copyto(picture.y, data[: picture.y.size].reshape(picture.y.shape))
        pairs = data[picture.y.size :].reshape(*picture.u.shape, 2)
        cv2.split(pairs, (picture.v, picture.u) if v_first else (picture.u, picture.v))

    return write


def _bgr(data: U8, picture: I420, _scratch: U8) -> None:
    """Interleaved blue, green, red, as OpenCV gives it where there is nothing better. An odd size allocates."""
    width, height = picture.size_wh
    image = data.reshape(height, width, 3)
    if width % 2 == 0 and height % 2 == 0:
        cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420, dst=picture.buffer.reshape(height * 3 // 2, width))
        return
    even = I420.allocate((width + width % 2, height + height % 2), picture.color)
    padded = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    cv2.cvtColor(padded, cv2.COLOR_BGR2YUV_I420, dst=even.buffer.reshape(-1, even.size_wh[0]))
    np.copyto(picture.y, even.y[:height, :width])
    np.copyto(picture.u, even.u)
    np.copyto(picture.v, even.v)


def _two_bytes(size_wh: tuple[int, int]) -> int:
    return 2 * size_wh[0] * size_wh[1]


def _three_bytes(size_wh: tuple[int, int]) -> int:
    return 3 * size_wh[0] * size_wh[1]


_WRITERS: dict[str, tuple[Callable[[U8, I420, U8], None], Callable[[tuple[int, int]], int]]] = {
    "YUYV": (_packed(luma_first=True), _two_bytes),
    "UYVY": (_packed(luma_first=False), _two_bytes),
    "NV12": (_semi_planar(v_first=False), i420_bytes),
    "NV21": (_semi_planar(v_first=True), i420_bytes),
    "YU12": (_planar(v_first=False), i420_bytes),
    "YV12": (_planar(v_first=True), i420_bytes),
    BGR: (_bgr, _three_bytes),
}

RAW_FORMATS = frozenset({*JPEG_FORMATS, *_WRITERS})
"""What `RawReader` reads."""
