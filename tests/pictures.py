"""Makes picture files for tests, by means other than the code under test."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_HOW_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,  # shown turned clockwise, so stored turned back
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def noise(height: int, width: int, channels: int = 3, dtype: type = np.uint8, seed: int = 0) -> NDArray[Any]:
    """(H, W) or (H, W, channels) random values over the whole range of the type."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def corners(height: int = 48, width: int = 80) -> NDArray[np.uint8]:
    """RGB quarters of four different colours, so that every turn and flip shows, and JPEG keeps them."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 200, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    picture[height // 2 :, width // 2 :] = (230, 230, 40)
    return picture


def stored(upright: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The pixels of a file with this EXIF orientation that shows `upright`: turned by Pillow, channel by channel."""
    if orientation == 1:
        return upright
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).transpose(_HOW_STORED[orientation]))
        for plane in np.moveaxis(np.atleast_3d(upright), 2, 0)
    ]
    return np.ascontiguousarray(np.stack(planes, axis=2).reshape(*planes[0].shape, *upright.shape[2:]))


def exif_bytes(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", orientation
    exif[0x8769] = {0x9003: "2020:01:02 03:04:05", 0x927C: b"secret preview", 0xA002: 1, 0xA003: 2}
    exif[0x8825] = {1: "N"}
    return exif.tobytes()


def exif_with_thumbnail(thumbnail: bytes) -> bytes:
    """A camera's EXIF block: IFD 0 with a maker, IFD 1 with an embedded preview."""
    ifd0 = struct.pack("<H", 1) + struct.pack("<HHI4s", 0x010F, 2, 4, b"Cam\0") + struct.pack("<I", 26)
    ifd1 = (
        struct.pack("<H", 2)
        + struct.pack("<HHII", 0x0201, 4, 1, 56)
        + struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail))
    )
    return b"Exif\0\0" + struct.pack("<2sHI", b"II", 42, 8) + ifd0 + ifd1 + struct.pack("<I", 0) + thumbnail


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_bytes(pixels: NDArray[Any], *chunks: bytes) -> bytes:
    """A PNG of (H, W[, C]) grey, grey + alpha, RGB or RGBA, 8 or 16 bits, with further chunks before the pixels."""
    deep = np.atleast_3d(pixels)
    height, width, channels = deep.shape
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = deep.astype(">u2" if pixels.dtype == np.uint16 else np.uint8)
    header = struct.pack(">IIBBBBB", width, height, pixels.dtype.itemsize * 8, color_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *chunks,
            png_chunk(b"IDAT", body),
            png_chunk(b"IEND", b""),
        ]
    )


def png_header_only(width: int, height: int) -> bytes:
    """What claims to be a picture of that size, and holds no pixel."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


def iccp_chunk(profile: bytes) -> bytes:
    return png_chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))


def exif_chunk(exif: bytes) -> bytes:
    return png_chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))


def tiff_bytes(
    pixels: NDArray[Any], *, photometric: int = 2, extra: int | None = None, orientation: int = 1, order: str = "<"
) -> bytes:
    """An uncompressed one-strip TIFF of (H, W[, C]), 8 or 16 bits; `extra`: 1 premultiplied, 2 straight alpha."""
    deep = np.atleast_3d(pixels)
    height, width, channels = deep.shape
    data = deep.astype(deep.dtype.newbyteorder(order)).tobytes()
    bits = struct.pack(f"{order}{channels}H", *[pixels.dtype.itemsize * 8] * channels)
    short, long = 3, 4
    tags = [
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, channels, bits),
        (259, short, 1, 1),
        (262, short, 1, photometric),
        (273, long, 1, None),
        (274, short, 1, orientation),
        (277, short, 1, channels),
        (278, long, 1, height),
        (279, long, 1, len(data)),
        (284, short, 1, 1),
        *([(338, short, 1, extra)] if extra is not None else []),
    ]
    after = 8 + 2 + 12 * len(tags) + 4
    entries = b""
    for tag, kind, count, value in tags:
        if value is None:
            value = after + len(bits)
        if isinstance(value, bytes):
            field = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(f"{order}I", after)
        else:
            field = struct.pack(f"{order}{'H' if kind == short else 'I'}", value).ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, count) + field
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return head + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + bits + data


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def linear_grey_profile() -> bytes:
    """A greyscale profile in which values are proportional to light."""
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": b"curv" + bytes(4) + struct.pack(">IHH", 1, 256, 0)})


def swapped_cmyk_profile() -> bytes:
    """A CMYK profile of a strange press: paper is white, any cyan ink is black, and the other inks leave no trace."""
    grid = b"".join(bytes([0 if cyan else 255, 128, 128]) for cyan in (0, 1) for _ in range(8))
    identity = b"".join(struct.pack(">i", 65536 * (row == column)) for row in range(3) for column in range(3))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + bytes(range(256)) * 4 + grid + bytes(range(256)) * 3
    return _profile(b"CMYK", b"Lab ", {b"A2B0": table}, kind=b"prtr")


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    white = struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    description = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": description, b"wtpt": b"XYZ " + bytes(4) + white, b"cprt": b"text" + bytes(4) + b"none", **tags}
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytearray(128)
    header[8:12], header[12:16], header[16:20], header[20:24] = b"\x02\x40\0\0", kind, space, connection
    header[36:40], header[68:80] = b"acsp", white
    header[0:4] = struct.pack(">I", 128 + len(table) + len(body))
    return bytes(header) + table + body


def save(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
