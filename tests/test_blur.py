"""The blurred room: as blurred as promised, without the person, whatever alpha says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtmatte.composite.blur import BlurBackground
from rtmatte.errors import SettingsError
from rtmatte.frame import I420, Picture
from tests.frames import at, flat_picture, noise_picture, planes

RED_BGR, GREEN_BGR = (20, 20, 220), (40, 190, 50)
RED_YUV, GREEN_YUV = (85, 103, 218), (132, 86, 70)
WIDTH, HEIGHT = 320, 180


def person(width: int = WIDTH, height: int = HEIGHT, softness: float = 0.0) -> np.ndarray:
    """Alpha of an ellipse that touches the lower edge: (H, W) float64; softness in shares of the height."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot((x - width / 2) / (0.16 * width), (y - 0.7 * height) / (0.5 * height))
    return np.clip((1 - far) / max(softness, 1e-6) + 0.5, 0, 1)


def scene(kind: str, alpha: np.ndarray) -> Picture:
    """Red over green by exactly that alpha, chroma by its block means."""
    red, green = (RED_YUV, GREEN_YUV) if kind == "i420" else (RED_BGR, GREEN_BGR)
    picture = flat_picture(kind, alpha.shape[::-1], green)
    for plane, f, b in zip(planes(picture), red, green, strict=True):
        at_plane = cv2.resize(alpha, plane.shape[::-1], interpolation=cv2.INTER_AREA)
        plane[...] = np.rint(at_plane * f + (1 - at_plane) * b)
    return picture


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("strength", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("softness", [0.0, 0.03, 0.2])
def test_the_person_does_not_bleed_into_the_room(kind: str, strength: float, softness: float) -> None:
    alpha = person(softness=softness)
    frame = at(scene(kind, alpha))
    got = BlurBackground(strength).picture_for(frame, np.rint(alpha * 255).astype(np.uint8))
    for plane, value in zip(planes(got), GREEN_YUV if kind == "i420" else GREEN_BGR, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1


@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_an_alpha_that_is_a_little_too_tight_paints_no_halo(strength: float) -> None:
    alpha = person()
    tight = cv2.erode(alpha, np.ones((3, 3)))  # one pixel of 180 is missing all around
    frame = at(scene("bgr", alpha))
    got = BlurBackground(strength).picture_for(frame, np.rint(tight * 255).astype(np.uint8))
    visible = tight < 0.5
    for plane, value in zip(planes(got), GREEN_BGR, strict=True):
        assert np.abs(plane.astype(int) - value)[visible].max() <= 3


def test_a_very_soft_edge_leaves_a_trace_at_most() -> None:
    """Where alpha is a few hundredths over a wide stretch, nothing else is left to tell the room by."""
    alpha = person(softness=1.0)
    frame = at(scene("bgr", alpha))
    got = BlurBackground(0.5).picture_for(frame, np.rint(alpha * 255).astype(np.uint8))
    for plane, value in zip(planes(got), GREEN_BGR, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 0.04 * 180


@pytest.mark.parametrize("floor", [0.03, 0.1, 0.5])
def test_a_doubtful_alpha_everywhere_still_blurs_the_room(floor: float) -> None:
    """Nowhere certain background: the least opaque pixels stand in, and the person still counts next to nothing."""
    alpha = person()
    frame = at(scene("bgr", alpha))
    got = BlurBackground(0.5).picture_for(frame, np.rint(np.maximum(alpha, floor) * 255).astype(np.uint8))
    for plane, value in zip(planes(got), GREEN_BGR, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
def test_an_empty_room_gets_the_gaussian_that_was_promised(kind: str, strength: float) -> None:
    picture = noise_picture(kind, (256, 144), seed=4)
    picture_planes = planes(picture)
    for plane in picture_planes:  # a room with edges and slopes, not bare noise
        coarse = np.random.default_rng(len(plane)).integers(0, 256, (5, 8), np.uint8)
        plane[...] = cv2.resize(coarse, plane.shape[::-1], interpolation=cv2.INTER_NEAREST)
    got = BlurBackground(strength).picture_for(at(picture), np.zeros((144, 256), np.uint8))
    for plane, source in zip(planes(got), picture_planes, strict=True):
        sigma = strength * 0.05 * source.shape[0]
        exact = cv2.GaussianBlur(source.astype(np.float64), (0, 0), sigma)
        inner = slice(8, -8)
        error = np.abs(plane - exact)[inner, inner]
        assert error.mean() < 1.5
        assert error.max() < 12


def test_the_look_does_not_depend_on_the_resolution() -> None:
    coarse = np.random.default_rng(2).integers(0, 256, (9, 16, 3), np.uint8)
    looks = []
    for width, height in ((640, 360), (1280, 720)):
        room = np.ascontiguousarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
        alpha = (person(width, height, softness=0.02) * 255).astype(np.uint8)
        got = np.asarray(BlurBackground(0.5).picture_for(at(room), alpha))
        looks.append(cv2.resize(got, (320, 180), interpolation=cv2.INTER_AREA).astype(int))
    difference = np.abs(looks[0] - looks[1])[person() < 0.5]
    assert difference.mean() < 1
    assert difference.max() < 10


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("size_wh", [(320, 180), (33, 17), (1, 1), (1, 50), (50, 1)])
@pytest.mark.parametrize("value", [0, 3, 128, 254, 255])
def test_constant_in_constant_out(kind: str, size_wh: tuple[int, int], value: int) -> None:
    """Also where all is person, and in the smallest of pictures."""
    picture = flat_picture(kind, size_wh, (200, 90, 31))
    got = BlurBackground(0.7).picture_for(at(picture), np.full(size_wh[::-1], value, np.uint8))
    for plane, expected in zip(planes(got), (200, 90, 31), strict=True):
        assert (plane == expected).all()


def test_the_result_keeps_its_buffer() -> None:
    background, picture = BlurBackground(0.5), noise_picture("i420", (64, 36))
    first = background.picture_for(at(picture), np.zeros((36, 64), np.uint8))
    second = background.picture_for(at(picture), np.zeros((36, 64), np.uint8))
    assert isinstance(first, I420)
    assert isinstance(second, I420)
    assert second.buffer is first.buffer


@pytest.mark.parametrize("strength", [0, -0.1, 1.01, float("nan")])
def test_an_impossible_strength_is_refused(strength: float) -> None:
    with pytest.raises(SettingsError, match="over 0 and up to 1"):
        BlurBackground(strength)
