"""The model rests while nothing moves."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from rtmatte.frame import F32, I420, U8, ColorTags, Frame, Picture
from rtmatte.matting.matter import Matter, is_fine
from rtmatte.small import SmallPlanes

_LEAST_NOISE, _MOST_NOISE = 3.0, 8.0
"""Difference of two small pictures, averaged over 3x3, that is noise and no motion, in code values: as the picture has
it, but within these bounds. An edge of contrast 100 that moves by half a pixel of a 720p frame makes a difference of 3,
and a camera that is turned makes one of far more than 8 somewhere."""
_PEAK = 2.0
"""The largest difference in a picture of noise alone is so many times that in the usual block, at most."""
_BLOCK = 16
_LOOKS_EACH_S = Fraction(1, 2)
"""The model looks at least once in each such span of time, lest it stay with what it saw badly once. The spans don't
begin with the clip or the last look, so that whoever begins in the middle of a clip soon does what others do."""
_AVERAGED = (3, 3)


class Stillness:
    """Tells of each frame, in order, whether the model may rest on it. Owned by one thread; see `SkipsStill`.

    `small` is the last frame's `SmallPlanes`, a new array for each.
    """

    def __init__(self) -> None:
        self.small: U8 | None = None
        self._planes = SmallPlanes()
        self._looks = _Look(), _Look()
        self._knows = False

    def lets_rest(self, frame: Frame) -> bool:
        """Whether nothing has moved since the last frame of which this was denied: that one's alpha holds."""
        before, now = self._looks
        self.small = None  # the last one may go before there is another
        self.small = self._planes.of(frame.picture)
        now.take(frame, self.small)
        if self._knows and now.shows_no_motion_since(before):
            return True
        self._looks, self._knows = (now, before), True
        return False

    def forget(self) -> None:
        """The model has to look at the next frame."""
        self._knows = False


class SkipsStill:
    """A `Matter` that runs another one only where the picture differs from the one that it last ran on.

    Otherwise it gives the same alpha again, for half a second at most. Compared is always with the picture that the
    alpha was estimated for, so that slow motion adds up until it is seen. What it does depends on the frames alone, not
    on when they come. Owned by one thread; its buffers are allocated when sizes change. `rested` tells whether the last
    call was answered without the model, `small` is the last frame's `SmallPlanes`, a new array for each.
    """

    def __init__(self, matter: Matter) -> None:
        self.name = matter.name
        self.provider = matter.provider
        self.fine = is_fine(matter)
        self.rested = False
        self.asks = matter
        self._stillness = Stillness()
        self._kept: F32 = np.empty((0, 0), np.float32)
        self._given = self._kept

    @property
    def small(self) -> U8 | None:
        return self._stillness.small

    def estimate(self, frame: Frame) -> F32:
        """As `Matter.estimate`.

        Raises: what the other one raises; the next frame is looked at then.
        """
        self.rested = self._stillness.lets_rest(frame)
        if not self.rested:
            try:
                alpha = self.asks.estimate(frame)
            except BaseException:
                self._stillness.forget()
                raise
            if self._kept.shape != alpha.shape:
                self._kept, self._given = np.empty_like(alpha), np.empty_like(alpha)
            np.copyto(self._kept, alpha)
        # A copy, since the caller may write into what it gets.
        np.copyto(self._given, self._kept)
        return self._given

    def reset(self) -> None:
        """As `Matter.reset`; the model looks at the next frame."""
        self._stillness.forget()
        self.asks.reset()


def rested(matter: Matter) -> bool:
    """Whether its last answer was given without running the model."""
    return isinstance(matter, SkipsStill) and matter.rested


def small_of(matter: Matter) -> U8 | None:
    """The `SmallPlanes` of the frame that it answered last, where it has made them."""
    return matter.small if isinstance(matter, SkipsStill) else None


class _Look:
    """A small picture and what else tells one picture from another."""

    def __init__(self) -> None:
        self._planes = np.empty((0, 0, 0), np.uint8)
        self._kind: tuple[type[Picture], ColorTags | None] | None = None
        self._span = 0
        self._difference = self._planes

    def take(self, frame: Frame, small: U8) -> None:
        picture = frame.picture
        if self._planes.shape != small.shape:
            self._planes, self._difference = np.empty_like(small), np.empty_like(small)
        for plane, averaged in zip(small, self._planes, strict=True):
            cv2.blur(plane, _AVERAGED, dst=averaged)
        self._kind = type(picture), picture.color if isinstance(picture, I420) else None
        self._span = frame.pts_seconds // _LOOKS_EACH_S

    def shows_no_motion_since(self, before: _Look) -> bool:
        if (self._kind, self._planes.shape, self._span) != (before._kind, before._planes.shape, before._span):
            return False
        cv2.absdiff(self._planes, before._planes, dst=self._difference)
        return all(float(difference.max()) <= _noise(difference) for difference in self._difference)


def _noise(difference: U8) -> float:
    """Up to which (h, w) uint8 differences are noise: judged by the largest one in the usual block of the picture."""
    rows, columns = difference.shape[0] // _BLOCK, difference.shape[1] // _BLOCK
    if not rows or not columns:
        return _LEAST_NOISE
    blocks = difference[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    usual = float(np.median(blocks.max(axis=1).max(axis=2)))
    return min(max(_PEAK * usual, _LEAST_NOISE), _MOST_NOISE)
