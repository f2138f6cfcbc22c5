"""A PNG encoder that streams: rows in, chunks out.

Pillow cannot write 16-bit colour, OpenCV before version 5 cannot embed a colour profile, and both want the picture
whole, interleaved with its alpha.

Reference: W3C, Portable Network Graphics (PNG) Specification, Third Edition.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rtmatte.output.still_header import StillHeader

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _RGBA = 2, 6
_AVERAGE = 3
# Of a 6-megapixel photo, level 3 takes 0.8 s and gives 11.6 MB; level 1 0.4 s and 12.2 MB; level 6 4.9 s and 10.5 MB.
_LEVEL = 3
_INCHES_PER_METRE = 1 / 0.0254


def write_png(file: IO[bytes], strips: Iterable[NDArray[np.uint8] | NDArray[np.uint16]], header: StillHeader) -> None:
    """Writes strips of rows, (h, W, 3) RGB or (h, W, 4) straight RGBA, uint8 or uint16 as `header` says.

    Raises: OSError of the file.
    """
    color_type = _RGBA if header.channels == 4 else _RGB
    file.write(_SIGNATURE)
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", *header.size_wh, header.depth, color_type, 0, 0, 0))
    if header.icc_profile:
        _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(header.icc_profile))
    if header.dpi:
        _chunk(file, b"pHYs", struct.pack(">IIB", *(round(value * _INCHES_PER_METRE) for value in header.dpi), 1))
    if header.exif:
        _chunk(file, b"eXIf", header.exif.removeprefix(b"Exif\0\0"))

    dtype, bytes_per_pixel = ">u2" if header.depth == 16 else "u1", header.channels * header.depth // 8
    above = np.zeros(header.size_wh[0] * bytes_per_pixel, np.uint8)
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    for strip in strips:
        rows = np.ascontiguousarray(strip, dtype).view(np.uint8).reshape(len(strip), -1)
        packed = packer.compress(_averaged(rows, above, bytes_per_pixel).data)
        if packed:
            _chunk(file, b"IDAT", packed)
        above = rows[-1]
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _averaged(rows: NDArray[np.uint8], above: NDArray[np.uint8], bytes_per_pixel: int) -> NDArray[np.uint8]:
    """Rows of bytes behind their filter type, each byte less the mean of its left and upper neighbour (section 9.2)."""
    height, width = rows.shape
    mean = np.empty((height, width), np.uint16)
    mean[0] = above
    mean[1:] = rows[:-1]
    mean[:, bytes_per_pixel:] += rows[:, :-bytes_per_pixel]
    mean >>= 1
    filtered = np.empty((height, width + 1), np.uint8)
    filtered[:, 0] = _AVERAGE
    np.subtract(rows, mean.astype(np.uint8), out=filtered[:, 1:])
    return filtered


def _chunk(file: IO[bytes], name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))
