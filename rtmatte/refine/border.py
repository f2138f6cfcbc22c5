"""The line between who is wanted and who isn't, for as long as the two touch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.frame import F32

Mask: TypeAlias = NDArray[np.bool_]
Carry: TypeAlias = Callable[[F32], F32]
"""Gives a map of the frame before, (h, w) float32, as it lies in this frame."""

_NEAR = 3.0
"""In pixels: nearer to the line than this, its place is remembered to fractions of a pixel."""
_ISLAND = 0.02
"""Of the larger side: what is cut off on the wrong side of the line is no part of anybody up to this size."""


class Border:
    """A field over the picture: over 0 on the wanted side, under 0 on the other, in pixels from the line.

    It goes along with the picture from frame to frame; farther from the line than a few pixels it is the distances to
    the two sides as they were divided last, so that what is new goes with what it touches. Owned by one thread.
    """

    def __init__(self) -> None:
        self._field: F32 | None = None

    def forget(self) -> None:
        """They are apart."""
        self._field = None

    def divide(self, contested: Mask, wanted_before: Mask, unwanted_before: Mask, carry: Carry | None) -> Mask:
        """The unwanted ones of the contested pixels, after the masks of the frame before."""
        if self._field is None or self._field.shape != contested.shape:
            self._field = _distances(wanted_before, unwanted_before)
        field = self._field if carry is None else carry(self._field)
        theirs = _without_islands(contested, contested & (field < 0))
        if theirs.any() and not theirs[contested].all():
            anew = _distances(contested & ~theirs, theirs)
            keeps = (np.abs(field) < _NEAR) & ((field < 0) == (anew < 0))
            self._field = np.where(keeps, field, anew)
        else:
            self._field = field
        return theirs


def nearer(one: Mask, other: Mask) -> Mask:
    """Where the nearest pixel of `one` is nearer than that of `other`; all of the picture if there is no other."""
    if not other.any():
        return np.ones(one.shape, bool)
    return np.asarray(_distance(one) < _distance(other))


def _distances(wanted: Mask, unwanted: Mask) -> F32:
    """How much farther each pixel is from the unwanted than from the wanted ones."""
    return np.asarray(_distance(unwanted) - _distance(wanted), np.float32)


def _distance(mask: Mask) -> F32:
    return np.asarray(cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3), np.float32)


def _without_islands(contested: Mask, theirs: Mask) -> Mask:
    """Small parts that lie apart from the rest of their side change sides."""
    divided = theirs.copy()
    for side, is_theirs in ((contested & ~theirs, True), (theirs, False)):
        count, parts, stats, _ = cv2.connectedComponentsWithStats(side.view(np.uint8), connectivity=4)
        if count > 2:
            sizes = stats[:, cv2.CC_STAT_AREA]
            small = sizes <= _ISLAND * sizes[1:].max()
            small[0] = False
            divided[small[parts]] = is_theirs
    return divided
