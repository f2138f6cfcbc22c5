"""A picture of any size and colours made to fit the frame."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar

import cv2
import numpy as np

from rtmatte.color import bgr_into_i420, black_level, i420_into_bgr, recolor
from rtmatte.frame import I420, U8, Picture, picture_size_wh

Fit: TypeAlias = Literal["cover", "contain", "stretch"]
"""`cover` fills the frame and crops, `contain` shows all between black bars, `stretch` ignores the aspect ratio."""

_Rect: TypeAlias = tuple[int, int, int, int]
_PictureT = TypeVar("_PictureT", I420, U8)


class Fitter:
    """Resizes and recolours pictures to the kind, size and colours of a frame.

    Its buffers are allocated on the first call and whenever kind, size or colours change.
    """

    def __init__(self, fit: Fit) -> None:
        self._fit = fit
        self._result: Picture | None = None
        self._scratch: Picture | None = None

    def make(self, source: Picture, like: Picture) -> Picture:
        """`source` in the kind, size and colours of `like`; belongs to the fitter, overwritten by the next call."""
        size_wh = picture_size_wh(like)
        source_height = picture_size_wh(source)[1]
        if isinstance(like, I420):
            result = self._result = _i420_like(self._result, like)
            if isinstance(source, I420):
                fit_into(source, I420.over(result.buffer, size_wh, source.color), self._fit)
                recolor(result, source.color, source_height)
            else:
                scratch_bgr = self._scratch = _bgr_of(self._scratch, size_wh)
                fit_into(source, scratch_bgr, self._fit)
                bgr_into_i420(scratch_bgr, result)
            return result
        result_bgr = self._result = _bgr_of(self._result, size_wh)
        if isinstance(source, I420):
            if not isinstance(self._scratch, I420) or self._scratch.size_wh != size_wh:
                self._scratch = I420.allocate(size_wh, source.color)
            scratch = I420.over(self._scratch.buffer, size_wh, source.color)
            fit_into(source, scratch, self._fit)
            i420_into_bgr(scratch, result_bgr, source_height)
        else:
            fit_into(source, result_bgr, self._fit)
        return result_bgr


def fit_into(source: _PictureT, target: _PictureT, fit: Fit) -> None:
    """Resizes into `target`, which is of the same kind and colours; bars of `contain` are black. Allocates nothing."""
    source_rect, target_rect = fit_rects(picture_size_wh(source), picture_size_wh(target), fit)
    if isinstance(source, I420) and isinstance(target, I420):
        if target_rect != (0, 0, *target.size_wh):
            target.y.fill(black_level(target.color))
            target.u.fill(128)
            target.v.fill(128)
        _resize(_crop(source.y, source_rect), _crop(target.y, target_rect))
        for source_plane, target_plane in ((source.u, target.u), (source.v, target.v)):
            _resize(_crop(source_plane, _halved(source_rect)), _crop(target_plane, _halved(target_rect)))
    elif isinstance(source, np.ndarray) and isinstance(target, np.ndarray):
        if target_rect != (0, 0, target.shape[1], target.shape[0]):
            target.fill(0)
        _resize(_crop(source, source_rect), _crop(target, target_rect))


def fit_rects(source_wh: tuple[int, int], target_wh: tuple[int, int], fit: Fit) -> tuple[_Rect, _Rect]:
    """Which part of the source goes where in the target, each (x, y, width, height), centred; x and y are even."""
    (source_w, source_h), (target_w, target_h) = source_wh, target_wh
    if fit == "cover":
        scale = max(target_w / source_w, target_h / source_h)
        return _centred(source_wh, target_w / scale, target_h / scale), (0, 0, target_w, target_h)
    if fit == "contain":
        scale = min(target_w / source_w, target_h / source_h)
        return (0, 0, source_w, source_h), _centred(target_wh, source_w * scale, source_h * scale)
    return (0, 0, source_w, source_h), (0, 0, target_w, target_h)


def _centred(size_wh: tuple[int, int], part_w: float, part_h: float) -> _Rect:
    width, height = (min(whole, max(1, round(part))) for whole, part in zip(size_wh, (part_w, part_h), strict=True))
    # Even corners, so that luma and chroma are cut in the same place.
    return (size_wh[0] - width) // 4 * 2, (size_wh[1] - height) // 4 * 2, width, height


def _halved(rect: _Rect) -> _Rect:
    x, y, width, height = rect
    return x // 2, y // 2, (width + 1) // 2, (height + 1) // 2


def _crop(plane: U8, rect: _Rect) -> U8:
    x, y, width, height = rect
    return plane[y : y + height, x : x + width]


def _resize(source: U8, target: U8) -> None:
    height, width = target.shape[:2]
    shrinks = source.shape[0] >= height and source.shape[1] >= width
    # Averaging when shrinking: sampling would alias, and shimmer in a moving background.
    cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _i420_like(buffer: Picture | None, like: I420) -> I420:
    if isinstance(buffer, I420) and buffer.size_wh == like.size_wh:
        return buffer if buffer.color == like.color else I420.over(buffer.buffer, like.size_wh, like.color)
    return I420.allocate(like.size_wh, like.color)


def _bgr_of(buffer: Picture | None, size_wh: tuple[int, int]) -> U8:
    if isinstance(buffer, np.ndarray) and (buffer.shape[1], buffer.shape[0]) == size_wh:
        return buffer
    return np.empty((size_wh[1], size_wh[0], 3), np.uint8)
