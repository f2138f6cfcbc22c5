"""rtmatte cameras list"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Annotated

import typer

from rtmatte.cli import speaking

if TYPE_CHECKING:
    from rtmatte.capture.camera_info import CameraInfo, CameraMode, VirtualOutput

app = typer.Typer(no_args_is_help=True, help="What cameras there are, real and virtual.")

_MANY_FORMATS = 12
"""A loopback device that nobody feeds offers every format there is."""


@app.callback()
def _group() -> None:
    pass  # without it, typer would make `list` the command itself


@app.command("list")
def list_cameras(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """List the cameras with their modes and stable ids, and the virtual cameras that can be sent to.

    --camera of `rtmatte webcam` takes a name or a part of it, a device or an id.
    """
    from dataclasses import asdict

    from rtmatte.capture.choose_camera import system_devices

    devices = system_devices()
    cameras, outputs = devices.cameras(), devices.outputs()
    if as_json:
        speaking.print_json(
            {"cameras": [asdict(camera) for camera in cameras], "outputs": [asdict(output) for output in outputs]}
        )
        return
    for camera in cameras:
        print("\n".join(camera_lines(camera)))
    for output in outputs:
        print(f"virtual output: {output.name} ({output.device}), {output_state(output)}")
    if not cameras:
        naming = "" if platform.system() == "Linux" else " Their names need: pip install 'rtmatte[camera]'."
        speaking.say(f"No camera was found.{naming}")


def camera_lines(camera: CameraInfo) -> list[str]:
    """Name and device, id, and a line for each pixel format."""
    kind = "virtual camera" if camera.virtual else "camera"
    denied = ": PERMISSION DENIED; run: sudo usermod -aG video $USER" if camera.denied else ""
    formats: dict[str, list[CameraMode]] = {}
    for mode in camera.modes:
        formats.setdefault(mode.fourcc, []).append(mode)
    lines = [f"{kind}: {camera.name} ({camera.device}){denied}", f"  id    {camera.device_id}"]
    if len(formats) > _MANY_FORMATS:
        return [*lines, f"  modes {len(formats)} formats, whatever a sender chooses"]
    return lines + [f"  {fourcc:5} {_sizes(modes)}" for fourcc, modes in formats.items()]


def _sizes(modes: list[CameraMode]) -> str:
    """Largest first: "1280x720 at 30, 15 fps; 640x480 at 30 fps"."""
    largest_first = sorted(modes, key=lambda mode: mode.size_wh[0] * mode.size_wh[1], reverse=True)
    return "; ".join(
        f"{mode.size_wh[0]}x{mode.size_wh[1]}"
        + (f" at {', '.join(f'{rate:g}' for rate in mode.frame_rates)} fps" if mode.frame_rates else "")
        for mode in largest_first
    )


def output_state(output: VirtualOutput) -> str:
    """What it can be used for now."""
    if output.accepts:
        return "ready" + ("; no exclusive_caps: browsers don't see it" if output.delivers else "")
    if output.delivers:
        return "a program is sending to it"
    return "STUCK: reload its module (sudo modprobe -r v4l2loopback, then load it again)"
