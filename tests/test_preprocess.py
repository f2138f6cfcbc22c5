"""Frames into the model's picture, against a float64 reference that goes the other way: RGB first, then shrink."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtmatte.errors import SettingsError
from rtmatte.frame import I420, U8, ColorTags, Frame, Picture
from rtmatte.matting.preprocess import Fit, Preprocessor, fit

CODES = {"bt601": 6, "bt709": 1, "bt2020": 9}
# Kr and Kb as the standards print them: BT.601, BT.709, BT.2020.
WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}

every_matrix = pytest.mark.parametrize("matrix", list(CODES))
both_ranges = pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])


def reference_yuv(rgb: NDArray[np.float64], matrix: str, full_range: bool) -> NDArray[np.float64]:
    """RGB in 0..255 to unrounded code values, by the definition: Y = KrR + KgG + KbB, Cb = (B − Y) / (2 − 2Kb), ..."""
    kr, kb = WEIGHTS[matrix]
    r, g, b = np.moveaxis(rgb / 255, -1, 0)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    if full_range:
        return np.stack([255 * y, 255 * cb + 128, 255 * cr + 128], -1)
    return np.stack([219 * y + 16, 224 * cb + 128, 224 * cr + 128], -1)


def reference_rgb(yuv: NDArray[np.float64], matrix: str, full_range: bool) -> NDArray[np.float64]:
    """The inverse, found numerically: the map is affine, so four points give it."""
    corners = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.float64)
    mapped = reference_yuv(corners, matrix, full_range)
    linear = (mapped[1:] - mapped[0]) / 255
    return (yuv - mapped[0]) @ np.linalg.inv(linear)


def i420_of(y: U8, u: U8, v: U8, color: ColorTags) -> I420:
    picture = I420.allocate((y.shape[1], y.shape[0]), color)
    for plane, values in zip(picture.planes, (y, u, v), strict=True):
        plane[:] = values
    return picture


def prepare(picture: Picture, **arguments: object) -> tuple[U8, Fit]:
    preprocessor = Preprocessor(**arguments)  # type: ignore[arg-type]
    where = preprocessor.fit(Frame(picture, 0, Fraction(1, 25), 0))
    target = np.full((*where.padded_hw, 3), 77, np.uint8)
    preprocessor.write(picture, where.content_hw, target)
    return target, where


@every_matrix
@both_ranges
def test_colours_agree_with_the_float64_reference(matrix: str, full_range: bool) -> None:
    """At the model's own size nothing is shrunk, so each pixel is one conversion; chroma is constant in 2x2 blocks."""
    rng = np.random.default_rng(0)
    color = ColorTags(matrix_code=CODES[matrix], full_range=full_range)
    y = rng.integers(0, 256, (320, 320), dtype=np.uint8)
    for u, v in [(128, 128), (16, 240), (240, 16), (90, 170), (0, 255)]:
        chroma = np.ones((160, 160), np.uint8)
        rgb, where = prepare(i420_of(y, chroma * u, chroma * v, color))
        assert where.content_hw == (320, 320)
        yuv = np.stack([y, np.full_like(y, u), np.full_like(y, v)], -1).astype(np.float64)
        expected = np.clip(reference_rgb(yuv, matrix, full_range), 0, 255)
        assert np.abs(rgb - expected).max() <= 1


@pytest.mark.parametrize(("height", "matrix"), [(480, "bt601"), (720, "bt709")])
def test_untagged_colours_follow_the_height(height: int, matrix: str) -> None:
    red = reference_yuv(np.array([200.0, 30.0, 60.0]), matrix, False).round().astype(np.uint8)
    picture = I420.allocate((height, height), ColorTags())
    for plane, value in zip(picture.planes, red, strict=True):
        plane[:] = value
    rgb, _ = prepare(picture)
    assert np.abs(rgb.astype(int) - [200, 30, 60]).max() <= 2


@both_ranges
def test_shrinking_planes_first_is_like_shrinking_rgb(full_range: bool) -> None:
    """A smooth picture at 960x640 must come out, at 320x213, as the average of its RGB pixels does."""
    yy, xx = np.mgrid[0:640, 0:960] / 960
    rgb = np.stack([80 + 90 * xx, 160 - 80 * yy, 100 + 60 * np.sin(5 * (xx + yy))], -1)
    yuv = reference_yuv(rgb, "bt709", full_range).round().astype(np.uint8)
    half = yuv.reshape(320, 2, 480, 2, 3).mean((1, 3)).round().astype(np.uint8)
    picture = i420_of(yuv[..., 0], half[..., 1], half[..., 2], ColorTags(matrix_code=1, full_range=full_range))
    got, where = prepare(picture)
    assert where == Fit((213, 320), (224, 320))
    edges = np.linspace(0, 640, 214)
    expected = np.stack([rgb[int(a) : int(np.ceil(b))].mean(0) for a, b in itertools.pairwise(edges)])
    expected = expected.reshape(213, 320, 3, 3).mean(2)
    assert np.abs(got[:213] - expected).max() <= 3


def test_bgr_becomes_rgb() -> None:
    bgr = np.zeros((640, 640, 3), np.uint8)
    bgr[:, :320], bgr[:, 320:] = (10, 20, 30), (200, 150, 100)
    rgb, _ = prepare(bgr)
    assert (rgb[:, :159] == [30, 20, 10]).all()
    assert (rgb[:, 161:] == [100, 150, 200]).all()


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize(
    "size_wh", [(1, 1), (2, 2), (3, 5), (1, 700), (700, 1), (5000, 2), (321, 319), (1281, 721), (640, 360), (40, 4001)]
)
def test_every_size_fills_the_whole_target(kind: str, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    if kind == "bgr":
        picture: Picture = np.full((height, width, 3), (60, 120, 180), np.uint8)
    else:
        picture = I420.allocate(size_wh, ColorTags(matrix_code=6, full_range=True))
        for plane, value in zip(
            picture.planes, reference_yuv(np.array([180.0, 120.0, 60.0]), "bt601", True), strict=True
        ):
            plane[:] = round(value)
    rgb, _ = prepare(picture)
    assert np.abs(rgb.astype(int) - [180, 120, 60]).max() <= 2


def test_beyond_the_picture_its_edge_goes_on() -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (180, 300, 3), dtype=np.uint8)
    rgb, where = prepare(bgr)
    assert where == Fit((192, 320), (192, 320))
    rgb, where = prepare(bgr[:170])
    assert where == Fit((181, 320), (192, 320))
    assert (rgb[181:] == rgb[180]).all()
    rgb, where = prepare(np.ascontiguousarray(bgr[:, :150]))
    assert where == Fit((320, 267), (320, 288))
    assert (rgb[:, 267:] == rgb[:, 266:267]).all()


def test_one_preprocessor_takes_sizes_and_kinds_in_turn() -> None:
    rng = np.random.default_rng(0)
    shared = Preprocessor()
    bgr = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
    picture = I420.allocate((160, 90), ColorTags())
    picture.buffer[:] = rng.integers(0, 256, picture.buffer.shape)
    square = rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    for item in (bgr, picture, square, picture, bgr):
        where = shared.fit(Frame(item, 0, Fraction(1), 0))
        target = np.empty((*where.padded_hw, 3), np.uint8)
        shared.write(item, where.content_hw, target)
        np.testing.assert_array_equal(target, prepare(item)[0])


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 10_000),
    height=st.integers(1, 10_000),
    sar=st.fractions(Fraction(1, 16), 16, max_denominator=200),
    long_side=st.integers(1, 20).map(lambda n: 32 * n),
)
@example(1920, 1080, Fraction(1), 320)
def test_fit_keeps_the_displayed_aspect(width: int, height: int, sar: Fraction, long_side: int) -> None:
    where = fit((width, height), sar, long_side)
    content_h, content_w = where.content_hw
    assert max(where.content_hw) == long_side
    assert min(where.content_hw) >= 1
    shown = Fraction(width) * sar / height
    assert abs(content_w - content_h * shown) <= max(1, shown) or 1 in where.content_hw
    for content, padded in zip(where.content_hw, where.padded_hw, strict=True):
        assert padded % 32 == 0
        assert content <= padded < content + 32


def test_anamorphic_pixels_are_widened() -> None:
    """PAL 16:9: 720x576 stored, shown as 1048x576."""
    assert fit((720, 576), Fraction(64, 45), 320).content_hw == (180, 320)


@pytest.mark.parametrize(
    "arguments", [{"long_side": 0}, {"long_side": 100}, {"long_side": -32}, {"sample_aspect_ratio": Fraction(0)}]
)
def test_settings_out_of_range(arguments: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        Preprocessor(**arguments)  # type: ignore[arg-type]
