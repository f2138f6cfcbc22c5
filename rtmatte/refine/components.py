"""Specks and holes: what is too small to be a person, or a gap in one."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, U8

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
        self._pieces: U8 = np.empty((0, 0), np.uint8)
        self._holes: U8 = np.empty((0, 0), np.uint8)

    def clean(self, alpha: F32) -> None:
        """Cleans (h, w) float32 alpha in place."""
        if self._pieces.shape != alpha.shape:
            self._pieces, self._holes = np.zeros(alpha.shape, np.uint8), np.zeros(alpha.shape, np.uint8)
        if self._min_piece:
            alpha[_small(alpha, self._pieces, self._min_piece)] = 0
        if self._min_hole:
            alpha[_small(1 - alpha, self._holes, self._min_hole, spare_border=True)] = 1

    def reset(self) -> None:
        """Forgets what the frame before showed."""
        self._pieces.fill(0)
        self._holes.fill(0)


def _small(alpha: F32, shown: U8, least_share: float, *, spare_border: bool = False) -> NDArray[np.bool_]:
    """The pixels of pieces that are too small; `shown`, (h, w) bytes: others, of the frame before, then of this one.

    With `spare_border`, pieces that touch the picture's border are larger than they seem, and not too small.
    """
    labels, sizes = label_pieces(alpha)
    least = least_share * alpha.size
    before = np.bincount(labels[shown != 0], minlength=sizes.size) > 0
    keep = sizes >= np.where(before, least / _HYSTERESIS, least)
    if spare_border:
        keep[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    np.copyto(shown, keep[labels] & (labels > 0))
    keep[0] = True
    return np.asarray(~keep[labels])


def label_pieces(alpha: F32, above: float = _FAINT) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Connected pieces of alpha `above` a level: labels (h, w) from 1 on, 0 = the rest; and each one's summed alpha.

    That of label 0 means nothing.
    """
    count, labels = cv2.connectedComponents((alpha > above).view(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    sums = np.bincount(labels.ravel(), alpha.ravel(), minlength=count)
    return labels.astype(np.int32, copy=False), sums.astype(np.float64, copy=False)
