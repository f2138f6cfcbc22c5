"""Every camera frame brought to the output's size, colours and handedness before anything looks at it."""

from __future__ import annotations

from dataclasses import replace

import cv2

from rtmatte.color import recolor
from rtmatte.composite.fitting import fit_into
from rtmatte.frame import I420, ColorTags, Frame
from rtmatte.pool import PicturePool


class Framing:
    """Whatever a camera delivers, also after it was replaced by another one, what follows sees one kind of picture.

    Fills the output and crops; `mirror` may be changed at any time. Owned by one thread.
    """

    def __init__(self, size_wh: tuple[int, int], color: ColorTags, pool: PicturePool, *, mirror: bool) -> None:
        self.size_wh = size_wh
        self.color = color
        self.mirror = mirror
        self._pool = pool

    def frame(self, captured: Frame) -> Frame:
        """The frame with a picture of the output's form, which is the captured one's own wherever that fits already."""
        picture = captured.picture
        assert isinstance(picture, I420)  # of the camera protocol
        if picture.size_wh != self.size_wh:
            fitted = self._pool.acquire(self.size_wh, picture.color)
            fit_into(picture, fitted, "cover")
            self._pool.release(picture)
            recolored = I420.over(fitted.buffer, self.size_wh, self.color)
        else:
            recolored = I420.over(picture.buffer, self.size_wh, self.color)
        recolor(recolored, picture.color, picture.size_wh[1])
        if self.mirror:
            mirrored = self._pool.acquire(self.size_wh, self.color)
            for plane, target in zip(recolored.planes, mirrored.planes, strict=True):
                cv2.flip(plane, 1, dst=target)
            self._pool.release(recolored)
            recolored = mirrored
        return replace(captured, picture=recolored)
