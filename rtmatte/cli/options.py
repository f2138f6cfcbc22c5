"""Options that several subcommands share, and what becomes of them; defaults and choices are `rtmatte.settings`'."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from rtmatte.errors import SettingsError
from rtmatte.matting.batch_size import BATCH_ON_A_DEVICE
from rtmatte.settings import Decoder, Device, EstimateSettings, Fit, FocusName, People, RefinerName, SpillName, WhenSlow

_Settings = TypeVar("_Settings", bound=EstimateSettings)

Input = Annotated[Path, typer.Argument(help="The file to read.", show_default=False)]
Output = Annotated[Path, typer.Option("-o", "--output", help="The file to write; its extension chooses the format.")]
Background = Annotated[
    str,
    typer.Option(
        "-b",
        "--background",
        metavar="WHAT",
        help="none (transparent), blur, blur:0.7, '#00b140', a colour name, or a picture or clip file.",
    ),
]
FitOption = Annotated[Fit, typer.Option("--fit", help="How a background file fills the frame.")]
Model = Annotated[str, typer.Option("--model", help="A name of 'rtmatte models list', or your own .onnx file.")]
LiveModel = Annotated[
    str,
    typer.Option(
        "--model",
        help="auto (the best that keeps up: 'rtmatte tune'), a name of 'rtmatte models list', or your own .onnx file.",
    ),
]
TargetRate = Annotated[
    float,
    typer.Option(
        "--target-fps", "--fps", help="Frames a second: asked of the camera, and what model and masks are chosen for."
    ),
]
WhenSlowOption = Annotated[
    WhenSlow,
    typer.Option("--when-slow", help="If the model is slower than the camera: fewer frames, or masks carried on."),
]
MaxCpu = Annotated[float | None, typer.Option("--max-cpu", metavar="PERCENT", help="Of all cores together.")]
ModelSpec = Annotated[
    Path | None,
    typer.Option("--model-spec", help="What your own model eats and gives, as TOML [default: NAME.toml beside it]."),
]
DeviceOption = Annotated[
    Device,
    typer.Option("--device", help="What the model runs on; auto takes a GPU if there, and 'rtmatte doctor' tells."),
]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads of the model [default: one a core].")]
Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        metavar="N",
        help=f"Frames in one run of the model, 1 = off [default: auto: 1 on a CPU, {BATCH_ON_A_DEVICE} elsewhere].",
    ),
]
DecoderOption = Annotated[
    Decoder,
    typer.Option("--decoder", help="hardware: a GPU decodes the clip, or the run fails; 'rtmatte doctor' tells."),
]
FocusOption = Annotated[
    FocusName,
    typer.Option(
        "--focus", help="What the model sees: all, or people near, if far from the camera; fast: with half the pixels."
    ),
]
SkipStill = Annotated[
    bool, typer.Option("--skip-still/--no-skip-still", help="Let the model rest while nothing moves.")
]
Smoothing = Annotated[float, typer.Option("--smoothing", help="Time constant of the mask filter in seconds; 0 = off.")]
RefinerOption = Annotated[
    RefinerName,
    typer.Option("--refine", help="How the mask comes to full size: along edges, plainly, or by slow exact matting."),
]
PeopleOption = Annotated[People, typer.Option("--people", help="Who stays: everyone, or only who is nearest.")]
Keep = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="X,Y", help="Who stays: a point on them in the first picture; 320,240 or 50%,40%."),
]
Drop = Annotated[
    list[str] | None, typer.Option("--drop", metavar="X,Y", help="Who goes, likewise. Both may be given several times.")
]
ClickModel = Annotated[
    str | None,
    typer.Option(
        "--click-model",
        metavar="NAME",
        help="Who was clicked, told even where people touch: sam2-tiny. Takes seconds, once; pull it first.",
    ),
]
EdgeColors = Annotated[
    bool,
    typer.Option("--edge-colors/--no-edge-colors", help="Take the old background out of the colours of soft edges."),
]
Spill = Annotated[
    SpillName,
    typer.Option(
        "--spill",
        help="Despill: take the light of a green or blue screen off the person; auto: of any coloured wall, off edges.",
    ),
]
BothWays = Annotated[
    bool,
    typer.Option("--both-ways", help="Show the model each picture in a mirror as well; calmer edges, twice the work."),
]
CleanPlate = Annotated[
    bool, typer.Option("--clean-plate", help="The camera stands still: learn the room and settle the edge by it.")
]
Plate = Annotated[
    Path | None,
    typer.Option("--plate", help="A photo of the empty room from where the camera stands: as --clean-plate."),
]
LightWrap = Annotated[
    float, typer.Option("--light-wrap", help="Light of the new background around the person, 0 to 1.")
]
Quality = Annotated[
    Literal["normal", "best"],
    typer.Option(
        "--quality", help="best: the slow, good choice of every option that isn't given; see docs/quality.md."
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", metavar="N", help="Cut a long clip at key frames and do so many parts of it at a time.")
]
Overwrite = Annotated[bool, typer.Option("-y", "--overwrite", help="Replace an existing output.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]


def settings(kind: type[_Settings], chosen: Mapping[str, Any], **others: Any) -> _Settings:
    """`kind` with what a subcommand's parameters say: those of `chosen` that are called as its fields, and `others`.

    Raises: `SettingsError` for what is out of range or contradicts another.
    """
    names = {field.name for field in fields(kind)} & set(chosen)
    return kind(**{name: chosen[name] for name in names} | others)


def best_of(context: typer.Context, quality: str, best: Mapping[str, Any]) -> dict[str, Any]:
    """With `--quality best` what it chooses wherever the user chose nothing."""
    if quality == "normal":
        return {}
    return {name: value for name, value in best.items() if not _is_given(context, name)}


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def size_wh(text: str, *, option: str = "--size") -> tuple[int, int]:
    """Raises: `SettingsError` for what isn't WIDTHxHEIGHT."""
    match = re.fullmatch(r"(\d+)x(\d+)", text.strip())
    if match is None:
        raise SettingsError(f"{option}: expected WIDTHxHEIGHT, such as 1280x720, got {text!r}.")
    return int(match[1]), int(match[2])
