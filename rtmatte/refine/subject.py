"""Whose picture it is: the subject stays, bystanders become background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import SettingsError
from rtmatte.frame import F32
from rtmatte.refine.components import label_pieces

Point: TypeAlias = tuple[float, float]
"""x and y as shares of the picture's width and height."""
Mask: TypeAlias = NDArray[np.bool_]

_SOLID = 0.3
"""Alpha above this tells one piece from another; what is fainter goes with the nearest piece."""
_LEAST_SHARED = 0.1
"""Of a piece that was there before, for a piece of this frame to be its continuation."""
_SMALL = 0.3
"""Of the subject: a new piece up to this size that comes in from the picture's border within the subject's reach is a
hand of theirs, not another person."""
_TINY = 0.03
"""Of the subject: up to this size it may come from anywhere within reach."""
_REACH = 0.15
"""Of the subject's box, on each side of it."""
_CORE = 0.35
"""Of the depth of a piece's middle: what is deeper than that is thick."""
_LEAST_NEIGHBOUR = 0.1
"""Of the piece that both are part of."""


class Subject:
    """Follows the pieces that are wanted and sets the others to 0, at the model's resolution.

    Without clicks only the largest piece of the first frame is wanted: usually who sits nearest. `keep` wants the
    pieces at these points instead, `drop` wants all but those. People side by side who touch are told apart then by the
    narrow place between them. Pieces are followed by their overlap from frame to frame; where a wanted and an unwanted
    one merge, each pixel goes with what was nearer to it a frame ago. When nothing wanted has been seen for
    `patience_s`, the largest piece is the one from then on. Owned by one thread.

    Raises: `SettingsError` for points outside the picture, for both `keep` and `drop`, or a negative patience.
    """

    def __init__(self, *, keep: Sequence[Point] = (), drop: Sequence[Point] = (), patience_s: float = 1.0) -> None:
        if keep and drop:
            raise SettingsError("Expected points to keep or points to drop, got both.")
        for point in (*keep, *drop):
            if not (0 <= point[0] <= 1 and 0 <= point[1] <= 1):
                raise SettingsError(f"Expected points as shares of width and height in 0..1, got {point}.")
        if not patience_s >= 0:
            raise SettingsError(f"Expected a patience of 0 s or more, got {patience_s!r}.")
        self._keep, self._drop = tuple(keep), tuple(drop)
        self._patience_s = patience_s
        self.reset()

    def reset(self) -> None:
        """Forgets whom it follows; the next frame is the first again."""
        self._clicks_hold = bool(self._keep or self._drop)
        self._wanted: Mask | None = None
        self._unwanted: Mask = np.empty((0, 0), bool)
        self._seen_s = 0.0

    def select(self, alpha: F32, seconds: float) -> None:
        """Sets what isn't wanted to 0 in (h, w) float32 alpha, in place; `seconds` is the frame's time."""
        labels, sizes = label_pieces(alpha, above=_SOLID)
        if sizes.size == 1:
            return
        if self._wanted is None or self._wanted.shape != alpha.shape or self._is_lost(labels, seconds):
            wanted, unwanted = self._choose(labels, sizes)
        else:
            wanted, unwanted = self._follow(self._wanted, labels, sizes)
        if wanted.any():
            self._seen_s = seconds
            self._wanted = wanted
        self._unwanted = unwanted
        if unwanted.any():
            alpha[_nearer(unwanted, wanted)] = 0

    def _is_lost(self, labels: NDArray[np.int32], seconds: float) -> bool:
        assert self._wanted is not None
        return not labels[self._wanted].any() and not 0 <= seconds - self._seen_s <= self._patience_s

    def _choose(self, labels: NDArray[np.int32], sizes: NDArray[np.float64]) -> tuple[Mask, Mask]:
        """The wanted and the unwanted pixels of a first frame."""
        labels, sizes = _split_neighbours(labels, sizes)
        verdict = np.zeros(sizes.size, bool)
        if self._clicks_hold:
            clicked = [label for point in self._keep or self._drop if (label := _label_at(labels, point))]
            verdict[clicked] = True
            if self._drop:
                verdict = ~verdict
            self._clicks_hold = False
        else:
            largest = 1 + int(np.argmax(sizes[1:]))
            verdict[1:] = [
                label == largest or _is_part(labels == label, labels == largest) for label in range(1, sizes.size)
            ]
        verdict[0] = False
        return verdict[labels], ~verdict[labels] & (labels > 0)

    def _follow(self, wanted_before: Mask, labels: NDArray[np.int32], sizes: NDArray[np.float64]) -> tuple[Mask, Mask]:
        """The wanted and the unwanted pixels of this frame, after those of the one before."""
        mine = np.bincount(labels[wanted_before], minlength=sizes.size)
        others = np.bincount(labels[self._unwanted], minlength=sizes.size)
        is_mine = mine > _LEAST_SHARED * min(int(np.count_nonzero(wanted_before)), int(sizes[1:].max()))
        is_mine |= (mine > 0) & (mine >= others)
        is_theirs = others > _LEAST_SHARED * np.count_nonzero(self._unwanted)
        is_theirs |= (others > 0) & ~is_mine
        for label in np.flatnonzero(~is_mine & ~is_theirs):
            if label:
                is_mine[label] = bool(self._drop) or _is_part(labels == label, wanted_before)
                is_theirs[label] = not is_mine[label]
        is_mine[0] = is_theirs[0] = False
        wanted, unwanted = is_mine[labels], is_theirs[labels]
        contested = wanted & unwanted
        if contested.any():
            theirs = contested & _nearer(self._unwanted, wanted_before)
            wanted &= ~theirs
            unwanted &= ~contested | theirs
        return wanted, unwanted


def _split_neighbours(
    labels: NDArray[np.int32], sizes: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Pieces that are thick parts side by side, joined by a thin one, become one piece for each part.

    A head over its shoulders isn't beside them, a hand isn't thick enough. Sizes are in pixels then.
    """
    depth = cv2.distanceTransform((labels > 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)
    found, count = labels.copy(), sizes.size
    for label in np.flatnonzero(sizes >= _LEAST_NEIGHBOUR * sizes[1:].sum()):
        if not label:
            continue
        piece = labels == label
        thick = piece & (depth > _CORE * depth[piece].max())
        for side in _sides(thick):
            part = piece & _nearer(side, thick & ~side)
            if np.count_nonzero(part) > _LEAST_NEIGHBOUR * np.count_nonzero(piece):
                found[part] = count
                count += 1
    return found, np.bincount(found.ravel(), minlength=count).astype(np.float64)


def _sides(thick: Mask) -> list[Mask]:
    """Of the connected parts of a mask: those left and those right of the largest one, if there are any."""
    count, parts = cv2.connectedComponents(thick.view(np.uint8))
    main = 1 + int(np.argmax(np.bincount(parts.ravel(), minlength=count)[1:]))
    columns = np.flatnonzero((parts == main).any(axis=0))
    first, last = int(columns[0]), int(columns[-1])
    left, right = np.zeros(thick.shape, bool), np.zeros(thick.shape, bool)
    for part in range(1, count):
        columns = np.flatnonzero((parts == part).any(axis=0))
        overlap = min(int(columns[-1]), last) - max(int(columns[0]), first) + 1
        if overlap < columns.size / 2:
            side = left if columns.mean() < (first + last) / 2 else right
            side |= parts == part
    return [side for side in (left, right) if side.any()]


def _label_at(labels: NDArray[np.int32], point: Point) -> int:
    height, width = labels.shape
    return int(labels[min(int(point[1] * height), height - 1), min(int(point[0] * width), width - 1)])


def _nearer(one: Mask, other: Mask) -> Mask:
    """Where the nearest pixel of `one` is nearer than that of `other`; all of the picture if there is no other."""
    if not other.any():
        return np.ones(one.shape, bool)
    to_one, to_other = (
        cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3) for mask in (one, other)
    )
    return np.asarray(to_one < to_other)


def _is_part(piece: Mask, subject: Mask) -> bool:
    """Whether a new piece is the subject's, who is out of the picture in between."""
    share = int(np.count_nonzero(piece)) / max(int(np.count_nonzero(subject)), 1)
    at_border = piece[0].any() or piece[-1].any() or piece[:, 0].any() or piece[:, -1].any()
    if share > (_SMALL if at_border else _TINY):
        return False
    x, y, width, height = cv2.boundingRect(subject.view(np.uint8))
    rows, columns = np.nonzero(piece)
    over_x, over_y = _REACH * width, _REACH * height
    return bool(x - over_x <= columns.mean() <= x + width + over_x and y - over_y <= rows.mean() <= y + height + over_y)
