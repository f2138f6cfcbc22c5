"""A net asked both ways: the mean of what it says of a picture and of its mirror image."""

from __future__ import annotations

import numpy as np
import pytest

from rtmatte.frame import F32, I420, Frame
from rtmatte.matting.load import load_matter
from rtmatte.matting.mirrored import Mirrored
from tests.frames import at, noise_picture, planes


class SeesTheLeftHalf:
    """Gives the luma of the left half of the picture, and 0 for the right half: as one-sided as a net can be."""

    name, provider = "left", "none"

    def __init__(self) -> None:
        self.seen: list[Frame] = []
        self.resets = 0

    def estimate(self, frame: Frame) -> F32:
        self.seen.append(frame)
        luma = planes(frame.picture)[0]
        alpha = np.zeros(luma.shape, np.float32)
        half = (luma.shape[1] + 1) // 2
        alpha[:, :half] = luma[:, :half] / np.float32(255)
        return alpha

    def reset(self) -> None:
        self.resets += 1


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("size_wh", [(64, 48), (65, 33), (1, 1)])
def test_both_sides_are_seen_alike(kind: str, size_wh: tuple[int, int]) -> None:
    picture = noise_picture(kind, size_wh)
    one_sided = SeesTheLeftHalf()
    got = Mirrored(one_sided).estimate(at(picture))
    expected = planes(picture)[0] / 255 / 2
    if size_wh[0] % 2:
        expected[:, size_wh[0] // 2] *= 2  # the middle column is seen both times
    assert np.abs(got - expected).max() < 1e-6
    assert one_sided.seen[0].pts == one_sided.seen[1].pts


def test_chroma_is_mirrored_as_well() -> None:
    picture = noise_picture("i420", (64, 48))
    one_sided = SeesTheLeftHalf()
    Mirrored(one_sided).estimate(at(picture))
    mirrored = one_sided.seen[1].picture
    assert isinstance(mirrored, I420)
    assert isinstance(picture, I420)
    assert np.array_equal(mirrored.u, picture.u[:, ::-1])
    assert np.array_equal(mirrored.v, picture.v[:, ::-1])
    assert mirrored.color == picture.color


def test_the_picture_is_left_as_it_is_and_sizes_may_change() -> None:
    mirrored = Mirrored(SeesTheLeftHalf())
    for size_wh, kind in (((64, 48), "i420"), ((32, 48), "i420"), ((32, 48), "bgr"), ((64, 48), "bgr")):
        picture = noise_picture(kind, size_wh)
        before = [plane.copy() for plane in planes(picture)]
        assert mirrored.estimate(at(picture)).shape == size_wh[::-1]
        assert all(np.array_equal(now, was) for now, was in zip(planes(picture), before, strict=True))


def test_it_is_the_other_one_by_name_and_forgets_with_it() -> None:
    one_sided = SeesTheLeftHalf()
    mirrored = Mirrored(one_sided)
    assert (mirrored.name, mirrored.provider) == ("left", "none")
    mirrored.reset()
    assert one_sided.resets == 1


def test_a_shipped_net_is_symmetric_then() -> None:
    matter = load_matter("selfie", threads=1, both_ways=True)
    picture = noise_picture("i420", (256, 144))
    flipped = noise_picture("i420", (256, 144))
    for plane, target in zip(planes(picture), planes(flipped), strict=True):
        target[:] = plane[:, ::-1]
    there = matter.estimate(at(picture)).copy()
    assert np.abs(matter.estimate(at(flipped))[:, ::-1] - there).max() < 1e-5
    assert np.abs(load_matter("selfie", threads=1).estimate(at(picture)) - there).max() > 1e-4, "alone it isn't"
