"""A drawing as plain shapes, and the two forms in which it is kept: a PNG, and SVG to stand inside a page."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Literal, TypeAlias

Anchor: TypeAlias = Literal["start", "middle", "end"]
_PNG_SCALE = 2
_CHARACTER_EM = 0.62
"""A character's mean width over the size of its font: a page is shown in whatever font the reader's system has, and
this is DejaVu's, a wide one."""
_PIL_ANCHOR = {"start": "ls", "middle": "ms", "end": "rs"}


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Filled; lengths in pixels, y downwards."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True, slots=True)
class Line:
    """From one point to another, one pixel wide."""

    x1: float
    y1: float
    x2: float
    y2: float
    color: str


@dataclass(frozen=True, slots=True)
class Text:
    """One line; `y` is its baseline, `x` its left end, middle or right end."""

    x: float
    y: float
    text: str
    size: int = 13
    anchor: Anchor = "start"
    color: str = "#222222"


def text_width(text: str, size: int) -> float:
    """Pixels that a line takes at most."""
    return len(text) * size * _CHARACTER_EM


def wrapped(text: str, size: int, width: float) -> list[str]:
    """The text in lines of at most `width` pixels, broken between words, or within one that is longer than a line."""
    return textwrap.wrap(text, int(width / (size * _CHARACTER_EM)))


@dataclass(slots=True)
class Drawing:
    """Shapes on white, in the order in which they are drawn; colours are #rrggbb."""

    width: int
    height: int = 0
    shapes: list[Rectangle | Line | Text] = field(default_factory=list)

    def svg(self) -> str:
        """One self-contained <svg> element; it scales to the width of the page."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
            'font-family="system-ui, sans-serif">',
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>',
            *(_svg(shape) for shape in self.shapes),
            "</svg>",
        ]
        return "\n".join(parts)

    def write_png(self, path: Path) -> None:
        """Twice as large as its numbers say, for sharp print."""
        from PIL import Image, ImageDraw, ImageFont

        picture = Image.new("RGB", (self.width * _PNG_SCALE, self.height * _PNG_SCALE), "#ffffff")
        draw = ImageDraw.Draw(picture)
        for shape in self.shapes:
            match shape:
                case Rectangle(x, y, width, height, color):
                    corners = [x, y, x + width, y + height]
                    draw.rectangle([side * _PNG_SCALE for side in corners], fill=color)
                case Line(x1, y1, x2, y2, color):
                    draw.line([side * _PNG_SCALE for side in (x1, y1, x2, y2)], fill=color, width=_PNG_SCALE)
                case Text(x, y, text, size, anchor, color):
                    font = ImageFont.load_default(size * _PNG_SCALE)
                    place = (x * _PNG_SCALE, y * _PNG_SCALE)
                    draw.text(place, text, fill=color, font=font, anchor=_PIL_ANCHOR[anchor])
        picture.save(path, format="PNG")


def _svg(shape: Rectangle | Line | Text) -> str:
    match shape:
        case Rectangle(x, y, width, height, color):
            return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'
        case Line(x1, y1, x2, y2, color):
            return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'
        case Text(x, y, text, size, anchor, color):
            return (
                f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{color}">'
                f"{escape(text)}</text>"
            )
