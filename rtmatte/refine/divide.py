"""Pieces of alpha in which several people touch, divided by masks of those who were clicked."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.frame import F32
from rtmatte.refine.border import Mask, nearer

_SOMEBODY = 0.1
"""Of a piece: as much as that is left beside what was clicked, and it is somebody else."""
_RIM = 0.015
"""Of the longer side: two masks of the same person differ by up to that at the edge."""


def divide(labels: NDArray[np.int32], kept: F32 | None, dropped: F32 | None) -> NDArray[np.int32]:
    """Labels of the pieces; of those that the masks divide, what goes with the dropped ones gets a label of its own.

    The masks, (h, w) float32 in 0..1 over the whole picture at any resolution, are of all that was clicked to be kept
    and to be dropped; None: nothing was. Large parts of a piece that no mask has are somebody who wasn't clicked:
    dropped beside what is to be kept, else kept. Small ones go with what is nearer.
    """
    shape = labels.shape
    in_kept, in_dropped = _at_size(kept, shape), _at_size(dropped, shape)
    is_kept, is_dropped = (in_kept > 0.5) & (in_kept >= in_dropped), (in_dropped > 0.5) & (in_dropped > in_kept)
    found, count = labels.copy(), int(labels.max()) + 1
    for label in np.unique(labels[is_kept | is_dropped]):
        if not label:
            continue
        piece = labels == label
        stay, go = piece & is_kept, piece & is_dropped
        others = _somebody(piece & ~stay & ~go, int(np.count_nonzero(piece)))
        if kept is not None:
            go |= others
        else:
            stay |= others
        if stay.any() and go.any():
            found[piece & nearer(go, stay)] = count
            count += 1
    return found


def covered(labels: NDArray[np.int32], mask: F32 | None) -> NDArray[np.bool_]:
    """By label: whether the mask, as for `divide`, has most of the piece."""
    sizes = np.bincount(labels.ravel())
    inside = np.bincount(labels[_at_size(mask, labels.shape) > 0.5], minlength=sizes.size)
    return np.asarray(2 * inside > sizes)


def _at_size(mask: F32 | None, shape_hw: tuple[int, ...]) -> F32:
    if mask is None:
        return np.zeros(shape_hw, np.float32)
    return np.asarray(cv2.resize(mask, (shape_hw[1], shape_hw[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _somebody(left: Mask, size: int) -> Mask:
    """Of what is left of a piece of that size, the parts that are more than a rim of somebody or a thing of theirs.

    Parts that only a rim joins are looked at one by one.
    """
    rim = max(1, round(_RIM * max(left.shape)))
    square = np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)
    thick = cv2.morphologyEx(np.pad(left.view(np.uint8), rim, mode="edge"), cv2.MORPH_OPEN, square)
    inside = np.ascontiguousarray(thick[rim:-rim, rim:-rim])
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside)
    is_large = stats[:, cv2.CC_STAT_AREA] >= _SOMEBODY * size
    is_large[0] = False
    return np.asarray(is_large[parts])
