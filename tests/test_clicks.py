"""Clicks as users write them."""

from __future__ import annotations

import pytest

from rtmatte.clicks import check, points
from rtmatte.errors import SettingsError


@pytest.mark.parametrize(
    ("click", "point"),
    [
        ("0,0", (0.5 / 640, 0.5 / 480)),
        ("639,479", (639.5 / 640, 479.5 / 480)),
        (" 320 , 240 ", (320.5 / 640, 240.5 / 480)),
        ("50%,40%", (0.5, 0.4)),
        ("12.5%,100%", (0.125, 1.0)),
        ("50%,24", (0.5, 24.5 / 480)),
    ],
)
def test_pixels_and_percent(click: str, point: tuple[float, float]) -> None:
    check([click], option="--keep")
    assert points([click], (640, 480), option="--keep") == (pytest.approx(point),)


@pytest.mark.parametrize("click", ["", "12", "12,", "12,13,14", "-1,5", "a,b", "1;2", "nan,1", "10,20px"])
def test_what_is_no_click_is_refused(click: str) -> None:
    for reads in (check, lambda clicks, option: points(clicks, (64, 48), option=option)):
        with pytest.raises(SettingsError, match=r"--drop: expected a point such as 320,240 or 50%,40%, got"):
            reads([click], option="--drop")


@pytest.mark.parametrize("click", ["640,0", "0,480", "5000,5000"])
def test_outside_of_the_picture(click: str) -> None:
    with pytest.raises(SettingsError, match=rf"--keep: expected a point of the picture, 0,0 to 639,479, got {click}"):
        points([click], (640, 480), option="--keep")


def test_more_than_all_of_it() -> None:
    with pytest.raises(SettingsError, match="0% to 100%, got 101%,5%"):
        check(["101%,5%"], option="--keep")
