"""What every background owes every frame, whatever its kind, size and colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rtmatte.composite.background import Background
from rtmatte.composite.blur import BlurBackground
from rtmatte.composite.fitting import Fit
from rtmatte.composite.still_background import ColorBackground, ImageBackground
from rtmatte.composite.video_background import VideoBackground
from rtmatte.frame import I420, ColorTags, Frame, Picture, picture_size_wh
from tests.frames import BT601, BT709, BT2020_FULL, UNTAGGED, at, copy_of, noise_picture, planes


class Clip:
    """Three frames of 40 ms; as a decoder's, their pictures are overwritten when the next one is asked for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __iter__(self) -> Iterator[Frame]:
        picture = noise_picture(self.kind, (50, 30), BT601)
        for number in range(3):
            for plane, fresh in zip(
                planes(picture), planes(noise_picture(self.kind, (50, 30), seed=number)), strict=True
            ):
                plane[...] = fresh
            yield Frame(picture, 40 * number, at(picture).time_base, number, 40)

    def rewind(self) -> None:
        pass

    def close(self) -> None:
        pass


def image(fit: Fit) -> Background:
    picture = noise_picture("bgr", (33, 50))
    assert isinstance(picture, np.ndarray)
    return ImageBackground(picture, fit)


BACKGROUNDS: dict[str, Callable[[], Background]] = {
    "colour": lambda: ColorBackground((10, 200, 90)),
    "image, cover": lambda: image("cover"),
    "image, contain": lambda: image("contain"),
    "image, stretch": lambda: image("stretch"),
    "I420 clip": lambda: VideoBackground(lambda: Clip("i420")),
    "BGR clip": lambda: VideoBackground(lambda: Clip("bgr"), "contain"),
    "blur": lambda: BlurBackground(0.5),
    "faint blur": lambda: BlurBackground(0.01),
}
SIZES = [(64, 36), (37, 21), (1, 1), (3, 200)]
FORMS = [("bgr", UNTAGGED), ("i420", UNTAGGED), ("i420", BT709), ("i420", BT2020_FULL)]

every_background = pytest.mark.parametrize("make", BACKGROUNDS.values(), ids=BACKGROUNDS.keys())


def alpha_for(size_wh: tuple[int, int]) -> np.ndarray:
    alpha = np.zeros(size_wh[::-1], np.uint8)
    alpha[size_wh[1] // 3 :, size_wh[0] // 3 : 2 * size_wh[0] // 3] = 255
    return alpha


def assert_same(got: Picture, wanted: Picture) -> None:
    for got_plane, wanted_plane in zip(planes(got), planes(wanted), strict=True):
        assert np.array_equal(got_plane, wanted_plane)


@every_background
@pytest.mark.parametrize(("kind", "color"), FORMS)
@pytest.mark.parametrize("size_wh", SIZES)
def test_form_content_and_frame(
    make: Callable[[], Background], kind: str, color: ColorTags, size_wh: tuple[int, int]
) -> None:
    background, other = make(), make()
    assert isinstance(background, Background)
    frame, alpha = at(noise_picture(kind, size_wh, color)), alpha_for(size_wh)
    before, alpha_before = copy_of(frame.picture), alpha.copy()
    picture = background.picture_for(frame, alpha)
    assert isinstance(picture, I420) == (kind == "i420")
    assert picture_size_wh(picture) == size_wh
    if isinstance(picture, I420):
        assert picture.color == color
    else:
        assert picture.flags.c_contiguous
        assert picture.dtype == np.uint8
    assert not np.shares_memory(planes(picture)[0], planes(frame.picture)[0])
    assert_same(frame.picture, before)
    assert np.array_equal(alpha, alpha_before)
    first = copy_of(picture)
    assert_same(background.picture_for(frame, alpha), first)  # the same frame again: the same background
    assert_same(other.picture_for(frame, alpha), first)
    background.close()
    background.close()


@every_background
def test_size_kind_and_colours_may_change(make: Callable[[], Background]) -> None:
    background = make()
    forms = [("i420", UNTAGGED, (64, 36)), ("i420", BT2020_FULL, (64, 36)), ("bgr", UNTAGGED, (64, 36))]
    forms += [("bgr", UNTAGGED, (31, 47)), ("i420", BT709, (31, 47)), ("i420", UNTAGGED, (64, 36))]
    for kind, color, size_wh in forms:
        frame, alpha = at(noise_picture(kind, size_wh, color)), alpha_for(size_wh)
        got, fresh = background.picture_for(frame, alpha), make().picture_for(frame, alpha)
        assert_same(got, fresh)
        if isinstance(got, I420):
            assert got.color == color


@every_background
def test_the_same_time_gives_the_same_picture_whatever_came_between(make: Callable[[], Background]) -> None:
    background = make()
    picture, alpha = noise_picture("i420", (64, 36)), alpha_for((64, 36))
    times = [0, 50, 130, 250, 90, 50, 1_000_010, 90, 0]
    seen: dict[int, Picture] = {}
    for milliseconds in times:
        got = background.picture_for(at(picture, milliseconds), alpha)
        if milliseconds in seen:
            assert_same(got, seen[milliseconds])
        seen[milliseconds] = copy_of(got)
