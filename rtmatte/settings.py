"""What a user can choose: every default, range and unit in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, ClassVar, Literal, TypeAlias, get_args, get_origin, get_type_hints

from rtmatte import clicks
from rtmatte.errors import SettingsError

Device: TypeAlias = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml", "openvino", "openvino-gpu"]
Fit: TypeAlias = Literal["cover", "contain", "stretch"]
Codec: TypeAlias = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
Encoder: TypeAlias = Literal["auto", "software", "hardware"]
Decoder: TypeAlias = Literal["software", "hardware"]
RefinerName: TypeAlias = Literal["guided", "upscale", "closed-form", "knn"]
People: TypeAlias = Literal["everyone", "nearest"]
SpillName: TypeAlias = Literal["off", "auto", "green", "blue"]
FocusName: TypeAlias = Literal["whole", "near", "fast"]
WhenSlow: TypeAlias = Literal["auto", "drop", "propagate"]

_VIDEO_SUFFIXES = {
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mts",
    ".ts",
    ".mpg",
    ".mpeg",
    ".wmv",
    ".flv",
    ".gif",
}
_BLUR_DEFAULT = 0.5


@dataclass(frozen=True, slots=True)
class Transparent:
    """No background: the result keeps its alpha."""


@dataclass(frozen=True, slots=True)
class Color:
    """One colour, as (red, green, blue) from 0 to 255 in sRGB."""

    rgb: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Blur:
    """The room itself, blurred: strength over 0 up to 1; 1 is a Gaussian of 5 % of the frame height."""

    strength: float


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A picture from a file."""

    path: Path


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A clip from a file, looped."""

    path: Path


BackgroundChoice: TypeAlias = Transparent | Color | Blur | ImageFile | VideoFile


def parse_background(text: str) -> BackgroundChoice:
    """Reads a background as users write it.

    `none`; `blur` or `blur:0.7`; a colour as `#rrggbb`, `#rgb` or a CSS name (`green`); else the path of a picture or
    clip (write `./green` for a file of that name).

    Raises: `SettingsError` for a blur out of range, an impossible colour or a file that isn't there.
    """
    from PIL import ImageColor

    word = text.strip().lower()
    if word == "none":
        return Transparent()
    if word == "blur" or word.startswith("blur:"):
        return Blur(_blur_strength(word))
    if word.startswith("#") or re.fullmatch(r"[a-z]+", word):
        try:
            red, green, blue = ImageColor.getrgb(word)[:3]
        except ValueError:
            if word.startswith("#"):
                raise SettingsError(f"Expected a colour such as #00b140, got {text!r}.") from None
        else:
            return Color((red, green, blue))
    path = Path(text).expanduser()
    if not path.is_file():
        raise SettingsError(
            f"Background {text!r} is neither a file nor one of: none, blur, blur:0.1 to blur:1, #rrggbb, a colour name."
        )
    return VideoFile(path) if path.suffix.lower() in _VIDEO_SUFFIXES else ImageFile(path)


def _blur_strength(word: str) -> float:
    _, colon, number = word.partition(":")
    try:
        strength = float(number) if colon else _BLUR_DEFAULT
    except ValueError:
        strength = float("nan")
    if not 0 < strength <= 1:
        raise SettingsError(f"Expected a blur strength over 0 and up to 1, such as blur:0.7, got {word!r}.")
    return strength


class _Checked:
    """Checks every field of a settings dataclass against its `Literal` type or its range, at construction."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for name, (low, high) in self.ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise SettingsError(f"{_option(name)}: expected {low:g} to {high:g}, got {value!r}.")
        for name, hint in hints.items():
            allowed = _literals(hint)
            if allowed and getattr(self, name) not in allowed:
                names = ", ".join(str(choice) for choice in allowed if choice is not None)
                raise SettingsError(f"{_option(name)}: expected one of {names}, got {getattr(self, name)!r}.")
        for name in [name for name in ("keep", "drop") if name in hints]:
            clicks.check(getattr(self, name), option=_option(name))


_OPTIONS = {"frame_rate_requested": "--target-fps", "max_cpu_percent": "--max-cpu", "refiner": "--refine"}
"""Settings that the command line calls by shorter names."""


def _option(name: str) -> str:
    """The name of a setting as the command line spells it."""
    return _OPTIONS.get(name) or "--" + name.removesuffix("_s").replace("_", "-")


def _literals(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if isinstance(hint, UnionType) or get_origin(hint) is not None:
        members = get_args(hint)
        if any(get_origin(member) is Literal for member in members):
            return tuple(v for m in members for v in (get_args(m) if get_origin(m) is Literal else (None,)))
    return ()


@dataclass(frozen=True, kw_only=True)
class EstimateSettings(_Checked):
    """How alpha is estimated: for video and stills alike."""

    model: str = "u2netp"
    """A name of `rtmatte models list`, or the path of an .onnx file."""
    model_spec: Path | None = None
    """What the net in a file of your own eats and gives, as TOML; None: the file of the same name beside it."""
    device: Device = "auto"
    threads: int | None = None
    """Threads of the model; None: one for each core."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"threads": (1, 256)}


@dataclass(frozen=True, kw_only=True)
class MovingSettings(EstimateSettings):
    """How alpha of moving pictures is made: files and cameras alike."""

    model: str = "people"
    """As one net or another, by device; for anything else see `rtmatte models list`."""
    focus: FocusName = "whole"
    """What the model sees: the whole picture, the part with everybody in it at as many pixels, or at half as many."""
    skip_still: bool = True
    """Don't run the model on frames in which nothing has moved; half a second long at most."""
    smoothing_s: float = 0.2
    """Time constant of the mask filter in seconds; 0 = off. It goes along with what moves."""
    refiner: RefinerName = "guided"
    """How alpha comes to frame size: along the picture's edges, plainly, or by closed-form or KNN matting (slow)."""
    people: People = "everyone"
    """Who stays: all, or only who was nearest at first and is followed from then on."""
    edge_colors: bool = True
    """Take the old background out of the colours of hair and other soft edges."""
    spill: SpillName = "off"
    """Take the light of a green or blue screen off the person (despill), or of any coloured wall off their edges."""
    clean_plate: bool = False
    """Learn the room behind, as far as the camera stands still, and settle the edge by it."""
    plate: Path | None = None
    """A photo of the empty room from where the camera stands: as `clean_plate`, with nothing to be learnt first."""
    light_wrap: float = 0.0
    """How much of the new background's light reaches around the person, 0 (none) to 1."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **EstimateSettings.ranges,
        "smoothing_s": (0, 5),
        "light_wrap": (0, 1),
    }


@dataclass(frozen=True, kw_only=True)
class VideoSettings(MovingSettings):
    """A run over a recorded clip."""

    batch: int | None = None
    """Frames that the model gets in one run at most, where it can take several; None: 1 on a processor, several
    elsewhere. On a processor more than 1 takes the place of several frames at once."""
    background: str = "none"
    fit: Fit = "cover"
    """How a picture or clip of another shape fills the frame."""
    keep: tuple[str, ...] = ()
    """Who stays, by points of the first frame as it is displayed: `320,240` in pixels, or `50%,40%`."""
    drop: tuple[str, ...] = ()
    """Who goes, likewise; alone, everyone else stays, or with `people="nearest"` the nearest of the others."""
    click_model: str | None = None
    """Tells who was clicked in the first frame, such as `sam2-tiny`; None: whole pieces of alpha were. The model is
    pulled, and of use where people touch there."""
    both_ways: bool = False
    """Show the model each picture in a mirror as well and take the mean; twice the work."""
    two_pass: bool = False
    """Go through the clip twice, so that each mask is settled by those after it as well; slower."""
    propagate: bool = True
    """With `two_pass`: where motion explains the picture, don't run the model on every second frame, whose alpha comes
    from both sides along optical flow. Models that remember see all frames."""
    matte: bool = False
    """Write alpha itself instead of a composite."""
    codec: Codec | None = None
    """None: the container's usual one."""
    encoder_quality: int = 70
    """1 (small) to 100 (best)."""
    encoder: Encoder = "auto"
    decoder: Decoder = "software"
    """`hardware`: CUDA, on a Mac VideoToolbox, on Windows D3D11 as well; the run fails where none decodes the clip."""
    overwrite: bool = False
    stall_timeout_s: float = 120.0
    """A stage that works longer than this on one frame has stalled; what TensorRT builds first doesn't count."""
    jobs: int = 1
    """So many processes share a clip that has key frames to cut it at; where it has none, or a choice needs the whole
    clip, one does it all."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **MovingSettings.ranges,
        "encoder_quality": (1, 100),
        "stall_timeout_s": (0.1, 86400),
        "jobs": (1, 64),
        "batch": (1, 64),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.click_model is not None and not self.keep and not self.drop:
            raise SettingsError(
                "--click-model: expected --keep or --drop as well, got neither.",
                hint="Give a point on somebody, such as --keep 50%,60%.",
            )


@dataclass(frozen=True, kw_only=True)
class ImageSettings(EstimateSettings):
    """A run over a still."""

    background: str = "none"
    fit: Fit = "cover"
    refiner: RefinerName = "upscale"
    """How alpha comes to the picture's size."""
    keep: tuple[str, ...] = ()
    """What stays, by points of the upright picture: `320,240` in pixels, or `50%,40%`."""
    drop: tuple[str, ...] = ()
    """What goes, likewise; alone, everything else that stands in front stays."""
    edge_colors: bool = False
    """Estimate the foreground's own colours at soft edges; needs the extra `quality`."""
    spill: SpillName = "off"
    """As `MovingSettings.spill`."""
    encoder_quality: int | None = None
    """None: 95 for JPEG, WebP without loss."""
    max_megapixels: float = 200.0
    """Larger pictures are refused: a small file can unpack to more than the machine's memory."""
    overwrite: bool = False

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **EstimateSettings.ranges,
        "encoder_quality": (1, 100),
        "max_megapixels": (0.000001, 1_000_000),
    }


BEST_VIDEO: Mapping[str, Any] = MappingProxyType(
    {"both_ways": True, "clean_plate": True, "two_pass": True, "refiner": "guided"}
)
"""What `--quality best` chooses for a clip: the best mattes by benchmarks/quality.py, at several times the work."""

BEST_IMAGE: Mapping[str, Any] = MappingProxyType({"refiner": "closed-form", "edge_colors": True})
"""What `--quality best` chooses for a still; needs the extra `quality`."""


@dataclass(frozen=True, kw_only=True)
class LiveSettings(MovingSettings):
    """A live run: a camera in, a virtual camera out."""

    model: str = "auto"
    """As for files; `auto`: the best that keeps up on this machine, see `rtmatte tune`."""
    camera: str = "default"
    """`default`, an index, a device path, a stable device id, (part of) a name, `pattern`, or `file:PATH`."""
    loop: bool = False
    """Begin a `file:` camera again at its end."""
    size_wh: tuple[int, int] | None = None
    """Asked of the camera and given to the virtual camera; None: 1280x720, or what the camera grants instead."""
    frame_rate_requested: float = 30.0
    """Frames a second: asked of the camera, and what model, threads and masks are chosen for."""
    output: str = "auto"
    """The virtual camera's device (/dev/video10, "OBS Virtual Camera"), `auto`, or `null`: none, to measure."""
    backgrounds: tuple[str, ...] = ("blur",)
    """The first is shown; a key goes on to the next. `none` isn't one: a virtual camera knows no transparency."""
    fit: Fit = "cover"
    safe_frame: Path | None = None
    """The picture shown whenever there is no composite to show; None: a card."""
    mirror: bool = False
    preview: bool = False
    when_slow: WhenSlow = "auto"
    """When the model is slower than the camera: fewer frames, or masks carried by optical flow to the frames between;
    `auto` decides by measuring."""
    away_after_s: float | None = None
    """Nobody in the picture for so long: a "be right back" card; None: never."""
    max_cpu_percent: float | None = None
    """Of all cores together; None: no limit."""
    idle: bool = True
    """Rest while no program reads the virtual camera, where the system tells."""
    stats: Path | None = None
    """Append a line of JSON with all counters there, every second."""
    metrics_port: int | None = None
    """Serve the counters to Prometheus on this port of the loopback address."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **MovingSettings.ranges,
        "frame_rate_requested": (1, 240),
        "away_after_s": (0.5, 3600),
        "max_cpu_percent": (5, 100),
        "metrics_port": (1, 65535),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.backgrounds or any(isinstance(parse_background(text), Transparent) for text in self.backgrounds):
            raise SettingsError(
                "--background: expected blur, a colour, a picture or a clip for a virtual camera, got "
                f"{', '.join(self.backgrounds) or 'nothing'}.",
                hint="A virtual camera can't be transparent; a green background can be keyed out: '#00b140'.",
            )
        if self.size_wh is not None and not all(16 <= side <= 8192 and side % 2 == 0 for side in self.size_wh):
            raise SettingsError(
                f"--size: expected even sides of 16 to 8192 pixels, got {self.size_wh[0]}x{self.size_wh[1]}."
            )


@dataclass(frozen=True, kw_only=True)
class BenchSettings(_Checked):
    """A benchmark: every model at every size on every device with every number of threads and batch."""

    clip: Path | None = None
    """None, and no camera: a generated clip."""
    camera: str | None = None
    """As `LiveSettings.camera`: the live run is measured, not the file run."""
    models: tuple[str, ...] = (MovingSettings.model, "selfie")
    """What clips and calls use; and the quickest, so that there is something to compare with."""
    sizes_wh: tuple[tuple[int, int], ...] = ()
    """None: the clip's own, what the camera grants, or 1280x720 for a generated clip."""
    devices: tuple[str, ...] = (EstimateSettings.device,)
    threads: tuple[int, ...] = ()
    """None: the model's default."""
    batches: tuple[int, ...] = ()
    """As `VideoSettings.batch`; none: what suits the device."""
    decoder: Decoder = VideoSettings.decoder
    """As `VideoSettings.decoder`, for all cases."""
    background: str = "blur"
    seconds_per_case: float = 5.0
    """Measured in each round, after the warm-up."""
    rounds: int = 3
    budget_s: float | None = None
    """For everything together once the models are ready; None: what the plan needs at most."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "seconds_per_case": (0.1, 600),
        "rounds": (1, 100),
        "budget_s": (1, 86400),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clip is not None and self.camera is not None:
            raise SettingsError("Expected a clip or --camera, got both.")
        if not self.models or not self.devices:
            raise SettingsError("Expected at least one of --models and of --devices.")
        for device in self.devices:
            if device not in get_args(Device):
                raise SettingsError(f"--devices: expected of {', '.join(get_args(Device))}, got {device!r}.")
        for threads in self.threads:
            if not 1 <= threads <= 256:
                raise SettingsError(f"--threads: expected 1 to 256, got {threads}.")
        for batch in self.batches:
            low, high = VideoSettings.ranges["batch"]
            if not low <= batch <= high:
                raise SettingsError(f"--batches: expected {low:g} to {high:g}, got {batch}.")
        if self.batches and self.camera is not None:
            raise SettingsError("--batches: expected a clip, got --camera; a live run never waits for frames to batch.")
        if self.decoder != "software" and self.camera is not None:
            raise SettingsError("--decoder: expected a clip, got --camera, which is decoded by software.")
        for width, height in self.sizes_wh:
            if not all(16 <= side <= 8192 and side % 2 == 0 for side in (width, height)):
                raise SettingsError(f"--sizes: expected even sides of 16 to 8192 pixels, got {width}x{height}.")
        transparent = isinstance(parse_background(self.background), Transparent)
        if transparent and self.camera is not None:
            raise SettingsError("--background: a virtual camera can't be transparent; expected another than none.")
