"""The recurrent form: state goes round, is forgotten when it must be, and costs no copy."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import Frame
from rtmatte.matting.rvm import Rvm
from rtmatte.matting.session import OnnxSession
from tests.nets import image_net, recurrent_net


@lru_cache(maxsize=1)
def session() -> OnnxSession:
    return OnnxSession(recurrent_net(), device="cpu", threads=1)


def grey(value: int, size_wh: tuple[int, int] = (40, 30)) -> Frame:
    return Frame(np.full((size_wh[1], size_wh[0], 3), value, np.uint8), 0, Fraction(1), 0)


def test_it_remembers() -> None:
    """Alpha is half this frame and half the state before: 0.5, 0.75, 0.875 ... on white, and back on black."""
    matter = Rvm(session())
    expected = 0.0
    for value in (255, 255, 255, 0, 0, 255, 0):
        expected = expected / 2 + value / 255 / 2
        np.testing.assert_allclose(matter.estimate(grey(value)), expected, atol=1e-6)


def test_reset_and_another_size_forget() -> None:
    matter = Rvm(session())
    for _ in range(3):
        matter.estimate(grey(255))
    matter.reset()
    np.testing.assert_allclose(matter.estimate(grey(255)), 0.5, atol=1e-6)
    matter.estimate(grey(255))
    np.testing.assert_allclose(matter.estimate(grey(255, (64, 64))), 0.5, atol=1e-6)
    np.testing.assert_allclose(matter.estimate(grey(255)), 0.5, atol=1e-6)


def test_state_goes_round_without_a_copy_and_nothing_is_allocated() -> None:
    matter = Rvm(session())
    matter.estimate(grey(255))
    first, second = matter._bindings
    for name in ("r1", "r2", "r3", "r4"):
        assert first.outputs[f"{name}o"] is second.inputs[f"{name}i"]
        assert second.outputs[f"{name}o"] is first.inputs[f"{name}i"]
    address = matter.estimate(grey(255)).ctypes.data
    for _ in range(3):
        assert matter.estimate(grey(255)).ctypes.data == address
        assert matter._bindings == (first, second)


def test_the_foreground_comes_along() -> None:
    matter = Rvm(session())
    for blue in (255, 0):
        frame = Frame(np.full((30, 40, 3), (blue, 51, 0), np.uint8), 0, Fraction(1), 0)  # BGR
        matter.estimate(frame)
        assert matter.foreground_rgb.shape == (3, 30, 40)
        np.testing.assert_allclose(matter.foreground_rgb[:, 3, 3], (0, 0.2, blue / 255), atol=1e-6)


@pytest.mark.parametrize(
    ("size_wh", "ratio", "shape_hw"),
    [((640, 360), 0.8, (360, 640)), ((2560, 1440), 0.4, (720, 1280)), ((100, 80), 1.0, (80, 100))],
)
def test_the_network_looks_at_512_pixels(size_wh: tuple[int, int], ratio: float, shape_hw: tuple[int, int]) -> None:
    matter = Rvm(session())
    assert matter.estimate(grey(255, size_wh)).shape == shape_hw
    assert matter._bindings[0].inputs["downsample_ratio"][0] == pytest.approx(ratio)


def test_wide_pixels_are_seen_as_shown() -> None:
    assert Rvm(session(), sample_aspect_ratio=Fraction(2)).estimate(grey(9)).shape == (30, 80)


def test_values_that_are_not_finite_are_refused_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    matter = Rvm(session())
    matter.estimate(grey(255))
    for binding in matter._bindings:
        binding.outputs["pha"].fill(np.nan)
    with monkeypatch.context() as broken:
        broken.setattr(session(), "run", lambda _: None)
        with pytest.raises(ModelOutputError, match="got NaN or infinity"):
            matter.estimate(grey(255))
    np.testing.assert_allclose(matter.estimate(grey(255)), 0.5, atol=1e-6)


@pytest.mark.parametrize("arguments", [{"long_side": 0}, {"sample_aspect_ratio": Fraction(0)}])
def test_arguments_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        Rvm(session(), **arguments)  # type: ignore[arg-type]


def test_a_graph_of_another_form_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"called 'src', got input\.1"):
        Rvm(OnnxSession(image_net(), device="cpu", threads=1))
