"""Nets of other people's forms, as small generated graphs: what they eat and how alpha is read from what they give."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtmatte.errors import ModelOutputError, SettingsError, WeightsError
from rtmatte.frame import Frame
from rtmatte.matting.image_net import ImageNet
from rtmatte.matting.load import load_matter, matter_for
from rtmatte.matting.net_spec import InputSpec, NetSpec, OutputSpec
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession
from tests.nets import image_net

FORMS: dict[str, dict[str, Any]] = {
    "u2net": {"input_name": "input.1", "output_name": "1959", "fixed_hw": (320, 320)},
    "u2net_human_seg": {"input_name": "input.1", "output_name": "1959", "fixed_hw": (320, 320)},
    "silueta": {"input_name": "input.1", "output_name": "1959", "fixed_hw": (320, 320)},
    "isnet-general-use": {"input_name": "input_image", "output_name": "output_image", "fixed_hw": (1024, 1024)},
    "modnet": {"input_name": "input", "output_name": "output"},
    "birefnet-lite": {"input_name": "input_image", "output_name": "output_image", "fixed_hw": (1024, 1024)},
}


def grey(value: int, size_wh: tuple[int, int] = (64, 48)) -> Frame:
    return Frame(np.full((size_wh[1], size_wh[0], 3), value, np.uint8), 0, Fraction(1), 0)


def session(**options: Any) -> OnnxSession:
    return OnnxSession(image_net(**options), device="cpu", threads=1)


def alpha_of(spec: NetSpec, frame: Frame, **options: Any) -> np.ndarray:
    return ImageNet(session(**options), spec, name="made-up").estimate(frame)


@pytest.mark.parametrize("name", FORMS)
def test_upstream_forms_run_by_their_rows(name: str) -> None:
    """The graph answers the mean of what it is given: so alpha tells whether a grey was normalised right."""
    net = find_model(name).net
    matter = matter_for(net, session(**FORMS[name]), name=name)
    alpha = matter.estimate(grey(200))
    mean, std = np.array(net.input.mean), np.array(net.input.std)
    expected = float(((200 / 255 - mean) / std).mean())
    if net.output.activation == "sigmoid":
        expected = 1 / (1 + np.exp(-expected))
    np.testing.assert_allclose(alpha, min(1.0, max(0.0, expected)), atol=1e-5)


def test_the_colours_arrive_in_rgb_order_each_with_its_own_mean() -> None:
    """Only blue differs from its mean, so the mean of the channels is a third of that difference."""
    frame = Frame(np.full((8, 8, 3), (255, 51, 0), np.uint8), 0, Fraction(1), 0)  # BGR
    spec = NetSpec(input=InputSpec(mean=(0.0, 0.2, 0.1), size_wh=(32, 32)))
    np.testing.assert_allclose(alpha_of(spec, frame), 0.3, atol=1e-6)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_layouts(layout: Any) -> None:
    spec = NetSpec(input=InputSpec(layout=layout, size_wh=(64, 32)), output=OutputSpec(layout=layout, channel=1))
    alpha = alpha_of(spec, grey(51, (200, 100)), layout=layout, classes=3)
    assert alpha.shape == (32, 64)
    np.testing.assert_allclose(alpha, 0.4, atol=1e-6)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (OutputSpec(), 0.2),
        (OutputSpec(background=True), 0.8),
        (OutputSpec(low=0.1, high=0.3), 0.5),
        (OutputSpec(activation="sigmoid"), 1 / (1 + np.exp(-0.2))),
        (OutputSpec(activation="softmax", channel=2), np.exp(0.6) / (np.exp(0.2) + np.exp(0.4) + np.exp(0.6))),
        (
            OutputSpec(activation="softmax", background=True),
            1 - np.exp(0.2) / (np.exp(0.2) + np.exp(0.4) + np.exp(0.6)),
        ),
    ],
)
def test_activations(output: OutputSpec, expected: float) -> None:
    alpha = alpha_of(NetSpec(input=InputSpec(size_wh=(32, 32)), output=output), grey(51), classes=3)
    np.testing.assert_allclose(alpha, expected, atol=1e-6)


@pytest.mark.parametrize("value", [-1e4, 1e4])
def test_a_sigmoid_of_anything_is_between_0_and_1(value: float) -> None:
    spec = NetSpec(
        input=InputSpec(size_wh=(32, 32), mean=(-value, -value, -value)), output=OutputSpec(activation="sigmoid")
    )
    assert (alpha_of(spec, grey(0)) == (value > 0)).all()


def test_an_alpha_of_half_the_size_covers_the_whole_frame() -> None:
    """Left half dark, right half light; padding must not come into it."""
    picture = np.zeros((50, 100, 3), np.uint8)
    picture[:, 50:] = 255
    frame = Frame(picture, 0, Fraction(1), 0)
    alpha = alpha_of(NetSpec(input=InputSpec(fit="pad", long_side=64)), frame, halve=True)
    assert alpha.shape == (16, 32)
    assert (alpha[:, :16] == 0).all()
    assert (alpha[:, 16:] == 1).all()


def test_a_steady_run_reuses_its_arrays() -> None:
    matter = ImageNet(session(), NetSpec(), name="made-up")
    first = matter.estimate(grey(51))
    for value in (102, 204):
        again = matter.estimate(grey(value))
        assert again.ctypes.data == first.ctypes.data
        np.testing.assert_allclose(again, value / 255, atol=1e-6)
    assert len(matter._bindings) == 1


def test_a_channel_that_is_not_there() -> None:
    with pytest.raises(ModelOutputError, match=r"a channel 3, got shape \(1, 2, 320, 320\)"):
        alpha_of(NetSpec(output=OutputSpec(channel=3)), grey(1, (10, 10)), classes=2)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        (NetSpec(input=InputSpec(name="x")), "called 'x', got input.1"),
        (NetSpec(output=OutputSpec(name="y")), "called 'y', got 1959"),
        (NetSpec(input=InputSpec(dtype="uint8")), "input is uint8, got float32"),
        (NetSpec(family="recurrent"), "called 'src'"),
    ],
)
def test_a_spec_that_does_not_fit_the_graph(spec: NetSpec, part: str) -> None:
    with pytest.raises(SettingsError) as caught:
        matter_for(spec, session(), name="made-up")
    assert part in str(caught.value)


TOML = '[input]\nname = "input.1"\nlong_side = 64\n[output]\nname = "1959"\n'


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(image_net())
    (tmp_path / "own.toml").write_text(TOML)
    (tmp_path / "other.toml").write_text(TOML + "background = true\n")
    beside = load_matter(tmp_path / "own.onnx", device="cpu", threads=1)
    assert beside.name == "own"
    np.testing.assert_allclose(beside.estimate(grey(51)), 0.2, atol=1e-6)
    given = load_matter(str(tmp_path / "own.onnx"), model_spec=tmp_path / "other.toml", device="cpu", threads=1)
    np.testing.assert_allclose(given.estimate(grey(51)), 0.8, atol=1e-6)


def test_a_model_of_ones_own_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected a model spec"):
        load_matter(tmp_path / "own.onnx")
    (tmp_path / "own.toml").write_text(TOML)
    with pytest.raises(WeightsError, match="can't be read"):
        load_matter(tmp_path / "own.onnx")
    with pytest.raises(SettingsError, match=r"expected the path of an \.onnx file"):
        load_matter("u2netp", model_spec=tmp_path / "own.toml")
    (tmp_path / "own.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsError, match="can't load the model"):
        load_matter(tmp_path / "own.onnx", device="cpu")
