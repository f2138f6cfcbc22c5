"""Which frames of a clip nobody has to estimate: what is on both sides tells what they hold."""

from __future__ import annotations

import numpy as np

from rtmatte.frame import F32, I420, U8, Frame
from rtmatte.small import SmallPlanes
from rtmatte.temporal.motion import Motion

_UNEXPLAINED = 0.01
"""Share of the picture. Motion leaves 0.8 % or less unexplained in nine of ten frames of five clips in which people sit
and talk, and 2 to 10 % where somebody comes in or the camera pans."""
_TRUSTS_UP_TO = 20.0
"""In code values of luma, as `OneWayMean` does."""
_GAP_S = 0.1
"""Frames further apart than that were never measured."""


class Sparing:
    """Tells of each frame, in order, whether its alpha may be taken from the frames around it.

    Every second frame is, where optical flow from the frame before explains the picture: where the share of it that
    `OneWayMean` wouldn't carry alpha to is small. So no two frames in a row are spared, and the first one isn't.
    `small` is the last frame's `SmallPlanes`, a new array for each. Owned by one thread.
    """

    def __init__(self) -> None:
        self.small: U8 = np.empty((3, 0, 0), np.uint8)
        self._planes = SmallPlanes()
        self._motion = Motion()
        self._seconds = 0.0

    def spares(self, frame: Frame) -> bool:
        """Whether the frame needn't be estimated."""
        before, self.small = self.small, self._planes.of(frame.picture)
        seconds = float(frame.pts_seconds)
        elapsed, self._seconds = seconds - self._seconds, seconds
        if frame.index % 2 == 0 or before.shape != self.small.shape or elapsed > _GAP_S:
            return False
        plane = 0 if isinstance(frame.picture, I420) else 1
        now, then = self.small[plane], before[plane]
        self._motion.stand_still(now, then)
        if unexplained(self._motion.residual) <= _UNEXPLAINED:
            return True
        self._motion.find(now, then)
        return unexplained(self._motion.residual) <= _UNEXPLAINED


def unexplained(residual: F32) -> float:
    """The share of a picture to which alpha can't be carried, by what the motion leaves of it in code values."""
    off = np.minimum(residual * np.float32(1 / _TRUSTS_UP_TO), np.float32(1))
    explained = 1 - off * off
    return 1 - float((explained * explained).mean())
