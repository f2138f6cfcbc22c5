"""What a network eats and gives, as data: enough to run any net that looks at one picture at a time, and RVM."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from rtmatte.errors import SettingsError

Layout: TypeAlias = Literal["nhwc", "nchw"]
OutputLayout: TypeAlias = Literal["nhw", "nchw", "nhwc"]
Activation: TypeAlias = Literal["none", "sigmoid", "softmax"]
FitWay: TypeAlias = Literal["stretch", "pad"]
ShapeHw: TypeAlias = tuple[int, int]
Family: TypeAlias = Literal["image", "recurrent", "prompted"]


def _check_literals(spec: Any, where: str) -> None:
    for name, hint in get_type_hints(type(spec)).items():
        choices = get_args(hint)
        value = getattr(spec, name)
        if choices and all(isinstance(choice, str) for choice in choices) and value not in choices:
            raise SettingsError(
                f"model spec, {where}: expected {name} to be one of {', '.join(choices)}, got {value!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """The picture that goes in: RGB, each channel (value / range - mean) / std; raw bytes where `dtype` is uint8.

    `fit` "stretch" fills the net's picture whatever the frame's shape; "pad" keeps the shape, at the top left, and
    repeats the last row and column. The net's picture is `size_wh` pixels (only with "stretch"), else its longer side
    is `long_side`; other sides follow the frame's shape, up to the next multiple of `multiple` ("up") or to the
    "nearest" one. `name` None: the graph's first input.
    """

    name: str | None = None
    layout: Layout = "nchw"
    dtype: Literal["float32", "uint8"] = "float32"
    range: float = 255.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: FitWay = "stretch"
    size_wh: tuple[int, int] | None = None
    long_side: int = 320
    multiple: int = 32
    rounding: Literal["up", "nearest"] = "up"

    def __post_init__(self) -> None:
        _check_literals(self, "input")
        sides = (self.size_wh or ()) + (self.long_side, self.multiple)
        if any(side < 1 for side in sides) or (self.size_wh is not None and len(self.size_wh) != 2):
            raise SettingsError(f"model spec, input: expected sizes of at least 1 pixel, got {sides}")
        if self.size_wh is None and self.long_side % self.multiple:
            raise SettingsError(
                f"model spec, input: expected a long side that is a multiple of {self.multiple}, got {self.long_side}"
            )
        if self.size_wh is not None and self.fit == "pad":
            raise SettingsError('model spec, input: expected fit "stretch" with a fixed size, got "pad"')
        if len(self.mean) != 3 or len(self.std) != 3 or self.range <= 0 or min(self.std) <= 0:
            raise SettingsError(
                f"model spec, input: expected three means, three positive stds and a positive range, "
                f"got {self.mean}, {self.std}, {self.range}"
            )

    def shapes(
        self, size_wh: tuple[int, int], sample_aspect_ratio: Fraction
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """For frames of that size: (height, width) that the frame fills, and of the net's picture."""
        if self.size_wh is not None:
            fixed = self.size_wh[1], self.size_wh[0]
            return fixed, fixed
        display_w, height = size_wh[0] * sample_aspect_ratio, Fraction(size_wh[1])
        scale = self.long_side / max(display_w, height)
        sides = (height * scale, display_w * scale)
        if self.fit == "pad":
            content = max(1, round(sides[0])), max(1, round(sides[1]))
            return content, (self._rounded(Fraction(content[0])), self._rounded(Fraction(content[1])))
        stretched = self._rounded(sides[0]), self._rounded(sides[1])
        return stretched, stretched

    def _rounded(self, side: Fraction) -> int:
        steps = math.ceil(side / self.multiple) if self.rounding == "up" else round(side / self.multiple)
        return max(1, steps) * self.multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """Where alpha is in what comes out: the channel, its activation, and whether it says background instead.

    With `low` and `high`, those values become 0 and 1. `name` None: the graph's first output. `same_size`: alpha has
    the size of the net's picture, anything else is an error; without it any size is taken for the whole picture.
    """

    name: str | None = None
    layout: OutputLayout = "nchw"
    channel: int = 0
    activation: Activation = "none"
    background: bool = False
    low: float = 0.0
    high: float = 1.0
    same_size: bool = False

    def __post_init__(self) -> None:
        _check_literals(self, "output")
        if self.channel < 0 or (self.layout == "nhw" and self.channel != 0):
            raise SettingsError(f"model spec, output: no channel {self.channel} in the layout {self.layout!r}")
        if self.layout == "nhw" and self.activation == "softmax":
            raise SettingsError("model spec, output: expected channels for a softmax, got the layout 'nhw'")
        if not self.low < self.high:
            raise SettingsError(f"model spec, output: expected low < high, got {self.low} and {self.high}")


IMAGENET = InputSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Floats normalised by the mean and spread of ImageNet's pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSpec:
    """`family` "image": one picture in, one alpha out. "recurrent": RVM's form, with state and a downsample ratio.

    "prompted": SAM 2's form, an encoder and a decoder that is told points; only for models of the registry.
    """

    family: Family = "image"
    input: InputSpec = InputSpec()
    output: OutputSpec = OutputSpec()

    def __post_init__(self) -> None:
        _check_literals(self, "top")


HOUSE_OUTPUT = OutputSpec(name="alpha", layout="nhw", same_size=True)
"""What the graphs built in models/ give: alpha itself."""


def house_input(**options: Any) -> InputSpec:
    """What the graphs built in models/ eat: bytes, normalised inside."""
    return InputSpec(name="image", layout="nhwc", dtype="uint8", **options)


def read_net_spec(path: Path) -> NetSpec:
    """A spec from TOML: `family = "image"` and the tables [input] and [output], with the fields of the classes here.

    Raises:
        SettingsError: no such file, not TOML, an unknown field, or a value of the wrong kind or out of range.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"expected a model spec in TOML in {path}, got {error}") from error
    unknown = set(table) - {"family", "input", "output"}
    if unknown:
        raise SettingsError(f"{path}: expected family, [input] and [output], got {', '.join(sorted(unknown))}")
    return NetSpec(
        family=table.get("family", "image"),
        input=_from_table(InputSpec, table.get("input", {}), path),
        output=_from_table(OutputSpec, table.get("output", {}), path),
    )


def _from_table(kind: type[Any], table: Any, path: Path) -> Any:
    if not isinstance(table, Mapping):
        raise SettingsError(f"{path}: expected a table for {kind.__name__}, got {table!r}")
    known = {field.name: field for field in fields(kind)}
    hints = get_type_hints(kind)
    values = {}
    for name, value in table.items():
        if name not in known:
            raise SettingsError(f"{path}: expected fields {', '.join(known)}, got {name!r}")
        values[name] = _converted(name, value, hints[name], path)
    return kind(**values)


def _converted(name: str, value: Any, hint: Any, path: Path) -> Any:
    """Lists become tuples and whole numbers floats where the field wants those; anything else of another kind fails."""
    wanted = hint
    if isinstance(value, list):
        member = float if name in ("mean", "std") else int
        if name in ("mean", "std", "size_wh") and all(_is_number(item, member) for item in value):
            return tuple(member(item) for item in value)
    elif wanted is float and _is_number(value, float):
        return float(value)
    elif wanted in (int, bool):
        if type(value) is wanted:
            return value
    elif isinstance(value, str) and wanted is not float:
        return value
    raise SettingsError(f"{path}: expected {name} to be of the kind {wanted}, got {value!r}")


def _is_number(value: Any, kind: type[float] | type[int]) -> bool:
    return type(value) is int or (kind is float and type(value) is float)
