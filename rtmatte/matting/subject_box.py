"""The net sees the subject near instead of the whole picture small.

whole picture ──► net ──► where the subject is ──► crop ──► net ──► alpha of the crop ──► its place in the whole alpha
twice a second                └──────────── every frame: does the crop still fit? ◄──────────────┘
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np

from rtmatte.frame import F32, Frame, picture_size_wh
from rtmatte.matting.crop import Box, Crop, Cutter, plan_crop
from rtmatte.matting.matter import Matter
from rtmatte.matting.surroundings import Surroundings

_LOOK_S = 0.5
"""The whole picture is looked at so often, for whoever has come in meanwhile."""
_COMES_IN, _IS_OTHER = 0.01, 0.2
"""Of the picture: when so much changes outside the crop, it is looked at earlier; when so much does, at once."""
_AGAIN_S = 0.2
"""After so long at the earliest, since cameras that move would have it looked at all the time."""
_SETTLES_S = 0.5
"""The subject must have been about where they are for so long, before and after anything unexpected."""
_ABOUT = 0.2
"""Of the picture's longer side: how far each side of the subject's box may move meanwhile."""
_THERE = 0.1
"""Alpha from which somebody is there."""
_SPECK = 0.004
"""Of the picture: pieces up to this size are nobody; `refine` throws them away, too, unless they were larger before."""
_LEAST_SUBJECT, _LEAST_KEPT = 0.025, 0.02
"""Of the picture: whoever is smaller isn't gone near to, or no longer; a hand alone isn't recognised near."""
_REACHES = 0.3
"""Alpha at a border of the crop inside the picture from which the subject reaches beyond it."""
_BORDER = 2
"""Rows and columns of it."""
_BLUR = 0.35
"""Sigma for each time that alpha is made smaller, so that nothing between the samples is lost."""


class SubjectBox:
    """A `Matter` that shows a net the part of the picture that holds everybody, where that makes them clearly larger.

    The crop moves rarely, so that alpha stays calm. Where it could be wrong the whole picture is looked at: twice a
    second, when something happens outside the crop, in the frame in which alpha reaches the crop's border or the
    subject is small or gone, and for half a second after that. Alpha has one shape throughout, that of the whole
    picture's. Owned by one thread; allocates when sizes change.
    """

    def __init__(
        self,
        whole: Matter,
        near: Callable[[tuple[int, int]], Matter],
        sides: Sequence[int],
        *,
        share: float = 1.0,
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        """`whole` mattes whole pictures and tells by its alpha's shape how large its net's picture is; `near` makes a
        matter whose net's picture has a given width and height, each of `sides`, with at most `share` of the pixels.
        """
        self.name = whole.name
        self.provider = whole.provider
        self.asks, self._near = whole, near
        self._sides, self._share, self._sample_aspect_ratio = tuple(sides), share, sample_aspect_ratio
        self._nets: dict[tuple[int, int], Matter] = {}
        self._cutter, self._surroundings = Cutter(), Surroundings()
        self._alpha: F32 = np.empty((0, 0), np.float32)
        self._size_wh = 0, 0
        self._leave()

    def estimate(self, frame: Frame) -> F32:
        """As `Matter.estimate`; on frames in which the whole picture is looked at, the net may run twice."""
        size_wh, seconds = picture_size_wh(frame.picture), float(frame.pts_seconds)
        if size_wh != self._size_wh:
            self._size_wh = size_wh
            self._leave()
        looked = self._look(frame, seconds) if self._must_look(frame, seconds) else None
        if self._crop is not None:
            alpha = self._near_alpha(frame, self._crop)
            placed = self._placed(alpha, self._crop)
            seen = self._where(placed)
            if seen is not None and not _reaches_beyond(alpha, self._crop, size_wh):
                self._follow(seen, may_go_nearer=False)
                return placed
            self._leave()
        return looked if looked is not None else self._look(frame, seconds)

    def reset(self) -> None:
        """Forgets where the subject was, and the past of the net."""
        self.asks.reset()
        self._leave()

    def _leave(self) -> None:
        """Back to whole pictures."""
        self._crop: Crop | None = None
        self._subject: Box | None = None
        self._settling: tuple[Box, float] | None = None
        self._looked_at = 0.0

    def _must_look(self, frame: Frame, seconds: float) -> bool:
        elapsed = seconds - self._looked_at
        if self._crop is None or not 0 <= elapsed < _LOOK_S:
            return True
        changed = self._surroundings.changed(frame.picture, self._crop)
        return changed > (_COMES_IN if elapsed >= _AGAIN_S else _IS_OTHER)

    def _look(self, frame: Frame, seconds: float) -> F32:
        """Alpha of the whole picture; chooses the crop by it."""
        alpha = self.asks.estimate(frame)
        self._looked_at = seconds
        self._surroundings.remember(frame.picture)
        if self._alpha.shape != alpha.shape:
            self._alpha = np.empty_like(alpha)
        seen = self._where(alpha)
        if seen is None:
            self._leave()
        elif self._crop is not None:
            # What the net sees near and not in the whole is the subject's as well.
            self._follow(_around(seen, self._subject) if self._subject is not None else seen, may_go_nearer=True)
        elif self._has_settled(seen, seconds):
            self._follow(seen, may_go_nearer=True)
        return alpha

    def _has_settled(self, seen: Box, seconds: float) -> bool:
        about = _ABOUT * max(self._size_wh)
        if self._settling is None or max(abs(a - b) for a, b in zip(seen, self._settling[0], strict=True)) > about:
            self._settling = seen, seconds
        # Time that goes backwards doesn't settle anything.
        return seconds - self._settling[1] >= _SETTLES_S

    def _follow(self, subject: Box, *, may_go_nearer: bool) -> None:
        """Keeps the crop if it fits, or makes another."""
        whole_wh = self._alpha.shape[1], self._alpha.shape[0]
        wanted = plan_crop(subject, self._size_wh, whole_wh, self._sides, self._share, self._sample_aspect_ratio)
        if wanted is None:
            self._leave()
            return
        self._subject = subject
        crop = self._crop
        if (
            crop is None
            or not crop.still_fits(subject, self._size_wh)
            or (may_go_nearer and crop.is_far_too_large(wanted))
        ):
            self._crop = wanted

    def _near_alpha(self, frame: Frame, crop: Crop) -> F32:
        net = self._nets.get(crop.net_wh)
        if net is None:
            net = self._nets[crop.net_wh] = self._near(crop.net_wh)
        return net.estimate(replace(frame, picture=self._cutter.cut(frame.picture, crop)))

    def _placed(self, alpha: F32, crop: Crop) -> F32:
        """The crop's alpha in its place in the whole alpha."""
        (height, width), placed = self._alpha.shape, self._alpha
        across, down = width / self._size_wh[0], height / self._size_wh[1]
        x, y = crop.left * across, crop.top * down
        per_x = alpha.shape[1] / ((crop.right - crop.left) * across)
        per_y = alpha.shape[0] / ((crop.bottom - crop.top) * down)
        if max(per_x, per_y) > 1:
            alpha = np.asarray(
                cv2.GaussianBlur(alpha, (0, 0), sigmaX=_BLUR * max(per_x, 1), sigmaY=_BLUR * max(per_y, 1)), np.float32
            )
        rows = slice(int(y), min(height, int(np.ceil(crop.bottom * down))))
        columns = slice(int(x), min(width, int(np.ceil(crop.right * across))))
        matrix = np.array(
            [
                [per_x, 0, (columns.start + 0.5 - x) * per_x - 0.5],
                [0, per_y, (rows.start + 0.5 - y) * per_y - 0.5],
            ]
        )
        size_wh = columns.stop - columns.start, rows.stop - rows.start
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        placed.fill(0)
        placed[rows, columns] = cv2.warpAffine(alpha, matrix, size_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.clip(placed, 0, 1, out=placed)

    def _where(self, alpha: F32) -> Box | None:
        """The box around everybody in a whole alpha, in pixels of the picture; None if they are too small or nobody."""
        least = _LEAST_SUBJECT if self._crop is None else _LEAST_KEPT
        if float(alpha.mean(dtype=np.float64)) < least:
            return None
        there = (alpha > _THERE).view(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(there, connectivity=8)
        pieces = stats[1:][stats[1:, cv2.CC_STAT_AREA] > _SPECK * alpha.size]
        if not len(pieces):
            return None
        across, down = self._size_wh[0] / alpha.shape[1], self._size_wh[1] / alpha.shape[0]
        left, top, width, height = (pieces[:, column] for column in range(4))
        return (
            float(left.min() * across),
            float(top.min() * down),
            float((left + width).max() * across),
            float((top + height).max() * down),
        )


def _around(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _reaches_beyond(alpha: F32, crop: Crop, size_wh: tuple[int, int]) -> bool:
    """Whether somebody touches a border of the crop that isn't one of the picture."""
    borders = (
        (crop.left > 0, alpha[:, :_BORDER]),
        (crop.right < size_wh[0], alpha[:, -_BORDER:]),
        (crop.top > 0, alpha[:_BORDER]),
        (crop.bottom < size_wh[1], alpha[-_BORDER:]),
    )
    return any(inside and float(border.max()) > _REACHES for inside, border in borders)
