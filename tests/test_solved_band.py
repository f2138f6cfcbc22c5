"""What every matting of the band keeps, whichever pixels it makes alike."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest

from rtmatte.errors import RuntimeNotInstalledError, SettingsError
from rtmatte.frame import Frame
from rtmatte.refine.trimap import unknown_band
from rtmatte.refine.upscale import Upscale
from tests.frames import at, noise_picture
from tests.soft_scenes import blurred, i420_of, soft_scene

pytest.importorskip("pymatting", reason="extra `quality` is not installed", exc_type=ImportError)

from rtmatte.refine.closed_form import ClosedForm
from rtmatte.refine.knn import KnnMatting
from rtmatte.refine.solved_band import SolvedBand

Make: TypeAlias = Callable[..., SolvedBand]

pytestmark = pytest.mark.parametrize("make", [ClosedForm, KnnMatting])


def test_what_is_sure_stays_sure(make: Make) -> None:
    picture, truth = soft_scene((120, 90))
    first = Upscale().refine(at(picture), blurred(truth)).copy()
    found = make(Upscale()).refine(at(picture), blurred(truth))
    sure = ~unknown_band(first)
    assert sure.any()
    assert np.array_equal(found[sure], np.where(first[sure] > 127, 255, 0))
    assert not np.array_equal(found[~sure], first[~sure])


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5])
def test_without_sure_pixels_or_without_unknown_ones_the_first_answer_stands(make: Make, value: float) -> None:
    frame = at(noise_picture("i420", (64, 48)))
    alpha = np.full((12, 16), value, np.float32)
    assert np.array_equal(make(Upscale()).refine(frame, alpha), Upscale().refine(frame, alpha))


def test_it_is_nearer_to_the_truth_than_the_first_one(make: Make) -> None:
    """On planes and in BGR, at full size and worked on smaller."""
    picture, truth = soft_scene((240, 160))
    for frame in (at(picture), at(i420_of(picture))):
        before = np.abs(Upscale().refine(frame, blurred(truth)) / 255 - truth).mean()
        for max_pixels in (240 * 160, 20_000):
            found = make(Upscale(), prior=0.01, max_pixels=max_pixels).refine(frame, blurred(truth))
            assert np.abs(found / 255 - truth).mean() < 0.8 * before


def test_the_larger_the_prior_the_nearer_to_the_first_one(make: Make) -> None:
    picture, truth = soft_scene((120, 90))
    first = Upscale().refine(at(picture), blurred(truth)).astype(float)
    frame: Frame = at(picture)
    changes = [
        np.abs(make(Upscale(), prior=prior).refine(frame, blurred(truth)) - first).mean() for prior in (0.01, 1, 100)
    ]
    assert changes[0] > changes[1] > changes[2]


def test_the_first_one_is_reset_too(make: Make) -> None:
    class First(Upscale):
        resets = 0

        def reset(self) -> None:
            self.resets += 1

    first = First()
    make(first).reset()
    assert first.resets == 1


@pytest.mark.parametrize("options", [{"prior": 0.0}, {"prior": float("nan")}, {"max_pixels": 0}])
def test_options_out_of_range_are_refused(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="prior"):
        make(**options)


def test_a_missing_package_is_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pymatting":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RuntimeNotInstalledError, match=r"rtmatte\[quality\]"):
        make()
