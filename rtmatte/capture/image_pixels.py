"""Decoded pixels on their way to their upright place: strips of rows, BGR or BGRA, 8 or 16 bits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rtmatte.capture.image_color import ColorPlan
from rtmatte.frame import U8

U16: TypeAlias = NDArray[np.uint16]
Strip: TypeAlias = tuple[int, U8 | U16]
"""First row, and (h, W, 3) BGR or (h, W, 4) BGRA."""

_STRIP_PIXELS = 1 << 21


@dataclass(frozen=True, slots=True)
class OpenCvReading:
    """What OpenCV leaves to its caller: `transparent_rgb` is the one colour that a PNG declares transparent."""

    has_alpha: bool
    premultiplied: bool = False
    transparent_rgb: tuple[int, int, int] | None = None


def rows_at_a_time(width: int) -> int:
    """Rows of a strip: about two million pixels, at least one."""
    return max(1, _STRIP_PIXELS // width)


def pillow_strips(picture: Image.Image, plan: ColorPlan, *, has_alpha: bool) -> Iterator[Strip]:
    """The strips of a loaded Pillow picture: uint16 for its 16-bit grey modes, else uint8."""
    width, height = picture.size
    rows = rows_at_a_time(width)
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        if strip.mode.startswith("I"):
            yield top, _deep_grey(np.asarray(strip), plan, strip.info.get("transparency"))
            continue
        pixels = np.array(plan.to_rgb(strip, has_alpha=has_alpha))
        if plan.grey_curve is not None:
            curve = ((plan.grey_curve[::257].astype(np.uint32) + 128) // 257).astype(np.uint8)
            pixels[..., :3] = curve[pixels[..., :3]]
        yield top, _swapped(pixels)


def opencv_strips(path: Path, reading: OpenCvReading, plan: ColorPlan) -> Iterator[Strip]:
    """The strips of a 16-bit colour PNG or TIFF; the whole picture is decoded at the first one.

    Raises: ValueError when OpenCV can't decode it to (H, W, 3 or 4) uint16.
    """
    stored: NDArray[Any] | None = cv2.imdecode(np.memmap(path, np.uint8, "r"), cv2.IMREAD_UNCHANGED)
    channels = 4 if reading.has_alpha else 3
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[2] < channels:
        got = "nothing" if stored is None else f"{stored.dtype} {stored.shape}"
        raise ValueError(f"expected 16-bit colour pixels, got {got}")
    height, width = stored.shape[:2]
    rows = rows_at_a_time(width)
    for top in range(0, height, rows):
        strip: U16 = stored[top : top + rows, :, :channels]
        if reading.premultiplied:
            strip = _unpremultiplied(strip)
        if reading.transparent_rgb is not None:
            strip = _keyed(strip, reading.transparent_rgb[::-1])
        if plan.grey_curve is not None:
            strip = strip.copy()
            strip[..., :3] = plan.grey_curve[strip[..., :3]]
        yield top, strip


def upright(
    strips: Iterable[Strip], stored_wh: tuple[int, int], orientation: int, *, has_alpha: bool
) -> tuple[U8 | U16, U8 | U16 | None]:
    """Gathers strips of a picture of stored size into new arrays: upright (H, W, 3) BGR and, with alpha, (H, W) alpha.

    `orientation` is the EXIF value, 1 to 8; anything else counts as 1.
    """
    width, height = stored_wh
    shape = (width, height) if orientation in (5, 6, 7, 8) else (height, width)
    image: U8 | U16 | None = None
    alpha: U8 | U16 | None = None
    for top, strip in strips:
        if image is None:
            image = np.empty((*shape, 3), strip.dtype)
            alpha = np.empty(shape, strip.dtype) if has_alpha else None
        _as_stored(image, orientation)[top : top + len(strip)] = strip[..., :3]
        if alpha is not None:
            _as_stored(alpha, orientation)[top : top + len(strip)] = strip[..., 3]
    if image is None:
        raise ValueError(f"expected at least one pixel, got {width}x{height}")
    return image, alpha


def _as_stored(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A view of an upright array in which rows lie as they do in the file."""
    transposed = array.swapaxes(0, 1)
    views = {
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: transposed,
        6: transposed[::-1],
        7: transposed[::-1, ::-1],
        8: transposed[:, ::-1],
    }
    return views.get(orientation, array)


def _swapped(rgb: U8) -> U8:
    return rgb[..., [2, 1, 0, 3]] if rgb.shape[2] == 4 else rgb[..., ::-1]


def _deep_grey(values: NDArray[Any], plan: ColorPlan, transparent: int | None) -> U16:
    grey = values.astype(np.uint16)
    channels = [grey if plan.grey_curve is None else plan.grey_curve[grey]] * 3
    if transparent is not None:
        channels.append(np.where(grey == transparent, np.uint16(0), np.uint16(65535)))
    return np.stack(channels, axis=2)


def _keyed(strip: U16, transparent_bgr: tuple[int, ...]) -> U16:
    """BGR(A) as BGRA whose alpha is 0 where the colour is the transparent one."""
    alpha = np.where((strip[..., :3] == transparent_bgr).all(axis=2), np.uint16(0), np.uint16(65535))
    return np.dstack([strip[..., :3], alpha])


def _unpremultiplied(strip: U16) -> U16:
    alpha = strip[..., 3:].astype(np.float32)
    straight = np.minimum(strip[..., :3] * (65535 / np.maximum(alpha, 1)), 65535)
    return np.dstack([np.rint(straight).astype(np.uint16), strip[..., 3]])
