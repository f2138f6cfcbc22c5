"""Points that a user clicks on a picture: as they write them, and as shares of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from rtmatte.errors import SettingsError

Point: TypeAlias = tuple[float, float]
"""x and y as shares of the picture's width and height."""

_NUMBER = r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*"
_CLICK = re.compile(f"{_NUMBER},{_NUMBER}")


def points(clicks: Sequence[str], size_wh: tuple[int, int], *, option: str) -> tuple[Point, ...]:
    """Clicks on a picture of that size, as it is displayed, each as a point.

    A click is `320,240`, in pixels from the top left one, which is `0,0`; or `50%,40%`; or one of each.

    Raises: `SettingsError` for what isn't one and for what lies outside; the message begins with `option`.
    """
    found = []
    for click in clicks:
        x, y = (
            value / 100 if is_percent else (value + 0.5) / length
            for (value, is_percent), length in zip(_coordinates(click, option), size_wh, strict=True)
        )
        if x > 1 or y > 1:
            last = f"{size_wh[0] - 1},{size_wh[1] - 1}"
            raise SettingsError(f"{option}: expected a point of the picture, 0,0 to {last}, got {click}.")
        found.append((x, y))
    return tuple(found)


def check(clicks: Sequence[str], *, option: str) -> None:
    """As far as that can be told without a picture.

    Raises: `SettingsError` for what isn't a click.
    """
    for click in clicks:
        for value, is_percent in _coordinates(click, option):
            if is_percent and value > 100:
                raise SettingsError(f"{option}: expected 0% to 100%, got {click}.")


def _coordinates(click: str, option: str) -> tuple[tuple[float, bool], tuple[float, bool]]:
    match = _CLICK.fullmatch(click)
    if match is None:
        raise SettingsError(f"{option}: expected a point such as 320,240 or 50%,40%, got {click!r}.")
    x, x_unit, y, y_unit = match.groups()
    return (float(x), bool(x_unit)), (float(y), bool(y_unit))
