"""Closed-form matting of the band, on pictures whose alpha is known."""

from __future__ import annotations

import builtins
from typing import Any

import cv2
import numpy as np
import pytest

from rtmatte.errors import RuntimeNotInstalledError, SettingsError
from rtmatte.frame import Frame
from rtmatte.refine.trimap import unknown_band
from rtmatte.refine.upscale import Upscale
from tests.frames import at, noise_picture

pytest.importorskip("pymatting", reason="extra `quality` is not installed", exc_type=ImportError)

from rtmatte.refine.closed_form import ClosedForm, foreground_multi_level

COLORS = np.array([[40, 60, 200], [190, 150, 60]], np.float64)


def soft_scene(size_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A BGR picture mixed of two colours, and its alpha: a disk with thin soft spikes."""
    y, x = np.mgrid[: size_wh[1], : size_wh[0]].astype(np.float64)
    dy, dx = y - size_wh[1] / 2, x - size_wh[0] / 2
    radius = np.hypot(dy, dx) / min(size_wh)
    alpha = np.clip((0.3 + 0.03 * np.sin(18 * np.arctan2(dy, dx)) - radius) * 60 + 0.5, 0, 1)
    picture = alpha[..., None] * COLORS[0] + (1 - alpha[..., None]) * COLORS[1]
    return np.rint(picture).astype(np.uint8), alpha


def blurred(alpha: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 4))


@pytest.mark.parametrize("max_pixels", [1_000_000, 20_000])
def test_it_finds_an_alpha_that_is_linear_in_colour(max_pixels: int) -> None:
    picture, truth = soft_scene((240, 160))
    first = Upscale().refine(at(picture), blurred(truth)).copy()
    found = ClosedForm(Upscale(), prior=1e-3, max_pixels=max_pixels).refine(at(picture), blurred(truth))
    before, after = (np.abs(a / 255 - truth).mean() for a in (first, found))
    assert after < (0.25 if max_pixels > 240 * 160 else 0.5) * before


def test_what_is_sure_stays_sure() -> None:
    picture, truth = soft_scene((120, 90))
    first = Upscale().refine(at(picture), blurred(truth)).copy()
    found = ClosedForm(Upscale()).refine(at(picture), blurred(truth))
    sure = ~unknown_band(first)
    assert sure.any()
    assert np.array_equal(found[sure], np.where(first[sure] > 127, 255, 0))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_without_sure_pixels_or_without_unknown_ones_the_first_answer_stands(value: float) -> None:
    frame = at(noise_picture("i420", (64, 48)))
    alpha = np.full((12, 16), value, np.float32)
    assert np.array_equal(ClosedForm(Upscale()).refine(frame, alpha), Upscale().refine(frame, alpha))


def test_the_band_holds_every_soft_pixel_and_every_edge() -> None:
    alpha = np.zeros((60, 80), np.uint8)
    alpha[20:40, 20:40] = 255
    alpha[5, 60] = 100
    band = unknown_band(alpha)
    assert band[5, 60]
    assert band[19:21, 20:40].all()
    assert not band[30, 30]
    assert not band[50, 70]


def test_the_first_one_is_reset_too() -> None:
    class First(Upscale):
        resets = 0

        def reset(self) -> None:
            self.resets += 1

    first = First()
    ClosedForm(first).reset()
    assert first.resets == 1


def test_colours_of_a_still_are_those_of_its_foreground() -> None:
    picture, alpha = soft_scene((120, 90))
    alpha_u8 = np.rint(alpha * 255).astype(np.uint8)
    edge = (alpha_u8 > 30) & (alpha_u8 < 255)
    before, after = (
        np.abs(a[edge].astype(float) - COLORS[0]).mean() for a in (picture, foreground_multi_level(picture, alpha_u8))
    )
    assert after < 0.2 * before


@pytest.mark.parametrize("options", [{"prior": 0.0}, {"radius": 0}, {"max_pixels": 0}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        ClosedForm(**options)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pymatting":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RuntimeNotInstalledError, match=r"rtmatte\[quality\]"):
        ClosedForm()


def test_planes_will_do() -> None:
    picture, truth = soft_scene((120, 80))
    planes = noise_picture("i420", (120, 80))
    planes.buffer[:] = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).ravel()  # type: ignore[union-attr]
    frame: Frame = at(planes)
    found = ClosedForm(Upscale(), prior=1e-3).refine(frame, blurred(truth))
    assert np.abs(found / 255 - truth).mean() < 0.5 * np.abs(blurred(truth) - truth).mean()
