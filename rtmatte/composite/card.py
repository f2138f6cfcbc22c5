"""What is shown when there is no composite to show: a card with a few words, or a picture of the user's own."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rtmatte.color import bgr_into_i420
from rtmatte.composite.fitting import Fit, fit_into
from rtmatte.frame import I420, U8, ColorTags

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

_TITLE_PART, _DETAIL_PART = 1 / 8, 1 / 17
"""Heights of the letters, as a part of the frame's height."""
_SMALLEST_PIXELS = 9
"""Smaller letters of this font can't be read."""
_WIDEST_PART = 0.88
_LINE_PART = 1.3
_MOST_DETAIL_LINES = 3
_DARKENED_TO = 0.3
_TITLE_RGB, _DETAIL_RGB = (255, 255, 255), (214, 220, 228)
_TOP_RGB, _BOTTOM_RGB = (52, 64, 80), (22, 27, 36)


class _Line(NamedTuple):
    text: str
    font: FreeTypeFont | ImageFont
    rgb: tuple[int, int, int]
    height: float


def draw_card(
    title: str, detail: str, size_wh: tuple[int, int], color: ColorTags, behind_bgr: U8 | None = None
) -> I420:
    """A new picture with `title` large and `detail` small below it, centred, in the code values of `color`.

    Behind them `behind_bgr`, (H, W, 3) uint8 of any size, filling the frame and darkened; without it a calm gradient.
    `detail` may be empty; it is wrapped and, if it doesn't fit in three lines, cut with an ellipsis. Readable from
    160x120 up. Allocates and takes longer than a frame lasts, so draw it before it is needed.
    """
    from PIL import Image, ImageDraw

    canvas_bgr = _gradient_bgr(size_wh) if behind_bgr is None else _darkened_bgr(behind_bgr, size_wh)
    image = Image.fromarray(np.ascontiguousarray(canvas_bgr[:, :, ::-1]))
    draw = ImageDraw.Draw(image)
    lines = _lines(draw, title, detail, size_wh)
    x, y = size_wh[0] / 2, (size_wh[1] - sum(line.height for line in lines)) / 2
    for line in lines:
        draw.text((x, y + line.height / 2), line.text, fill=line.rgb, font=line.font, anchor="mm")
        y += line.height
    return _as_i420(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]), size_wh, color)


def picture_card(picture_bgr: U8, size_wh: tuple[int, int], color: ColorTags, fit: Fit = "cover") -> I420:
    """The user's own picture, (H, W, 3) uint8 of any size, as a new picture in the code values of `color`."""
    return _as_i420(_fitted_bgr(picture_bgr, size_wh, fit), size_wh, color)


def _lines(draw: ImageDraw, title: str, detail: str, size_wh: tuple[int, int]) -> list[_Line]:
    width, height = size_wh
    widest = width * _WIDEST_PART
    title_pixels = max(_SMALLEST_PIXELS, height * _TITLE_PART)
    title_width = draw.textlength(title, font=_font(title_pixels))
    if title_width > widest:
        title_pixels = max(_SMALLEST_PIXELS, title_pixels * widest / title_width)
    detail_pixels = min(title_pixels, max(_SMALLEST_PIXELS, height * _DETAIL_PART))
    detail_font = _font(detail_pixels)
    lines = [_Line(title, _font(title_pixels), _TITLE_RGB, title_pixels * _LINE_PART * 1.1)]
    lines += [
        _Line(text, detail_font, _DETAIL_RGB, detail_pixels * _LINE_PART)
        for text in _wrapped(draw, detail, detail_font, widest)
    ]
    return lines


def _wrapped(draw: ImageDraw, text: str, font: FreeTypeFont | ImageFont, widest: float) -> list[str]:
    """`text` in up to three lines that are no wider than `widest` pixels."""
    if not text:
        return []
    columns = max(4, int(len(text) * widest / max(1.0, draw.textlength(text, font=font))))
    while True:
        lines = textwrap.wrap(text, columns, max_lines=_MOST_DETAIL_LINES, placeholder=" …")
        if columns <= 4 or all(draw.textlength(line, font=font) <= widest for line in lines):
            return lines
        columns -= 1


def _font(pixels: float) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(pixels)


def _gradient_bgr(size_wh: tuple[int, int]) -> U8:
    width, height = size_wh
    top, bottom = np.array(_TOP_RGB[::-1], np.float32), np.array(_BOTTOM_RGB[::-1], np.float32)
    part = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    # Half a code value of noise hides the steps, which would show as bands.
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (height, width, 1)).astype(np.float32)
    canvas: U8 = np.clip(np.rint(top + (bottom - top) * part + noise), 0, 255).astype(np.uint8)
    return canvas


def _darkened_bgr(behind_bgr: U8, size_wh: tuple[int, int]) -> U8:
    fitted = _fitted_bgr(behind_bgr, size_wh, "cover")
    dark: U8 = np.rint(fitted * np.float32(_DARKENED_TO)).astype(np.uint8)
    return dark


def _fitted_bgr(picture_bgr: U8, size_wh: tuple[int, int], fit: Fit) -> U8:
    canvas = np.empty((size_wh[1], size_wh[0], 3), np.uint8)
    fit_into(picture_bgr, canvas, fit)
    return canvas


def _as_i420(canvas_bgr: U8, size_wh: tuple[int, int], color: ColorTags) -> I420:
    picture = I420.allocate(size_wh, color)
    bgr_into_i420(canvas_bgr, picture)
    return picture
