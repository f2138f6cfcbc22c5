"""Specks and holes: what is too small to be a person, or a gap in one."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import SettingsError
from rtmatte.frame import F32
from rtmatte.refine import component_kernels

Mask: TypeAlias = NDArray[np.bool_]

_FAINT = 1 / 32
"""Alpha above this belongs to a piece, so that a piece takes its soft edge along."""
_HYSTERESIS = 8
"""A piece that was there a frame ago stays until it is so many times smaller than a new one must be: people who leave
the picture go bit by bit."""


class Components:
    """Removes small pieces of foreground and fills small holes, at the model's resolution, without blinking.

    A piece that was shown in the frame before is kept until it is far smaller than a new one must be; the same for
    holes. Owned by one thread; buffers are allocated when the shape changes.
    """

    def __init__(self, *, min_piece: float = 0.004, min_hole: float = 0.001) -> None:
        """The least sizes, as shares of the picture, of a new piece and of a new hole; 0 leaves them all.

        Raises: `SettingsError` for a share outside 0..1.
        """
        for share in (min_piece, min_hole):
            if not 0 <= share <= 1:
                raise SettingsError(f"Expected a share of the picture in 0..1, got {share}.")
        self._min_piece = min_piece
        self._min_hole = min_hole
        self._pieces: Mask = np.empty((0, 0), np.bool_)
        self._holes: Mask = np.empty((0, 0), np.bool_)

    def clean(self, alpha: F32) -> None:
        """Cleans (h, w) float32 alpha in place."""
        if self._pieces.shape != alpha.shape:
            self._pieces, self._holes = np.zeros(alpha.shape, np.bool_), np.zeros(alpha.shape, np.bool_)
        if self._min_piece:
            self._settle(alpha, self._pieces, self._min_piece, holes=False)
        if self._min_hole:
            self._settle(alpha, self._holes, self._min_hole, holes=True)

    def _settle(self, alpha: F32, shown: Mask, least_share: float, *, holes: bool) -> None:
        """Removes pieces of alpha that are too small, or fills `holes`; `shown`: what stays, of the frame before, then
        of this one. Holes that touch the picture's border are larger than they seem, and not too small."""
        count, labels = _label(alpha < 1 - _FAINT if holes else alpha > _FAINT)
        sums, before = np.zeros(count), np.zeros(count, np.bool_)
        component_kernels.measure(labels, alpha, shown, holes, sums, before)
        least = least_share * alpha.size
        keep = sums >= np.where(before, least / _HYSTERESIS, least)
        if holes:
            keep[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
        if keep[1:].all():
            np.greater(labels, 0, out=shown)
        else:
            component_kernels.settle(labels, keep, shown, alpha, holes)

    def reset(self) -> None:
        """Forgets what the frame before showed."""
        self._pieces.fill(0)
        self._holes.fill(0)


def label_pieces(alpha: F32, above: float = _FAINT) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Connected pieces of alpha `above` a level: labels (h, w) from 1 on, 0 = the rest; and each one's summed alpha.

    That of label 0 means nothing.
    """
    count, labels = _label(alpha > above)
    sums = np.bincount(labels.ravel(), alpha.ravel(), minlength=count).astype(np.float64, copy=False)
    return labels, sums


def _label(pieces: Mask) -> tuple[int, NDArray[np.int32]]:
    count, labels = cv2.connectedComponentsWithAlgorithm(pieces.view(np.uint8), 8, cv2.CV_32S, cv2.CCL_SPAGHETTI)
    return count, np.asarray(labels, np.int32)
