"""Light wrap: where it reaches, and where it doesn't."""

from __future__ import annotations

import numpy as np
import pytest

from rtmatte.composite.light_wrap import LightWrap
from rtmatte.errors import SettingsError
from tests.frames import copy_of, flat_picture, planes

SIZE_WH = (320, 200)
FRONT, BACK = (60, 110, 150), (200, 150, 90)


def half_person() -> np.ndarray:
    alpha = np.zeros(SIZE_WH[::-1], np.uint8)
    alpha[:, 160:] = 255
    return alpha


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_the_edge_takes_on_the_background_and_the_middle_does_not(kind: str) -> None:
    picture, behind = flat_picture(kind, SIZE_WH, FRONT), flat_picture(kind, SIZE_WH, BACK)
    before = copy_of(behind)
    LightWrap(strength=0.5, reach=0.03).wrap(picture, behind, half_person())
    for index, plane in enumerate(planes(picture)):
        edge = plane.shape[1] // 2
        share = (plane[:, edge:].mean(axis=0) - FRONT[index]) / (BACK[index] - FRONT[index])
        assert 0.1 < share[1] < 0.3
        assert (np.diff(share) <= 0.01).all()
        assert abs(share[-20:]).max() == 0
    assert all(np.array_equal(got, was) for got, was in zip(planes(behind), planes(before), strict=True))


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_no_strength_no_change_and_odd_sizes_work(kind: str) -> None:
    for size_wh in ((37, 21), (2, 1), (1, 1)):
        picture, behind = flat_picture(kind, size_wh, FRONT), flat_picture(kind, size_wh, BACK)
        alpha = np.full(size_wh[::-1], 128, np.uint8)
        LightWrap(strength=0).wrap(picture, behind, alpha)
        assert all((plane == value).all() for plane, value in zip(planes(picture), FRONT, strict=True))
        LightWrap(strength=1).wrap(picture, behind, alpha)
        assert all(
            np.abs(plane.astype(int) - (f + b) / 2).max() <= 1.5
            for plane, f, b in zip(planes(picture), FRONT, BACK, strict=True)
        )


def test_a_full_person_gets_no_light() -> None:
    picture, behind = flat_picture("bgr", SIZE_WH, FRONT), flat_picture("bgr", SIZE_WH, BACK)
    wrap = LightWrap()
    for size_wh in (SIZE_WH, (64, 40)):
        picture, behind = flat_picture("bgr", size_wh, FRONT), flat_picture("bgr", size_wh, BACK)
        wrap.wrap(picture, behind, np.full(size_wh[::-1], 255, np.uint8))
        assert (picture == FRONT).all()


@pytest.mark.parametrize("options", [{"strength": 1.1}, {"strength": float("nan")}, {"reach": 0.0}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        LightWrap(**options)
