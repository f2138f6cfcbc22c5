"""Whose picture it is: the subject stays, bystanders become background."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.clicks import Point
from rtmatte.errors import SettingsError
from rtmatte.frame import F32
from rtmatte.refine.border import Border, Carry, Mask, nearer
from rtmatte.refine.components import label_pieces
from rtmatte.refine.divide import covered, divide

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
_MISS = 0.02
"""Of the longer side: how far beside a piece a click still means it."""
_MOST_TOLD = 4
_LEAST_NEIGHBOUR = 0.1
"""Of the piece that both are part of."""


class Subject:
    """Follows the pieces that are wanted and sets the others to 0, at the model's resolution.

    Without clicks only the largest piece of the first frame is wanted: usually who sits nearest. `keep` wants the
    pieces at these points instead; `drop` alone wants all but those at its points, or, with `nearest`, the largest of
    the others. A piece that is clicked by both is shared out: each pixel goes with the nearer click. People side by
    side who touch are told apart before that by the narrow place between them. Pieces are followed by their overlap
    from frame to frame; where a wanted and an unwanted one merge, each pixel goes with what was nearer to it a frame
    ago. When nothing wanted has been seen for `patience_s`, the largest piece is the one from then on, but, after
    clicks, none that wasn't wanted. In a new shot clicks mean nothing: the largest piece stays, or with `drop` alone
    everyone. Owned by one thread.

    Raises: `SettingsError` for points outside the picture, or a negative patience.
    """

    def __init__(
        self,
        *,
        keep: Sequence[Point] = (),
        drop: Sequence[Point] = (),
        nearest: bool = False,
        patience_s: float = 1.0,
        kept: F32 | None = None,
        dropped: F32 | None = None,
    ) -> None:
        """`kept` and `dropped` are masks of what was clicked in the first frame, as `divide` has them."""
        for point in (*keep, *drop):
            if not (0 <= point[0] <= 1 and 0 <= point[1] <= 1):
                raise SettingsError(f"Expected points as shares of width and height in 0..1, got {point}.")
        if not patience_s >= 0:
            raise SettingsError(f"Expected a patience of 0 s or more, got {patience_s!r}.")
        self._keep, self._drop = tuple(keep), tuple(drop)
        self._others_welcome = bool(drop) and not keep and not nearest
        self._patience_s = patience_s
        self._kept, self._dropped = kept, dropped
        self._border = Border()
        self._clicks_hold, self._was_clicked = bool(keep or drop), False
        self._forget()

    def reset(self) -> None:
        """Forgets whom it follows: the next frame begins another shot, of which the clicks say nothing."""
        if self._wanted is not None:
            self._clicks_hold = self._was_clicked = False
        self._forget()

    def _forget(self) -> None:
        self._wanted: Mask | None = None
        self._unwanted = self._last_unwanted = np.empty((0, 0), bool)
        self._seen_s = self._unwanted_seen_s = 0.0
        self._border.forget()

    def select(self, alpha: F32, seconds: float, carry: Carry | None = None) -> None:
        """Sets what isn't wanted to 0 in (h, w) float32 alpha, in place; `seconds` is the frame's time.

        `carry` moves the line between two who touch along with the picture; without it, it stays where it was.

        Raises: `SettingsError` if there is nothing where the first frame was clicked; the hint says where something is.
        """
        labels, sizes = label_pieces(alpha, above=_SOLID)
        if self._clicks_hold:
            self._refuse_clicks_on_nothing(labels, sizes)
        if sizes.size == 1:
            self._border.forget()
            return
        if self._wanted is None or self._wanted.shape != alpha.shape or self._is_lost(labels, seconds):
            self._border.forget()
            wanted, unwanted = self._choose(labels, sizes)
        else:
            if not self._is_recent(self._unwanted_seen_s, seconds):
                self._last_unwanted = np.zeros(alpha.shape, bool)
            wanted, unwanted = self._follow(self._wanted, labels, sizes, carry)
        if wanted.any() or self._wanted is None or self._others_welcome:
            self._seen_s = seconds
            self._wanted = wanted
        self._unwanted = unwanted
        if unwanted.any() or self._last_unwanted.shape != alpha.shape:
            self._last_unwanted, self._unwanted_seen_s = unwanted, seconds
        if unwanted.any():
            _take_away(alpha, wanted, unwanted)

    def _is_lost(self, labels: NDArray[np.int32], seconds: float) -> bool:
        assert self._wanted is not None
        if self._others_welcome:
            return False
        return not labels[self._wanted].any() and not self._is_recent(self._seen_s, seconds)

    def _is_recent(self, then: float, seconds: float) -> bool:
        return 0 <= seconds - then <= self._patience_s

    def _refuse_clicks_on_nothing(self, labels: NDArray[np.int32], sizes: NDArray[np.float64]) -> None:
        for point in (*self._keep, *self._drop):
            if not _label_at(labels, point):
                raise SettingsError(
                    f"Expected somebody or something in front at {_percent(point)}, got background.",
                    hint=_whereabouts(labels, sizes),
                )

    def _choose(self, labels: NDArray[np.int32], sizes: NDArray[np.float64]) -> tuple[Mask, Mask]:
        """The wanted and the unwanted pixels of a first frame."""
        if self._clicks_hold and (self._kept is not None or self._dropped is not None):
            labels = divide(labels, self._kept, self._dropped)
        else:
            labels, sizes = _split_neighbours(labels, sizes)
        if self._clicks_hold:
            self._clicks_hold, self._was_clicked = False, True
            labels = _shared_out(labels, self._keep, self._drop)
            sizes = np.bincount(labels.ravel()).astype(np.float64)
            candidates = np.zeros(sizes.size, bool) if self._keep else np.ones(sizes.size, bool)
            candidates |= covered(labels, self._kept)
            candidates &= ~covered(labels, self._dropped)
            candidates[_labels_at(labels, self._keep)] = True
            candidates[_labels_at(labels, self._drop)] = False
            all_of_them = bool(self._keep) or self._others_welcome
        else:
            candidates, all_of_them = np.ones(sizes.size, bool), self._others_welcome
            if self._was_clicked and self._unwanted.shape == labels.shape:
                candidates = 2 * np.bincount(labels[self._unwanted], minlength=sizes.size) < sizes
        candidates[0] = False
        verdict = candidates if all_of_them else _largest(labels, sizes, candidates)
        return verdict[labels], ~verdict[labels] & (labels > 0)

    def _follow(
        self, wanted_before: Mask, labels: NDArray[np.int32], sizes: NDArray[np.float64], carry: Carry | None
    ) -> tuple[Mask, Mask]:
        """The wanted and the unwanted pixels of this frame, after those of the one before."""
        mine = np.bincount(labels[wanted_before], minlength=sizes.size)
        others = np.bincount(labels[self._unwanted], minlength=sizes.size)
        is_mine = mine > _LEAST_SHARED * min(int(np.count_nonzero(wanted_before)), int(sizes[1:].max()))
        is_mine |= (mine > 0) & (mine >= others)
        is_theirs = others > _LEAST_SHARED * np.count_nonzero(self._unwanted)
        is_theirs |= (others > 0) & ~is_mine
        back = np.bincount(labels[self._last_unwanted], minlength=sizes.size)
        for label in np.flatnonzero(~is_mine & ~is_theirs):
            if label:
                welcome = self._others_welcome and not back[label]
                is_mine[label] = welcome or _is_part(labels == label, wanted_before)
                is_theirs[label] = not is_mine[label]
        is_mine[0] = is_theirs[0] = False
        wanted, unwanted = is_mine[labels], is_theirs[labels]
        if (wanted & unwanted).any():
            return self._border.divide(wanted, unwanted, wanted_before, self._unwanted, carry)
        self._border.forget()
        return wanted, unwanted


def _take_away(alpha: F32, wanted: Mask, unwanted: Mask) -> None:
    """Sets what is nearer to the unwanted to 0, in place; softly, within a pixel, where the two touch."""
    goes = nearer(unwanted, wanted)
    weight = np.asarray(~goes, np.float32)
    grown = (cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8)) for mask in (wanted, unwanted))
    touch = np.logical_and(*grown) & (wanted | unwanted)
    if touch.any():
        weight[touch] = cv2.blur(weight, (3, 3))[touch]
    alpha *= weight


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
            part = piece & nearer(side, thick & ~side)
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


def _largest(labels: NDArray[np.int32], sizes: NDArray[np.float64], candidates: Mask) -> Mask:
    """Of the candidates, by label: the largest one and its parts."""
    verdict = np.zeros(sizes.size, bool)
    if not candidates.any():
        return verdict
    largest = int(np.argmax(np.where(candidates, sizes, -1)))
    for label in np.flatnonzero(candidates):
        verdict[label] = label == largest or _is_part(labels == label, labels == largest)
    return verdict


def _shared_out(labels: NDArray[np.int32], keep: Sequence[Point], drop: Sequence[Point]) -> NDArray[np.int32]:
    """Pieces that are clicked by both become two: what is nearer to a click to drop is one of its own."""
    both = set(_labels_at(labels, keep)) & set(_labels_at(labels, drop))
    if not both:
        return labels
    kept, dropped = (_marked(labels, clicks) for clicks in (keep, drop))
    shared, to_drop = labels.copy(), nearer(dropped, kept)
    for label in both:
        shared[(labels == label) & to_drop] = shared.max() + 1
    return shared


def _marked(labels: NDArray[np.int32], clicks: Sequence[Point]) -> Mask:
    marked = np.zeros(labels.shape, bool)
    for click in clicks:
        marked[_cell_at(labels, click)] = True
    return marked


def _labels_at(labels: NDArray[np.int32], clicks: Sequence[Point]) -> list[int]:
    return [_label_at(labels, click) for click in clicks]


def _label_at(labels: NDArray[np.int32], point: Point) -> int:
    """The label of the piece there or, within `_MISS`, next to it; else 0."""
    row, column = _cell_at(labels, point)
    reach = round(_MISS * max(labels.shape))
    top, left = max(row - reach, 0), max(column - reach, 0)
    near = labels[top : row + reach + 1, left : column + reach + 1]
    rows, columns = np.nonzero(near)
    if not rows.size:
        return 0
    closest = int(np.argmin(np.hypot(rows + top - row, columns + left - column)))
    return int(near[rows[closest], columns[closest]])


def _cell_at(labels: NDArray[np.int32], point: Point) -> tuple[int, int]:
    height, width = labels.shape
    return min(int(point[1] * height), height - 1), min(int(point[0] * width), width - 1)


def _whereabouts(labels: NDArray[np.int32], sizes: NDArray[np.float64]) -> str:
    """A sentence that says where there is something to click on: a point well within each of the largest pieces."""
    if sizes.size == 1:
        return "There is nobody and nothing in front on it."
    inside = np.pad((labels > 0).view(np.uint8), 1)  # the picture's border is an edge as well
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1]
    places = []
    for label in 1 + np.argsort(-sizes[1:])[:_MOST_TOLD]:
        row, column = np.unravel_index(int(np.argmax(np.where(labels == label, depth, -1))), labels.shape)
        point = (float(column) + 0.5) / labels.shape[1], (float(row) + 0.5) / labels.shape[0]
        share = np.count_nonzero(labels == label) / labels.size
        places.append(f"{_percent(point)} ({share:.1%} of the picture)")
    return f"There is something at {', '.join(places)}."


def _percent(point: Point) -> str:
    """As it can be given on the command line."""
    return f"{point[0] * 100:.0f}%,{point[1] * 100:.0f}%"


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
