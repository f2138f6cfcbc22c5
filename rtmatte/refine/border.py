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
    the two sides as they were divided last. What is new goes with what it touches. Owned by one thread.
    """

    def __init__(self) -> None:
        self._field: F32 | None = None

    def forget(self) -> None:
        """They are apart."""
        self._field = None

    def divide(
        self, wanted: Mask, unwanted: Mask, wanted_before: Mask, unwanted_before: Mask, carry: Carry | None
    ) -> tuple[Mask, Mask]:
        """The masks of this frame without what they share, which is divided after those of the frame before."""
        contested = wanted & unwanted
        if self._field is None or self._field.shape != contested.shape:
            self._field = _distances(wanted_before, unwanted_before)
        field, before = self._field, wanted_before | unwanted_before
        if carry is not None:
            field, before = carry(field), carry(before.astype(np.float32)) > 0.5
        theirs = _without_islands(contested, _grown(contested, contested & before, field < 0))
        mine, others = wanted & ~theirs, unwanted & (theirs | ~contested)
        anew = _distances(mine, others)
        keeps = (np.abs(field) < _NEAR) & ((field < 0) == (anew < 0))
        self._field = np.where(keeps, field, anew)
        return mine, others


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


def _grown(contested: Mask, known: Mask, is_theirs: Mask) -> Mask:
    """Theirs: of the known pixels as told, of the others of the contested ones what theirs reach first from there."""
    square = np.ones((3, 3), np.uint8)
    mine, theirs, left = known & ~is_theirs, known & is_theirs, contested & ~known
    while left.any():
        near_mine, near_theirs = (
            cv2.dilate(side.view(np.uint8), square).view(np.bool_) & left for side in (mine, theirs)
        )
        near_theirs &= ~near_mine
        if not near_mine.any() and not near_theirs.any():
            break
        mine, theirs, left = mine | near_mine, theirs | near_theirs, left & ~near_mine & ~near_theirs
    return np.asarray(theirs | (left & is_theirs))


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
