"""A TIFF encoder that streams, for 16-bit colour with profile and EXIF: no library at hand writes all three.

Reference: Adobe, TIFF Revision 6.0 (strips, section 14: differencing predictor); Adobe Photoshop TIFF Technical Notes
(2002), ZIP compression.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from itertools import chain
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from rtmatte.errors import OutputWriteError
from rtmatte.output.still_header import StillHeader

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 277, 278, 279
_X_RESOLUTION, _Y_RESOLUTION, _PLANAR, _RESOLUTION_UNIT, _PREDICTOR = 282, 283, 284, 296, 317
_EXTRA_SAMPLES, _ICC_PROFILE = 338, 34675
_DEFLATE, _RGB, _CONTIGUOUS, _INCH, _HORIZONTAL, _UNASSOCIATED = 8, 2, 1, 2, 2, 2
_SUBDIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_LEVEL = 3
_HEADER = struct.pack("<2sHI", b"II", 42, 8)
_MAX_BYTES = 2**32 - 1


def write_tiff(file: IO[bytes], strips: Iterable[NDArray[np.uint8] | NDArray[np.uint16]], header: StillHeader) -> None:
    """Writes strips of rows, (h, W, 3) RGB or (h, W, 4) straight RGBA, uint8 or uint16 as `header` says, deflated.

    All strips but the last have the same number of rows.

    Raises: OSError of the file; OutputWriteError over 4 GB, where TIFF ends.
    """
    strips = iter(strips)
    first = next(strips)
    directory = _directory(header)
    directory[_ROWS_PER_STRIP] = len(first)
    # The directory comes first and is written again with the lengths of the strips, once they are known.
    empty = (0,) * -(-header.size_wh[1] // len(first))
    _write_directory(file, directory, empty, empty)
    counts, offsets = [], []
    start = file.tell()
    for strip in chain([first], strips):
        differences = strip.astype("<u2" if header.depth == 16 else np.uint8)
        differences[:, 1:] -= strip[:, :-1]
        packed = zlib.compress(differences.tobytes(), _LEVEL)
        offsets.append(file.tell() - start)
        counts.append(len(packed))
        file.write(packed)
    if file.tell() > _MAX_BYTES:
        raise OutputWriteError(f"A TIFF ends at 4 GB, this one has {file.tell() / 1e9:.1f} GB.", hint="Write a .png.")
    file.seek(0)
    _write_directory(file, directory, tuple(offsets), tuple(counts))


def _write_directory(
    file: IO[bytes], directory: ImageFileDirectory_v2, offsets: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    """Header and directory; offsets count from their end, as Pillow has it."""
    directory.tagtype[_STRIP_OFFSETS] = directory.tagtype[_STRIP_BYTES] = TiffTags.LONG
    directory[_STRIP_OFFSETS] = offsets
    directory[_STRIP_BYTES] = counts
    file.write(_HEADER)
    file.write(directory.tobytes(len(_HEADER)))


def _directory(header: StillHeader) -> ImageFileDirectory_v2:
    directory = ImageFileDirectory_v2(ifh=_HEADER)
    if header.exif:
        source = Image.Exif()
        source.load(header.exif)
        for tag in source:
            directory[tag] = source.get_ifd(tag) if tag in _SUBDIRECTORIES else source[tag]
    directory[_WIDTH], directory[_LENGTH] = header.size_wh
    directory[_BITS] = (header.depth,) * header.channels
    directory[_COMPRESSION] = _DEFLATE
    directory[_PHOTOMETRIC] = _RGB
    directory[_SAMPLES] = header.channels
    directory[_PLANAR] = _CONTIGUOUS
    directory[_PREDICTOR] = _HORIZONTAL
    if header.channels == 4:
        directory[_EXTRA_SAMPLES] = _UNASSOCIATED
    if header.dpi:
        directory[_RESOLUTION_UNIT] = _INCH
        directory[_X_RESOLUTION], directory[_Y_RESOLUTION] = header.dpi
    if header.icc_profile:
        directory[_ICC_PROFILE] = header.icc_profile
    return directory
