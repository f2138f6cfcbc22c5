"""rtmatte doctor"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, TypeAlias

import typer

from rtmatte.cli import call_checks
from rtmatte.errors import RtmatteError

_Check: TypeAlias = tuple[str, Callable[[], str]]


def doctor(
    call: Annotated[
        bool, typer.Option("--call", help="Check only what a video call needs: a camera and a virtual camera.")
    ] = False,
) -> None:
    """Check what this machine has for rtmatte, and say what to do about what it hasn't.

    What only a video call needs is a note here, and a failure with --call.
    """
    needed, wanted = (_CALL_CHECKS, _EXTRAS) if call else (_CHECKS, (*_CALL_CHECKS[1:], *_EXTRAS))
    went_well = [_examine(check, "FAIL") for check in needed]
    for check in wanted:
        _examine(check, "note")
    if not all(went_well):
        raise typer.Exit(1)


def _examine(check: _Check, verdict: str) -> bool:
    """Prints a line about it, with `verdict` in front if it fails; whether it went well."""
    title, examine = check
    try:
        print(f"ok    {title}: {examine()}")
    except (RtmatteError, ImportError, OSError) as error:
        print(f"{verdict}  {title}: {error}")
        return False
    return True


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _package() -> str:
    import rtmatte

    return f"rtmatte {rtmatte.__version__} in {sys.prefix}"


def _runtime() -> str:
    from rtmatte.matting.session import check_runtime

    found = check_runtime()
    return f"{found.distribution} {found.version}, offers {', '.join(found.providers)}"


def _devices() -> str:
    from rtmatte.matting.devices import examine_devices

    automatic, *others = examine_devices()
    said = [f"auto takes {automatic.provider} ({automatic.reason})"]
    said += [f"{row.device} works" for row in others if row.state == "works"]
    said += [f"{row.device} doesn't work: {row.reason}" for row in others if row.state == "fails"]
    absent = ", ".join(row.device for row in others if row.state == "absent")
    return "; ".join(said) + (f"; not in this runtime: {absent}" if absent else "")


def _model() -> str:
    import numpy as np

    from rtmatte.frame import Frame
    from rtmatte.matting.load import load_matter

    matter = load_matter()
    matter.estimate(Frame(np.zeros((96, 128, 3), np.uint8), 0, Fraction(1), 0))
    return f"{matter.name} runs on {matter.provider}"


def _weights() -> str:
    from rtmatte.matting.registry import SHIPPED
    from rtmatte.matting.weights import verify

    for spec in SHIPPED:
        verify(spec)
    return f"{', '.join(spec.name for spec in SHIPPED)} intact"


def _encoders() -> str:
    from rtmatte.output.encoders import ENCODERS, opens

    rows = [row for row in ENCODERS if opens(row, (1280, 720), 70)]
    hardware = [row.name for row in rows if row.hardware]
    software = sorted({row.name for row in rows if not row.hardware})
    return f"hardware: {', '.join(hardware) or 'none opens here'}; software: {', '.join(software)}"


def _decoders() -> str:
    from rtmatte.capture.video_file import VideoFileSource
    from rtmatte.errors import DecoderUnavailableError
    from rtmatte.runs.bench.clips import make_scene_clip

    with TemporaryDirectory(prefix="rtmatte-") as folder:
        clip = Path(folder) / "scene.mp4"
        make_scene_clip(clip, (320, 192))
        try:
            VideoFileSource(clip, decoder="hardware").close()
        except DecoderUnavailableError as error:
            return f"software works. {error.message}"
    return "hardware and software work, for H.264"


def _kernels() -> str:
    import numpy as np

    from rtmatte.composite.compositor import Compositor
    from rtmatte.composite.still_background import ColorBackground
    from rtmatte.frame import I420, ColorTags, Frame

    picture = I420.allocate((64, 48), ColorTags())
    picture.buffer.fill(128)
    frame, alpha_u8 = Frame(picture, 0, Fraction(1), 0), np.full((48, 64), 255, np.uint8)
    Compositor(ColorBackground((0, 0, 0))).composite(frame, alpha_u8)
    return "compiled and cached"


_CHECKS: tuple[_Check, ...] = (
    ("machine", _machine),
    ("package", _package),
    ("model files", _weights),
    ("inference runtime", _runtime),
    ("devices", _devices),
    ("model", _model),
    ("compositing kernels", _kernels),
    ("video encoders", _encoders),
    ("video decoders", _decoders),
)

_CALL_CHECKS: tuple[_Check, ...] = (
    ("machine", _machine),
    ("camera", call_checks.cameras),
    ("virtual camera", call_checks.virtual_camera),
)

_EXTRAS: tuple[_Check, ...] = (("display", call_checks.display),)
