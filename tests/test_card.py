"""Cards: readable at every size, in the clip's own colours, centred, never mirrored."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtmatte.color import i420_into_bgr
from rtmatte.composite.card import draw_card, picture_card
from rtmatte.frame import I420, U8, ColorTags
from rtmatte.output.virtual_camera import VIRTUAL_CAMERA_COLOR
from tests.frames import BT709, BT2020_FULL

SIZES = [(160, 120), (320, 240), (640, 360), (1280, 720), (720, 1280), (3840, 2160)]
DETAIL = 'The camera "Logitech HD Pro Webcam C920" was unplugged; waiting for it to come back.'


def _bgr(card: I420) -> U8:
    width, height = card.size_wh
    target = np.empty((height, width, 3), np.uint8)
    i420_into_bgr(card, target, height)
    return target


def _ink(card_bgr: U8, least: int = 150) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], ...]:
    """Rows and columns of bright pixels: the letters, on any card's background."""
    return np.nonzero(card_bgr.min(axis=2) >= least)


@pytest.mark.parametrize("size_wh", SIZES)
def test_the_words_are_inside_centred_and_large_enough(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    card = draw_card("Be right back", DETAIL, size_wh, VIRTUAL_CAMERA_COLOR)
    assert card.size_wh == size_wh
    assert card.color == VIRTUAL_CAMERA_COLOR
    rows, columns = _ink(_bgr(card))
    assert columns.min() >= 0.03 * width
    assert columns.max() <= 0.97 * width
    assert abs((columns.min() + columns.max()) / 2 - width / 2) < 0.03 * width
    assert abs((rows.min() + rows.max()) / 2 - height / 2) < 0.08 * height
    # Letters that can be read: the title alone is at least 7 pixels tall, a twentieth of the smaller side.
    rows, _ = _ink(_bgr(draw_card("H", "", size_wh, VIRTUAL_CAMERA_COLOR)))
    assert rows.max() - rows.min() + 1 >= max(7, min(size_wh) / 20)


def test_it_is_not_mirrored() -> None:
    """An L has its upright on the left."""
    rows, columns = _ink(_bgr(draw_card("L", "", (320, 240), VIRTUAL_CAMERA_COLOR)))
    upper = columns[rows < rows.min() + 5]
    assert upper.max() < columns.mean()


@pytest.mark.parametrize("color", [VIRTUAL_CAMERA_COLOR, BT709, BT2020_FULL, ColorTags()])
def test_white_is_white_in_any_colours(color: ColorTags) -> None:
    card = draw_card("Paused", "", (320, 240), color)
    white = 255 if color.full_range else 235
    assert int(card.y.max()) in range(white - 4, white + 1)
    assert _bgr(card).max() >= 250


@pytest.mark.parametrize("size_wh", SIZES[:4])
def test_words_stay_readable_on_any_background(size_wh: tuple[int, int]) -> None:
    """White noise is the worst there is: darkened, nothing of it is nearly as bright as the letters."""
    noise = np.random.default_rng(1).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    with_words = _bgr(draw_card("Paused", "Press p.", size_wh, VIRTUAL_CAMERA_COLOR, noise))
    without = _bgr(draw_card("", "", size_wh, VIRTUAL_CAMERA_COLOR, noise))
    assert without.max() < 110
    assert with_words.max() > 240
    # The background is still to be seen around the words, and a card without one is calm.
    assert without.std() > 10
    assert _bgr(draw_card("", "", size_wh, VIRTUAL_CAMERA_COLOR)).std() < 16


def test_long_words_are_shrunk_wrapped_and_cut() -> None:
    for title, detail in (("A title that is much too long for so narrow a picture", ""), ("Paused", "word " * 200)):
        rows, columns = _ink(_bgr(draw_card(title, detail, (320, 240), VIRTUAL_CAMERA_COLOR)))
        assert columns.min() > 0
        assert columns.max() < 319
        assert 40 < rows.min() <= rows.max() < 200


def test_nothing_changes_between_two_cards_of_the_same_words() -> None:
    first, second = (draw_card("Paused", "Press p.", (320, 240), VIRTUAL_CAMERA_COLOR) for _ in range(2))
    assert np.array_equal(first.buffer, second.buffer)
    assert first.buffer is not second.buffer


def test_a_picture_of_ones_own_fills_the_frame() -> None:
    picture_bgr = np.zeros((100, 100, 3), np.uint8)
    picture_bgr[:, 50:] = (0, 0, 255)
    made = _bgr(picture_card(picture_bgr, (640, 360), VIRTUAL_CAMERA_COLOR))
    assert made[:, :310].max() < 12
    assert np.abs(made[:, 330:].astype(int) - (0, 0, 255)).max() < 6
    barred = _bgr(picture_card(np.full((100, 100, 3), 255, np.uint8), (640, 360), VIRTUAL_CAMERA_COLOR, "contain"))
    assert barred[:, :130].max() < 6
    assert barred[:, 160:480].min() > 249


def test_the_card_looks_as_it_did(pytestconfig: pytest.Config) -> None:
    """Its coarse structure: where the lines are and how the gradient runs; not the font's every pixel."""
    small = cv2.resize(_bgr(draw_card("Paused", "Press p.", (640, 360), VIRTUAL_CAMERA_COLOR)), (8, 9))
    luma = small.astype(float).mean(axis=2)
    assert luma[0].mean() - luma[-1].mean() > 20
    assert np.ptp(luma[0]) < 3
    assert luma[4].max() > luma[0].max() + 10
