"""A source of moving test pictures that carry their own frame number: for tests and benchmarks, no file needed."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Self

import numpy as np

from rtmatte.errors import InputError
from rtmatte.frame import I420, ColorTags, Frame, Picture, VideoFormat
from rtmatte.pool import PicturePool

NUMBER_BITS = 16
_BITS_PER_ROW = 8
_ZERO, _ONE = 40, 200
_THRESHOLD = 120
SMALLEST_SIDE = 16
TAGS_BT709 = ColorTags(matrix_code=1, primaries_code=1, transfer_code=1, range_tagged=True)


def draw_test_pattern(picture: I420, number: int) -> None:
    """Fills an I420 picture of at least 16x16 with the pattern of frame `number`.

    Top quarter: the number modulo 2**16 as two rows of eight blocks (dark 0, bright 1; most significant bit first).
    Below: a diagonal luma ramp that moves by two pixels a frame. Bottom quarter: dark on the left, bright on the right.
    Chroma has a different value in each quadrant, so that a flip or a rotation shows.

    Raises: ValueError for a smaller picture.
    """
    height, width = picture.y.shape
    if min(height, width) < SMALLEST_SIDE:
        raise ValueError(f"expected a picture of at least 16x16 for the test pattern, got {width}x{height}")
    ramp = (60 + (np.arange(height + width - 1) + 2 * number) % 128).astype(np.uint8)
    np.copyto(picture.y, np.lib.stride_tricks.sliding_window_view(ramp, width))
    for bit in range(NUMBER_BITS):
        top, bottom, left, right = _block(bit, width, height)
        picture.y[top:bottom, left:right] = _ONE if number >> (NUMBER_BITS - 1 - bit) & 1 else _ZERO
    picture.y[-(height // 4) :, : width // 2] = 50
    picture.y[-(height // 4) :, width // 2 :] = 190
    middle_row, middle_column = picture.u.shape[0] // 2, picture.u.shape[1] // 2
    picture.u[:, :middle_column], picture.u[:, middle_column:] = 100, 150
    picture.v[:middle_row], picture.v[middle_row:] = 110, 140


def read_frame_number(picture: Picture) -> int:
    """The number that `draw_test_pattern` wrote into an upright I420 or (H, W, 3) uint8 BGR picture, modulo 2**16.

    Survives lossy coding, conversion and scaling down to about 64x48.
    """
    luma = picture.y if isinstance(picture, I420) else picture.mean(axis=2)
    height, width = luma.shape
    number = 0
    for bit in range(NUMBER_BITS):
        top, bottom, left, right = _block(bit, width, height)
        margin_y, margin_x = (bottom - top) // 4, (right - left) // 4
        inner = luma[top + margin_y : bottom - margin_y, left + margin_x : right - margin_x]
        number = number << 1 | int(inner.mean() > _THRESHOLD)
    return number


def _block(bit: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the block that holds a bit."""
    row, column = divmod(bit, _BITS_PER_ROW)
    return (
        row * height // 8,
        (row + 1) * height // 8,
        column * width // _BITS_PER_ROW,
        (column + 1) * width // _BITS_PER_ROW,
    )


class SyntheticSource:
    """`frame_count` test patterns of a constant frame rate, pts 0, 1, 2, ... in units of one frame, tagged BT.709.

    Pictures come from `pool`; with none given, a new one each time.

    Raises: `InputError` while iterating once closed.
    """

    def __init__(
        self, size_wh: tuple[int, int], frame_count: int, frame_rate: Fraction, *, pool: PicturePool | None = None
    ) -> None:
        self.format = VideoFormat(size_wh, 1 / frame_rate, TAGS_BT709, frame_rate_reported=frame_rate)
        self.frames_expected: int | None = frame_count
        self.duration_seconds: float | None = float(frame_count / frame_rate)
        self.damaged = 0
        self.truncated = False
        self.notices: list[str] = []
        self._pool = pool or PicturePool()
        self._frame_count = frame_count
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self._frame_count):
            self._check_open()
            picture = self._pool.acquire(self.format.size_wh, self.format.color)
            draw_test_pattern(picture, number)
            yield Frame(picture, number, self.format.time_base, number, 1)

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("The synthetic source has been closed.", hint="Make a new one.")

    def close(self) -> None:
        """Ends an iteration that goes on; may be called more than once."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
