"""Does a file end before its own structure says? Read from the outermost boxes, chunks and elements only."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_EBML_MAGIC = b"\x1a\x45\xdf\xa3"
_SEGMENT_ID = b"\x18\x53\x80\x67"
_MP4_BEGINNINGS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_MP4_PAYLOADS = (b"mdat", b"moof", b"moov")


def is_cut_short(path: Path) -> bool:
    """True if an MP4/MOV, Matroska/WebM or AVI/WAV file promises more bytes than it has.

    Files without such a promise (streams, recordings that never were finished, other formats) give False.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head.startswith(_EBML_MAGIC):
            return _matroska_end(file) > size
        if head.startswith(b"RIFF") and len(head) >= 8:
            return 8 + int(struct.unpack_from("<I", head, 4)[0]) > size
        if head[4:8] in _MP4_BEGINNINGS:
            return any(end > size for kind, end in _mp4_boxes(file, size) if kind in _MP4_PAYLOADS)
    return False


def lacks_index(path: Path) -> bool:
    """True for an MP4/MOV without its index (the moov box), which recorders write last: nothing can be decoded."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        return head[4:8] in _MP4_BEGINNINGS and all(kind != b"moov" for kind, _ in _mp4_boxes(file, size))


def _mp4_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """Kind of each top-level box, and where it says it ends."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length, kind = struct.unpack_from(">I4s", header)
        if length == 1 and len(header) == 16:
            length = struct.unpack_from(">Q", header, 8)[0]
        elif length == 0:  # up to the end of the file
            length = size - position
        if length < 8:  # not a box
            return
        position += length
        yield kind, position


def _matroska_end(file: BinaryIO) -> int:
    """Where the segment says it ends; 0 if it doesn't say."""
    file.seek(4)
    header_length = _ebml_size(file)
    if header_length is None:
        return 0
    file.seek(header_length, 1)
    if file.read(4) != _SEGMENT_ID:
        return 0
    length = _ebml_size(file)
    return 0 if length is None else file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """A variable-length size: the first byte's leading zeros count the bytes that follow; all ones: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    following = 8 - first[0].bit_length()
    rest = file.read(following)
    marker = 1 << (7 * (following + 1))
    value = int.from_bytes(first + rest, "big") & (marker - 1)
    return None if len(rest) < following or value == marker - 1 else value
