"""The recurrent form: state goes round, is forgotten when it must be, and costs no copy."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import Frame
from rtmatte.matting import session as session_module
from rtmatte.matting.providers import PROVIDERS, Device
from rtmatte.matting.rvm import Rvm
from rtmatte.matting.session import OnnxSession
from tests.fake_runtime import FakeRuntime
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
    bound = Watched(session()._session.io_binding())
    matter._states._bound = bound
    address = matter.estimate(grey(255)).ctypes.data
    for _ in range(5):
        written = [bound.written[f"{name}o"] for name in ("r1", "r2", "r3", "r4")]
        assert matter.estimate(grey(255)).ctypes.data == address
        assert [bound.read[f"{name}i"] for name in ("r1", "r2", "r3", "r4")] == written


class Watched:
    """A binding that notes at which address each state was read and written last."""

    def __init__(self, bound: Any) -> None:
        self._bound = bound
        self._iobinding = bound._iobinding  # what the runtime itself asks for
        self.read: dict[str, int] = {}
        self.written: dict[str, int] = {}

    def bind_ortvalue_input(self, name: str, value: Any) -> None:
        self.read[name] = value.data_ptr()
        self._bound.bind_ortvalue_input(name, value)

    def get_outputs(self) -> list[Any]:
        found: list[Any] = self._bound.get_outputs()
        self.written = {f"r{number}o": value.data_ptr() for number, value in enumerate(found[:4], 1)}
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bound, name)


def replayed(matter: Rvm) -> list[np.ndarray]:
    """Alpha of a few greys, with a reset and another size between them."""
    found = []
    for number, value in enumerate((255, 0, 90, 255, 40, 0, 200)):
        if number == 3:
            matter.reset()
        found.append(matter.estimate(grey(value, (40, 30) if number < 5 else (64, 64))).copy())
    return found


@pytest.fixture
def on_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[OnnxSession, FakeRuntime]]:
    def opened(device: Device, **behaviour: Any) -> tuple[OnnxSession, FakeRuntime]:
        (provider,) = (provider for provider in PROVIDERS if provider.device == device)
        runtime = FakeRuntime((provider.name,), **behaviour)
        monkeypatch.setattr(session_module, "_import_runtime", lambda: (provider.distribution, runtime))
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
        return OnnxSession(recurrent_net(), device=device, threads=1), runtime

    return opened


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "directml"])
def test_on_a_gpu_the_states_stay_there(
    device: Device, on_a_device: Callable[..., tuple[OnnxSession, FakeRuntime]]
) -> None:
    made, runtime = on_a_device(device)
    matter = Rvm(made)
    for got, expected in zip(replayed(matter), replayed(Rvm(session())), strict=True):
        np.testing.assert_array_equal(got, expected)
    (opened,) = runtime.opened
    # Their zeros go there at the beginning, after the reset and for the other size; alpha alone comes back.
    states = dict.fromkeys(("r1i", "r2i", "r3i", "r4i"), 3)
    assert opened.crossed == {"src": 7, "downsample_ratio": 7, "pha": 7, **states}
    np.testing.assert_allclose(matter.foreground_rgb, 200 / 255, atol=1e-6)
    assert opened.runs == 7


@pytest.mark.parametrize("device", ["coreml", "openvino"])
def test_where_a_device_has_no_memory_of_its_own_they_are_the_processors(
    device: Device, on_a_device: Callable[..., tuple[OnnxSession, FakeRuntime]]
) -> None:
    made, _ = on_a_device(device)
    for got, expected in zip(replayed(Rvm(made)), replayed(Rvm(session())), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_gpu_that_keeps_nothing_is_told_and_done_without(
    on_a_device: Callable[..., tuple[OnnxSession, FakeRuntime]],
) -> None:
    made, _ = on_a_device("cuda", holds=False)
    matter = Rvm(made)
    for got, expected in zip(replayed(matter), replayed(Rvm(session())), strict=True):
        np.testing.assert_array_equal(got, expected)
    reason = "CUDA came up; without states in the device's memory: this device keeps nothing"
    assert matter.provider_reason == reason


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
    assert matter._binding.inputs["downsample_ratio"][0] == pytest.approx(ratio)


def test_wide_pixels_are_seen_as_shown() -> None:
    assert Rvm(session(), sample_aspect_ratio=Fraction(2)).estimate(grey(9)).shape == (30, 80)


def test_values_that_are_not_finite_are_refused_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    matter = Rvm(session())
    matter.estimate(grey(255))
    matter._binding.outputs["pha"].fill(np.nan)
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
