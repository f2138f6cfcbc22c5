"""Which frames of a clip nobody has to estimate: what is on both sides tells what they hold."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from rtmatte.frame import F32, I420, U8, Frame
from rtmatte.small import SmallPlanes
from rtmatte.temporal.motion import Motion
from rtmatte.temporal.one_way import TRUSTS_UP_TO

_UNEXPLAINED = 0.01
"""Share of the picture. Motion leaves 0.8 % or less unexplained in nine of ten frames of five clips in which people sit
and talk, and 2 to 10 % where somebody comes in or the camera pans."""
_HIDDEN = 0.5
"""Share of any patch of 11x11 cells, about a hand: one that leaps is too small to tell by the whole picture."""
_PATCH = (11, 11)
_GAP_S = Fraction(1, 10)
"""Frames further apart than that were never measured."""


class Sparing:
    """Tells of each frame, in order, whether its alpha may be taken from the frames around it.

    Every second frame is, where optical flow from the frame before explains the picture: where the share of it that
    `OneWayMean` wouldn't carry alpha to is small, of the whole and of every patch. So no two frames in a row are
    spared, and the first one isn't. `small` is the last frame's `SmallPlanes`, a new array for each.
    Owned by one thread.
    """

    def __init__(self) -> None:
        self.small: U8 = np.empty((3, 0, 0), np.uint8)
        self._planes = SmallPlanes()
        self._motion = Motion()
        self._seconds = Fraction(0)

    def spares(self, frame: Frame) -> bool:
        """Whether the frame needn't be estimated."""
        before, self.small = self.small, self._planes.of(frame.picture)
        elapsed, self._seconds = frame.pts_seconds - self._seconds, frame.pts_seconds
        if frame.index % 2 == 0 or before.shape != self.small.shape or elapsed > _GAP_S:
            return False
        plane = 0 if isinstance(frame.picture, I420) else 1
        now, then = self.small[plane], before[plane]
        self._motion.stand_still(now, then)
        if explains(self._motion.residual):
            return True
        self._motion.find(now, then)
        return explains(self._motion.residual)


def explains(residual: F32) -> bool:
    """Whether motion explains a picture, by what it leaves of each cell, (h, w) float32 in code values."""
    lost = unexplained(residual)
    return float(lost.mean()) <= _UNEXPLAINED and float(cv2.blur(lost, _PATCH).max()) <= _HIDDEN


def unexplained(residual: F32) -> F32:
    """How much of the trust in alpha `OneWayMean` would lose on the way to each cell, 0 to 1."""
    off = np.minimum(residual * np.float32(1 / TRUSTS_UP_TO), np.float32(1))
    explained = 1 - off * off
    return np.asarray(1 - explained * explained, np.float32)
