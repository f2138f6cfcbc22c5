"""Pictures whose pixels say which frame they are and when it was captured; and what can be told from one read back.

The left half is the "person": four bands of sixteen grey blocks each, from top to bottom the frame's number, the time,
and the complement of each. The right half is the "room", in a colour that nothing else here has. A matte that keeps
the left half and drops the right one leaves the stamp legible and no pixel of the room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8]

ROOM_BGR = (200, 40, 200)
_BITS, _BLOCKS_A_ROW, _ROWS = 16, 8, 8
_ALL_BITS = (1 << _BITS) - 1
_DARK, _BRIGHT = 40, 210
_DARK_BELOW, _BRIGHT_ABOVE = 90, 160
_GREY_WITHIN = 40
_ROOM_WITHIN = 45
CLOCK_UNITS_PER_SECOND = 100


@dataclass(frozen=True, slots=True)
class Stamp:
    """Number of the frame and time of capture in hundredths of a second of the guest's clock, both modulo 2**16."""

    number: int
    captured: int


Reading: TypeAlias = Stamp | Literal["torn"] | None


def draw_stamped_picture(size_wh: tuple[int, int], stamp: Stamp) -> Picture:
    """(H, W, 3) uint8 BGR."""
    width, height = size_wh
    picture = np.full((height, width, 3), ROOM_BGR, np.uint8)
    words = (stamp.number, stamp.captured, stamp.number ^ _ALL_BITS, stamp.captured ^ _ALL_BITS)
    for band, word in enumerate(words):
        for bit in range(_BITS):
            picture[_block(size_wh, band, bit)] = _BRIGHT if word >> bit & 1 else _DARK
    return picture


def read_stamp(picture: Picture) -> Reading:
    """The stamp of a BGR picture; "torn" if its parts are of different frames; None if there is no stamp in it."""
    words = [_read_band(picture, band) for band in range(4)]
    number, captured, number_complement, captured_complement = words
    if all(word is None for word in words):
        return None
    if number is None or captured is None or number_complement is None or captured_complement is None:
        return "torn"
    if number ^ number_complement != _ALL_BITS or captured ^ captured_complement != _ALL_BITS:
        return "torn"
    return Stamp(number, captured)


def count_room_pixels(picture: Picture) -> int:
    """Pixels of the room's own colour, anywhere in the picture."""
    difference = np.abs(picture.astype(np.int16) - np.array(ROOM_BGR, np.int16))
    return int(np.count_nonzero(difference.max(axis=2) < _ROOM_WITHIN))


def background_bgr(picture: Picture) -> tuple[int, int, int]:
    """The median colour of the right half, away from the edge between the halves."""
    width = picture.shape[1]
    blue, green, red = np.median(picture[:, width * 5 // 8 :].reshape(-1, 3), axis=0)
    return int(blue), int(green), int(red)


def to_yuyv(picture: Picture) -> bytes:
    """As a camera sends it uncompressed: limited range BT.601, a chroma sample for two pixels."""
    i420 = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
    height, width = picture.shape[:2]
    luma = i420[:height]
    u, v = i420[height:].reshape(2, height // 2, width // 2).repeat(2, axis=1)
    return np.stack([luma[:, 0::2], u, luma[:, 1::2], v], axis=2).tobytes()


def to_jpeg(picture: Picture) -> bytes:
    done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert done
    return encoded.tobytes()


def _read_band(picture: Picture, band: int) -> int | None:
    """None unless every block is a clean dark or bright grey, and there are both."""
    height, width = picture.shape[:2]
    word = 0
    for bit in range(_BITS):
        rows, columns = _block((width, height), band, bit)
        margin_y, margin_x = (rows.stop - rows.start) // 4, (columns.stop - columns.start) // 4
        inner = picture[rows, columns][margin_y:-margin_y, margin_x:-margin_x]
        darkest, brightest = int(inner.min()), int(inner.max())
        if brightest - darkest > _GREY_WITHIN or not (brightest < _DARK_BELOW or darkest > _BRIGHT_ABOVE):
            return None
        word |= int(darkest > _BRIGHT_ABOVE) << bit
    return word if 0 < word < _ALL_BITS else None


def _block(size_wh: tuple[int, int], band: int, bit: int) -> tuple[slice, slice]:
    """Rows and columns of the block of one bit; a band is two rows of eight blocks."""
    width, height = size_wh
    row, column = divmod(bit, _BLOCKS_A_ROW)
    row += band * _ROWS // 4
    half = width // 2
    return (
        slice(row * height // _ROWS, (row + 1) * height // _ROWS),
        slice(column * half // _BLOCKS_A_ROW, (column + 1) * half // _BLOCKS_A_ROW),
    )
