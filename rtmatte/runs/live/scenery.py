"""What stands behind the person, and the card that goes with it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtmatte.capture.camera import CLOCK
from rtmatte.capture.image import read_image
from rtmatte.color import i420_into_bgr
from rtmatte.composite.background import Background
from rtmatte.composite.blur import BlurBackground
from rtmatte.composite.card import draw_card, picture_card
from rtmatte.frame import I420, U8, ColorTags, Frame
from rtmatte.runs.backgrounds import open_background
from rtmatte.settings import Fit

_BLUR_STEP = 0.1


class Scenery:
    """The backgrounds to choose from, and cards in the manner of the one that is chosen.

    Cards show the background without anybody; where that is the room itself, blurred, they show a plain surface
    instead. Owned by one thread after construction.

    Raises: `SettingsError` and `InputError` for backgrounds or a safe picture that can't be had.
    """

    def __init__(
        self, texts: Sequence[str], fit: Fit, size_wh: tuple[int, int], color: ColorTags, safe_picture: Path | None
    ) -> None:
        self._texts = tuple(texts)
        self._fit = fit
        self._size_wh = size_wh
        self._color = color
        self._own_card = None if safe_picture is None else _card_of_file(safe_picture, size_wh, color, fit)
        self._chosen = 0
        self._cards: dict[str, I420] = {}
        self.background = self._opened(self._texts[0])

    def next(self) -> None:
        """The next of the backgrounds, after the last the first."""
        self.close()
        self._chosen = (self._chosen + 1) % len(self._texts)
        self._cards.clear()
        self.background = self._opened(self._texts[self._chosen])

    def more_blur(self, steps: int) -> None:
        """Changes the blur by steps of 0.1; nothing where something else stands behind."""
        if isinstance(self.background, BlurBackground):
            strength = float(np.clip(self.background.strength + steps * _BLUR_STEP, _BLUR_STEP, 1))
            self.background = BlurBackground(round(strength, 2))

    def card(self, title: str) -> I420:
        """The user's own safe picture, or a card with that title. Kept and never written to."""
        if self._own_card is not None:
            return self._own_card
        if title not in self._cards:
            self._cards[title] = draw_card(title, "", self._size_wh, self._color, self._behind_bgr())
        return self._cards[title]

    def close(self) -> None:
        """Frees files; may be called twice."""
        self.background.close()

    def _opened(self, text: str) -> Background:
        background = open_background(text, self._fit)
        assert background is not None  # LiveSettings knows no transparency
        return background

    def _behind_bgr(self) -> U8 | None:
        if isinstance(self.background, BlurBackground):
            return None
        blank = I420.allocate(self._size_wh, self._color)
        nobody = np.zeros(self._size_wh[::-1], np.uint8)
        behind = self.background.picture_for(Frame(blank, time.monotonic_ns(), CLOCK, 0), nobody)
        assert isinstance(behind, I420)
        behind_bgr = np.empty((*self._size_wh[::-1], 3), np.uint8)
        i420_into_bgr(behind, behind_bgr, self._size_wh[1])
        return behind_bgr


def _card_of_file(path: Path, size_wh: tuple[int, int], color: ColorTags, fit: Fit) -> I420:
    return picture_card(read_image(path).reduced_bgr(), size_wh, color, fit)
