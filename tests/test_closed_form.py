"""Closed-form matting of the band, on pictures whose alpha is known."""

from __future__ import annotations

import numpy as np
import pytest

from rtmatte.errors import SettingsError
from rtmatte.refine.upscale import Upscale
from tests.frames import at
from tests.soft_scenes import COLORS, blurred, soft_scene

pytest.importorskip("pymatting", reason="extra `quality` is not installed", exc_type=ImportError)

from rtmatte.refine.closed_form import ClosedForm, foreground_multi_level


@pytest.mark.parametrize("max_pixels", [1_000_000, 20_000])
def test_it_finds_an_alpha_that_is_linear_in_colour(max_pixels: int) -> None:
    picture, truth = soft_scene((240, 160))
    first = Upscale().refine(at(picture), blurred(truth)).copy()
    found = ClosedForm(Upscale(), prior=1e-3, max_pixels=max_pixels).refine(at(picture), blurred(truth))
    before, after = (np.abs(a / 255 - truth).mean() for a in (first, found))
    assert after < (0.25 if max_pixels > 240 * 160 else 0.5) * before


def test_colours_of_a_still_are_those_of_its_foreground() -> None:
    picture, alpha = soft_scene((120, 90))
    alpha_u8 = np.rint(alpha * 255).astype(np.uint8)
    edge = (alpha_u8 > 30) & (alpha_u8 < 255)
    before, after = (
        np.abs(a[edge].astype(float) - COLORS[0]).mean() for a in (picture, foreground_multi_level(picture, alpha_u8))
    )
    assert after < 0.2 * before


def test_a_radius_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="radius"):
        ClosedForm(radius=0)
