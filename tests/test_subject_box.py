"""The net sees the subject near: when, where, how often the whole picture is looked at, and that nobody gets lost."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtmatte.frame import F32, Frame, Picture, picture_size_wh
from rtmatte.matting.crop import Crop, Cutter, plan_crop
from rtmatte.matting.load import Focus, load_matter
from rtmatte.matting.subject_box import SubjectBox
from rtmatte.runs.segments.plan import why_one_job
from rtmatte.settings import VideoSettings
from tests.frames import flat_picture, noise_picture, planes

_SIZE_WH = (640, 360)
_WHOLE_WH = (256, 192)
_SIDES = (128, 192, 256)
_RATE = 30


class _Net:
    """Takes what is bright for people, seen at a given size; counts."""

    name, provider = "bright", "test"

    def __init__(self, size_wh: tuple[int, int], counts: list[tuple[int, int]]) -> None:
        self.size_wh = size_wh
        self.counts = counts
        self.resets = 0

    def estimate(self, frame: Frame) -> F32:
        self.counts.append(picture_size_wh(frame.picture))
        luma = planes(frame.picture)[0]
        small = cv2.resize(np.ascontiguousarray(luma), self.size_wh, interpolation=cv2.INTER_AREA)
        return np.clip((small.astype(np.float32) - 60) / 140, 0, 1).astype(np.float32)

    def reset(self) -> None:
        self.resets += 1


class _Rig:
    """A box over such nets, and the sizes of the pictures that they were shown."""

    def __init__(self, share: float = 1.0, size_wh: tuple[int, int] = _SIZE_WH) -> None:
        self.shown: list[tuple[int, int]] = []
        self.near_wh: list[tuple[int, int]] = []
        self.size_wh = size_wh
        self.whole = _Net(_WHOLE_WH, self.shown)
        self.box = SubjectBox(self.whole, self._near, _SIDES, share=share)
        self.number = 0

    def _near(self, size_wh: tuple[int, int]) -> _Net:
        self.near_wh.append(size_wh)
        return _Net(size_wh, self.shown)

    def show(self, picture: Picture) -> F32:
        alpha = self.box.estimate(Frame(picture, self.number, Fraction(1, _RATE), self.number))
        self.number += 1
        return alpha

    def settle(self, picture: Picture) -> None:
        """Until the crop is used, and a look has just been taken."""
        for _ in range(16):
            self.show(picture)
        assert self.looks() == 16
        assert len(self.shown) == 17
        self.shown.clear()

    def looks(self) -> int:
        return self.shown.count(self.size_wh)


def _discs(*discs: tuple[int, int, int], kind: str = "i420", size_wh: tuple[int, int] = _SIZE_WH) -> Picture:
    """Bright discs, each (x, y, radius), in a dark room."""
    picture = flat_picture(kind, size_wh, (40, 40, 40) if kind == "bgr" else (40, 128, 128))
    luma = np.full(size_wh[::-1], 40, np.uint8)
    for x, y, radius in discs:
        cv2.circle(luma, (x, y), radius, 220, -1)
    for plane in planes(picture) if kind == "bgr" else planes(picture)[:1]:
        plane[:] = luma
    return picture


def _truth(picture: Picture) -> F32:
    return _Net(_WHOLE_WH, []).estimate(Frame(picture, 0, Fraction(1), 0))


def _wrong(alpha: F32, picture: Picture) -> float:
    """Mean difference from what the net says of the whole picture."""
    return float(np.abs(alpha - _truth(picture)).mean())


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_a_small_subject_is_seen_larger_and_in_its_place(kind: str) -> None:
    rig, picture = _Rig(), _discs((200, 200, 60), kind=kind)
    rig.settle(picture)
    alpha = rig.show(picture)
    assert alpha.shape == _WHOLE_WH[::-1]
    assert alpha.dtype == np.float32
    assert _wrong(alpha, picture) < 0.002
    assert rig.shown[0][0] <= _SIZE_WH[0] / 2
    assert rig.near_wh[0][0] * rig.near_wh[0][1] <= _WHOLE_WH[0] * _WHOLE_WH[1]


@pytest.mark.parametrize(("x", "y"), [(60, 100), (580, 100), (300, 60), (300, 300)])
def test_at_the_border_of_the_picture_alpha_reaches_it(x: int, y: int) -> None:
    rig, picture = _Rig(), _discs((x, y, 90))
    rig.settle(picture)
    alpha = rig.show(picture)
    assert rig.looks() == 0
    assert _wrong(alpha, picture) < 0.003
    truth = _truth(picture)
    for edge, true in ((alpha[0], truth[0]), (alpha[-1], truth[-1]), (alpha[:, 0], truth[:, 0])):
        np.testing.assert_allclose(edge, true, atol=0.35)
        assert abs(float(edge.sum()) - float(true.sum())) < 3


def test_the_whole_is_looked_at_twice_a_second() -> None:
    rig, picture = _Rig(), _discs((300, 200, 70))
    rig.settle(picture)
    for _ in range(60):
        rig.show(picture)
    assert rig.looks() == 4
    assert len(rig.shown) == 64


def test_half_the_pixels_for_half_the_work() -> None:
    rig, picture = _Rig(share=0.5), _discs((300, 200, 60))
    rig.settle(picture)
    assert _wrong(rig.show(picture), picture) < 0.003
    for width, height in rig.near_wh:
        assert 2 * width * height <= _WHOLE_WH[0] * _WHOLE_WH[1]


@pytest.mark.parametrize(
    "picture",
    [_discs((320, 180, 170), (100, 180, 90)), _discs(), _discs((300, 200, 20))],
    ids=["large", "none", "tiny"],
)
def test_the_whole_where_there_is_nothing_to_gain(picture: Picture) -> None:
    rig = _Rig()
    for _ in range(40):
        np.testing.assert_array_equal(rig.show(picture), _truth(picture))
    assert rig.shown == [_SIZE_WH] * 40


def test_a_subject_that_walks_is_never_lost() -> None:
    """Across the picture and back, out of it and in again at the other side."""
    rig = _Rig()
    rig.settle(_discs((100, 200, 70)))
    there_and_back = [*range(100, 540, 8), *range(540, 760, 12), *range(-120, 300, 12)]
    for x in there_and_back:
        picture = _discs((x, 200, 70))
        assert _wrong(rig.show(picture), picture) < 0.006, f"at {x}"
    assert rig.looks() < rig.shown.__len__()


@pytest.mark.parametrize("to", [(240, 200, 90), (520, 200, 70)], ids=["out of the crop", "to the other side"])
def test_a_jump_is_seen_in_the_same_frame(to: tuple[int, int, int]) -> None:
    rig = _Rig()
    rig.settle(_discs((120, 200, 70)))
    jumped = _discs(to)
    assert _wrong(rig.show(jumped), jumped) < 0.003


def test_a_second_person_is_seen_coming_in() -> None:
    rig = _Rig()
    rig.settle(_discs((120, 220, 60)))
    both = _discs((120, 220, 60), (480, 220, 60))
    errors = [_wrong(rig.show(both), both) for _ in range(7)]
    assert errors[0] > 0.02, "the crop didn't hold them"
    assert errors[-1] < 0.004, "a fifth of a second after the last look"


def test_who_comes_in_unnoticed_is_found_within_half_a_second() -> None:
    """Hardly brighter than the room, so that only the net knows them."""
    rig, one, both = _Rig(), _discs((120, 220, 60)), _discs((120, 220, 60))
    for picture in (one, both):
        luma = planes(picture)[0]
        np.maximum(luma, 58, out=luma)
    cv2.circle(planes(both)[0], (480, 220), 60, 80, -1)
    rig.settle(one)
    errors = [_wrong(rig.show(both), both) for _ in range(15)]
    assert errors[-2] > 0.006
    assert errors[-1] < 0.004
    assert rig.looks() == 1


def test_another_scene_is_seen_at_once() -> None:
    rig = _Rig()
    rig.settle(_discs((120, 220, 60)))
    other = _discs((130, 220, 55), (420, 180, 150))
    assert _wrong(rig.show(other), other) < 0.004


def _nobody_comes_back(picture: Picture, rig: _Rig) -> None:
    empty = _discs()
    rig.show(empty)
    np.testing.assert_array_equal(rig.show(empty), _truth(empty))
    np.testing.assert_array_equal(rig.show(picture), _truth(picture))


def _another_size(picture: Picture, rig: _Rig) -> None:
    other = _discs((100, 100, 50), size_wh=(320, 240))
    np.testing.assert_array_equal(rig.show(other), _truth(other))
    np.testing.assert_array_equal(rig.show(picture), _truth(picture))


def _reset(picture: Picture, rig: _Rig) -> None:
    rig.box.reset()
    assert rig.whole.resets == 1
    np.testing.assert_array_equal(rig.show(picture), _truth(picture))


@pytest.mark.parametrize("happens", [_nobody_comes_back, _another_size, _reset])
def test_after_what_is_unexpected_the_whole_is_looked_at_for_half_a_second(
    happens: Callable[[Picture, _Rig], None],
) -> None:
    rig, picture = _Rig(), _discs((300, 200, 70))
    rig.settle(picture)
    happens(picture, rig)
    rig.shown.clear()
    for _ in range(10):
        rig.show(picture)
    assert rig.shown == [_SIZE_WH] * 10


def test_the_crop_does_not_jitter() -> None:
    """Somebody who sways by a few pixels is seen by the same part of the picture all the time."""
    rig = _Rig()
    rig.settle(_discs((300, 200, 70)))
    for number in range(90):
        picture = _discs((300 + round(5 * np.sin(number / 3)), 200, 70))
        assert _wrong(rig.show(picture), picture) < 0.003
    assert len({shown for shown in rig.shown if shown != _SIZE_WH}) == 1


def test_crops_are_undistorted_even_and_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        size_wh = int(rng.integers(40, 2000)), int(rng.integers(40, 1200))
        left, top = rng.uniform(0, 0.8, 2) * size_wh
        right, bottom = left + rng.uniform(0.05, 0.2) * size_wh[0], top + rng.uniform(0.05, 0.2) * size_wh[1]
        subject = (float(left), float(top), float(right), float(bottom))
        crop = plan_crop(subject, size_wh, _WHOLE_WH, _SIDES, 1.0)
        if crop is None:
            continue
        assert crop.left % 2 == crop.top % 2 == 0
        assert 0 <= crop.left <= left
        assert right <= crop.right <= size_wh[0]
        assert 0 <= crop.top <= top
        assert bottom <= crop.bottom <= size_wh[1]
        assert crop.still_fits(subject, size_wh)
        width, height = crop.right - crop.left, crop.bottom - crop.top
        if width < size_wh[0] - 2 and height < size_wh[1] - 2:
            assert abs(width - height * crop.net_wh[0] / crop.net_wh[1]) <= 6


def test_broad_pixels_make_narrow_crops() -> None:
    square = plan_crop((300, 100, 420, 220), (720, 480), _WHOLE_WH, _SIDES, 1.0)
    broad = plan_crop((300, 100, 420, 220), (720, 480), _WHOLE_WH, _SIDES, 1.0, Fraction(2))
    assert square is not None
    assert broad is not None
    assert broad.net_wh[0] / broad.net_wh[1] >= square.net_wh[0] / square.net_wh[1]


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("size_wh", [(64, 48), (63, 47)])
def test_the_cut_out_part_is_that_part(kind: str, size_wh: tuple[int, int]) -> None:
    picture = noise_picture(kind, size_wh)
    before = [plane.copy() for plane in planes(picture)]
    cutter = Cutter()
    for crop in (Crop(2, 4, 30, 20, (64, 64)), Crop(10, 6, size_wh[0], size_wh[1], (64, 64))):
        part = cutter.cut(picture, crop)
        assert picture_size_wh(part) == (crop.right - crop.left, crop.bottom - crop.top)
        for at, (plane, whole) in enumerate(zip(planes(part), before, strict=True)):
            half = 2 if kind == "i420" and at else 1
            rows = slice(crop.top // half, -(-crop.bottom // half))
            np.testing.assert_array_equal(plane, whole[rows, crop.left // half : -(-crop.right // half)])


@pytest.mark.parametrize("focus", ["near", "fast"])
def test_a_model_is_loaded_so(focus: Focus) -> None:
    matter = load_matter("selfie-multiclass-int8", device="cpu", threads=1, focus=focus)
    assert isinstance(matter, SubjectBox)
    assert matter.name == "selfie-multiclass-int8"
    picture = _discs((300, 200, 100))
    for number in range(3):
        alpha = matter.estimate(Frame(picture, number, Fraction(1, _RATE), number))
        assert alpha.shape == _WHOLE_WH[::-1]
    net = matter._near((128, 192))
    assert net.estimate(Frame(picture, 0, Fraction(1), 0)).shape == (192, 128)


def test_a_net_of_one_size_sees_the_whole() -> None:
    assert not isinstance(load_matter("selfie", device="cpu", threads=1, focus="near"), SubjectBox)


def test_a_clip_is_not_cut_into_parts_then() -> None:
    assert "sees" in str(why_one_job(VideoSettings(focus="near"), None))
