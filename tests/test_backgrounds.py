"""Colours, images and clips as backgrounds: what they show, where, and when."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.color import yuv_of_rgb
from rtmatte.composite.fitting import Fit, fit_rects
from rtmatte.composite.still_background import ColorBackground, ImageBackground
from rtmatte.composite.video_background import VideoBackground
from rtmatte.errors import NoFramesError, SettingsError
from rtmatte.frame import I420, ColorTags, Frame, Picture
from tests.frames import BT601, BT709, BT2020_FULL, at, flat_picture, noise_picture, planes

SIZES = st.tuples(st.integers(1, 2000), st.integers(1, 2000))


def opaque(picture: Picture) -> np.ndarray:
    return np.full(planes(picture)[0].shape, 255, np.uint8)


class FakeClip:
    """Flat frames of luma 10, 20, 30, ... at the given times; as a decoder's, one buffer is used for all."""

    opened = 0
    rewound = 0
    closed = 0

    def __init__(self, times_ms: list[int], duration_ms: int | None = None) -> None:
        self.times_ms, self.duration_ms = times_ms, duration_ms
        FakeClip.opened += 1

    def __iter__(self) -> Iterator[Frame]:
        picture = flat_picture("i420", (8, 6), (0, 128, 128))
        for number, milliseconds in enumerate(self.times_ms):
            planes(picture)[0][...] = 10 * (number + 1)
            yield Frame(picture, milliseconds, Fraction(1, 1000), number, self.duration_ms)
            planes(picture)[0][...] = 255  # from now on the buffer belongs to the decoder

    def rewind(self) -> None:
        FakeClip.rewound += 1

    def close(self) -> None:
        FakeClip.closed += 1


@pytest.fixture(autouse=True)
def _fresh_counts() -> None:
    FakeClip.opened = FakeClip.rewound = FakeClip.closed = 0


def shown(background: VideoBackground, milliseconds: int) -> int:
    """Which frame of the clip, from 1, stands behind the frame of that time."""
    frame = at(noise_picture("i420", (16, 12)), milliseconds)
    luma = planes(background.picture_for(frame, opaque(frame.picture)))[0]
    assert luma.min() == luma.max()
    return int(luma[0, 0]) // 10


@pytest.mark.parametrize("color", [BT601, BT709, BT2020_FULL])
def test_a_colour_has_the_code_values_of_the_frame(color: ColorTags) -> None:
    frame = at(noise_picture("i420", (9, 5), color))
    got = ColorBackground((200, 30, 90)).picture_for(frame, opaque(frame.picture))
    for plane, value in zip(planes(got), yuv_of_rgb((200, 30, 90), color, 5), strict=True):
        assert (plane == value).all()
    bgr = ColorBackground((200, 30, 90)).picture_for(at(noise_picture("bgr", (9, 5))), np.zeros((5, 9), np.uint8))
    assert (np.asarray(bgr) == (90, 30, 200)).all()


@pytest.mark.parametrize("rgb", [(0, 0, 256), (-1, 0, 0), (0, 0)])
def test_an_impossible_colour_is_refused(rgb: tuple[int, int, int]) -> None:
    with pytest.raises(SettingsError, match="0..255"):
        ColorBackground(rgb)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="uint8"):
        ImageBackground(image)


def halves() -> np.ndarray:
    """Twice as wide as high: the left half red, the right half blue."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, :100, 2], image[:, 100:, 0] = 255, 255
    return image


@pytest.mark.parametrize(
    ("fit", "size_wh", "left", "right", "corner"),
    [
        ("stretch", (60, 90), (0, 0, 255), (255, 0, 0), (0, 0, 255)),
        ("cover", (60, 90), (0, 0, 255), (255, 0, 0), (0, 0, 255)),
        ("contain", (60, 90), (0, 0, 255), (255, 0, 0), (0, 0, 0)),
    ],
)
def test_how_an_image_fits(fit: Fit, size_wh: tuple[int, int], left: object, right: object, corner: object) -> None:
    frame = at(noise_picture("bgr", size_wh))
    got = np.asarray(ImageBackground(halves(), fit).picture_for(frame, opaque(frame.picture)))
    middle = size_wh[1] // 2
    assert tuple(got[middle, 5]) == left
    assert tuple(got[middle, -5]) == right
    assert tuple(got[0, 0]) == corner
    bars = (got == 0).all(axis=2).mean()
    assert bars == pytest.approx(1 - 60 * 30 / (60 * 90) if fit == "contain" else 0, abs=0.02)


def test_black_bars_are_black_in_the_frames_range() -> None:
    for color, black in ((BT709, 16), (BT2020_FULL, 0)):
        frame = at(noise_picture("i420", (60, 90), color))
        got = ImageBackground(halves(), "contain").picture_for(frame, opaque(frame.picture))
        assert [int(plane[0, 0]) for plane in planes(got)] == [black, 128, 128]


@pytest.mark.parametrize("clip_color", [BT601, BT2020_FULL])
def test_black_bars_around_a_clip_are_black_in_the_frames_range(clip_color: ColorTags) -> None:
    class White(FakeClip):
        def __iter__(self) -> Iterator[Frame]:
            yield at(flat_picture("i420", (80, 20), (255, 128, 128), clip_color))

    for kind, black in (("i420", [16, 128, 128]), ("bgr", [0, 0, 0])):
        frame = at(noise_picture(kind, (80, 60), BT709))
        got = VideoBackground(lambda: White([]), "contain").picture_for(frame, opaque(frame.picture))
        assert [int(plane[0, 0]) for plane in planes(got)] == black
        assert planes(got)[0][30, 40] > 230


@given(SIZES, SIZES, st.sampled_from(["cover", "contain", "stretch"]))
def test_rectangles_lie_inside_and_keep_the_aspect(source: tuple[int, int], target: tuple[int, int], fit: Fit) -> None:
    for (x, y, width, height), (whole_w, whole_h) in zip(fit_rects(source, target, fit), (source, target), strict=True):
        assert x % 2 == y % 2 == 0
        assert min(x, y) >= 0
        assert min(width, height) >= 1
        assert x + width <= whole_w
        assert y + height <= whole_h
        assert abs(2 * x + width - whole_w) <= 4
        assert abs(2 * y + height - whole_h) <= 4
    (_, _, from_w, from_h), (_, _, to_w, to_h) = fit_rects(source, target, fit)
    if fit != "stretch":  # equal scales, but for rounding to whole pixels
        assert abs(from_w * to_h - from_h * to_w) <= 0.5 * max(from_w, from_h, to_w, to_h) + max(
            to_w, to_h, from_w, from_h
        )


def test_an_image_is_made_once_for_each_form() -> None:
    background = ImageBackground(halves())
    frame = at(noise_picture("i420", (60, 90)))
    assert background.picture_for(frame, opaque(frame.picture)) is background.picture_for(frame, opaque(frame.picture))


def test_a_clip_runs_on_its_own_time_and_loops() -> None:
    background = VideoBackground(lambda: FakeClip([500, 540, 600], duration_ms=40))  # 140 ms from beginning to end
    times = [1000, 1039, 1040, 1099, 1100, 1139, 1140, 1180, 1240, 1279, 1280]
    assert [shown(background, milliseconds) for milliseconds in times] == [1, 1, 2, 2, 3, 3, 1, 2, 3, 3, 1]
    assert (FakeClip.opened, FakeClip.rewound) == (1, 2)
    background.close()
    background.close()
    assert FakeClip.closed == 1


def test_a_frame_far_ahead_skips_whole_loops() -> None:
    background = VideoBackground(lambda: FakeClip([0, 40, 80], duration_ms=40))
    assert [shown(background, milliseconds) for milliseconds in (0, 120 * 10**6 + 45)] == [1, 2]
    assert (FakeClip.opened, FakeClip.rewound) == (1, 1)


def test_a_faster_clip_skips_and_a_slower_one_repeats() -> None:
    background = VideoBackground(lambda: FakeClip(list(range(0, 200, 10)), duration_ms=10))
    assert [shown(background, milliseconds) for milliseconds in (0, 33, 67, 100)] == [1, 4, 7, 11]


def test_without_durations_the_last_frame_lasts_as_long_as_the_mean() -> None:
    background = VideoBackground(lambda: FakeClip([0, 40, 80]))
    assert [shown(background, milliseconds) for milliseconds in (0, 119, 120, 160)] == [1, 3, 1, 2]


@pytest.mark.parametrize("duration_ms", [None, 40])
def test_a_clip_of_one_frame_stands_still(duration_ms: int | None) -> None:
    background = VideoBackground(lambda: FakeClip([70], duration_ms))
    assert [shown(background, milliseconds) for milliseconds in (0, 39, 41, 10**6)] == [1, 1, 1, 1]
    assert FakeClip.opened == 1


def test_frames_that_share_one_time_stamp_end() -> None:
    background = VideoBackground(lambda: FakeClip([0, 0, 0]))
    assert [shown(background, milliseconds) for milliseconds in (0, 10, 10**6)] == [3, 3, 3]


def test_a_clip_without_frames_is_an_error() -> None:
    background = VideoBackground(lambda: FakeClip([]), name="empty.mp4")
    with pytest.raises(NoFramesError, match=r"empty\.mp4"):
        shown(background, 0)
    background.close()
    assert FakeClip.closed == FakeClip.opened == 1


def test_a_clip_that_breaks_says_so_as_it_was() -> None:
    class Broken(FakeClip):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            raise OSError("the disk went away")

    background = VideoBackground(lambda: Broken([0, 40]))
    assert shown(background, 0) == 1
    with pytest.raises(OSError, match="disk"):
        shown(background, 40)
    background.close()
    assert FakeClip.closed == 1


def test_a_clip_keeps_its_colours_in_a_frame_of_another_matrix_and_kind() -> None:
    rgb = (40, 170, 220)

    class OneColor(FakeClip):
        def __iter__(self) -> Iterator[Frame]:
            yield at(flat_picture("i420", (8, 6), yuv_of_rgb(rgb, BT601, 6), BT601))

    for color in (BT709, BT2020_FULL):
        frame = at(noise_picture("i420", (31, 17), color))
        got = VideoBackground(lambda: OneColor([])).picture_for(frame, opaque(frame.picture))
        assert isinstance(got, I420)
        for plane, value in zip(planes(got), yuv_of_rgb(rgb, color, 17), strict=True):
            assert np.abs(plane.astype(int) - value).max() <= 2
    frame = at(noise_picture("bgr", (31, 17)))
    got = VideoBackground(lambda: OneColor([])).picture_for(frame, opaque(frame.picture))
    assert np.abs(np.asarray(got).astype(int) - rgb[::-1]).max() <= 2
