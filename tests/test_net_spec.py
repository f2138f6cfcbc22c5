"""Specs: sizes that fit frames, TOML that is read or refused with expected and got."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rtmatte.errors import SettingsError
from rtmatte.matting.net_spec import InputSpec, NetSpec, OutputSpec, read_net_spec
from rtmatte.matting.registry import MODELS

SQUARE = Fraction(1)


@pytest.mark.parametrize(
    ("options", "size_wh", "content_hw", "padded_hw"),
    [
        ({"size_wh": (256, 144)}, (1280, 720), (144, 256), (144, 256)),
        ({"size_wh": (256, 144)}, (100, 900), (144, 256), (144, 256)),
        ({"long_side": 256, "multiple": 64}, (1280, 720), (192, 256), (192, 256)),
        ({"long_side": 256, "multiple": 64, "rounding": "nearest"}, (1280, 720), (128, 256), (128, 256)),
        ({"long_side": 256, "multiple": 64}, (640, 480), (192, 256), (192, 256)),
        ({"long_side": 256, "multiple": 64}, (720, 1280), (256, 192), (256, 192)),
        ({"long_side": 256, "multiple": 64, "rounding": "nearest"}, (9000, 10), (64, 256), (64, 256)),
        ({"fit": "pad", "long_side": 320}, (1280, 720), (180, 320), (192, 320)),
        ({"fit": "pad", "long_side": 320}, (1, 1000), (320, 1), (320, 32)),
    ],
)
def test_sizes(
    options: dict[str, Any], size_wh: tuple[int, int], content_hw: tuple[int, int], padded_hw: tuple[int, int]
) -> None:
    assert InputSpec(**options).shapes(size_wh, SQUARE) == (content_hw, padded_hw)


def test_wide_pixels_make_wide_pictures() -> None:
    assert InputSpec(long_side=256, multiple=64).shapes((720, 576), Fraction(64, 45)) == ((192, 256), (192, 256))


def test_every_row_of_the_registry_fits_every_frame() -> None:
    for spec in MODELS:
        for size_wh in ((1, 1), (1, 4000), (4000, 1), (1920, 1080)):
            content, padded = spec.net.input.shapes(size_wh, SQUARE)
            assert all(1 <= inner <= outer for inner, outer in zip(content, padded, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"size_wh": (0, 5)},
        {"size_wh": (5, 5), "fit": "pad"},
        {"long_side": 100, "multiple": 64},
        {"std": (1.0, 0.0, 1.0)},
        {"range": 0.0},
        {"layout": "chw"},
        {"dtype": "float16"},
        {"rounding": "down"},
    ],
)
def test_inputs_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="model spec, input: expected"):
        InputSpec(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "nhw", "channel": 1},
        {"layout": "nhw", "activation": "softmax"},
        {"activation": "relu"},
        {"low": 1.0, "high": 0.5},
        {"channel": -1},
    ],
)
def test_outputs_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="model spec, output"):
        OutputSpec(**options)


FULL = """
family = "image"

[input]
name = "x"
layout = "nhwc"
range = 1
mean = [0.5, 0.5, 0]
std = [1, 2, 3]
size_wh = [512, 288]

[output]
name = "y"
layout = "nhwc"
channel = 15
activation = "softmax"
background = true
low = 0.1
"""


def test_toml_with_everything(tmp_path: Path) -> None:
    file = tmp_path / "net.toml"
    file.write_text(FULL)
    assert read_net_spec(file) == NetSpec(
        input=InputSpec(
            name="x", layout="nhwc", range=1.0, mean=(0.5, 0.5, 0.0), std=(1.0, 2.0, 3.0), size_wh=(512, 288)
        ),
        output=OutputSpec(name="y", layout="nhwc", channel=15, activation="softmax", background=True, low=0.1),
    )


def test_toml_with_nothing_is_the_usual_net(tmp_path: Path) -> None:
    file = tmp_path / "net.toml"
    file.write_text("")
    assert read_net_spec(file) == NetSpec()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[input", "TOML"),
        ("[inputs]", "got inputs"),
        ('family = "video"', "got 'video'"),
        ("[input]\nsize = 3", "got 'size'"),
        ("[input]\nlong_side = 320.5", "long_side"),
        ("[input]\nlong_side = true", "long_side"),
        ("[input]\nmean = [1, 2]", "three means"),
        ('[input]\nmean = ["a"]', "mean"),
        ("[input]\nname = 3", "name"),
        ("[output]\nchannel = '1'", "channel"),
        ("output = 3", "a table"),
    ],
)
def test_toml_that_is_refused(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "net.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match="expected") as caught:
        read_net_spec(file)
    assert part in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"expected a model spec in TOML in .*net\.toml"):
        read_net_spec(tmp_path / "net.toml")
