"""Which camera a user means."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator
from pathlib import Path

from rtmatte.capture.camera_info import CameraDevices, CameraInfo
from rtmatte.errors import CameraNotFoundError, CameraPermissionError

DEFAULT = "default"


def system_devices() -> CameraDevices:
    """The cameras of this operating system."""
    if _on_linux():
        from rtmatte.capture.linux_cameras import LinuxCameras

        return LinuxCameras()
    from rtmatte.capture.other_cameras import OtherCameras

    return OtherCameras()


def _on_linux() -> bool:
    return platform.system() == "Linux"


def choose_camera(text: str, devices: CameraDevices) -> CameraInfo | None:
    """The camera named by `default`, a stable id, a path (links are followed), an index, a name or a part of one.

    The more exact goes before the less. The default is the first that no program feeds; None if there is none. Where
    no cameras are known (macOS and Windows without the extra `camera`), an index is taken as it is.

    Raises: `CameraNotFoundError` listing what there is; `CameraPermissionError` if the chosen one may not be opened.
    """
    cameras = devices.cameras()
    if not cameras and not _on_linux() and (text == DEFAULT or text.isdecimal()):
        index = "0" if text == DEFAULT else text
        return CameraInfo(f"camera {index}", index, f"index-{index}")
    if text == DEFAULT:
        real = [camera for camera in cameras if not camera.virtual]
        chosen = next((camera for camera in real if not camera.denied), real[0] if real else None)
    else:
        chosen = next(_matching(text, cameras), None)
        if chosen is None:
            raise _not_found(text, cameras)
    if chosen is not None and chosen.denied:
        raise CameraPermissionError(
            f"{chosen.name} ({chosen.device}) may not be opened: permission denied.",
            hint="Run: sudo usermod -aG video $USER, then log out and in again.",
        )
    return chosen


def _matching(text: str, cameras: list[CameraInfo]) -> Iterator[CameraInfo]:
    path = str(Path(text).resolve()) if "/" in text else text
    wanted = text.casefold()
    yield from (camera for camera in cameras if text == camera.device_id)
    yield from (camera for camera in cameras if path == camera.device)
    if text.isdecimal():
        yield from (camera for camera in cameras if camera.device == f"/dev/video{text}")
    yield from (camera for camera in cameras if wanted == camera.name.casefold())
    yield from (camera for camera in cameras if wanted in camera.name.casefold())


def _not_found(text: str, cameras: list[CameraInfo]) -> CameraNotFoundError:
    there = ", ".join(f"{camera.name} ({camera.device})" for camera in cameras)
    hint = f"There is: {there}." if there else "There is no camera at all: plug one in, or try --camera pattern."
    if Path(text).is_file():
        hint = f"To play a file as a camera: --camera {shlex.quote(f'file:{text}')}."
        return CameraNotFoundError(f"{text} is a file: expected a camera.", hint=hint)
    if "/" in text:
        state = "is there, but gives no pictures now" if Path(text).exists() else "does not exist"
        return CameraNotFoundError(f"{text} {state}: expected a camera.", hint=hint)
    return CameraNotFoundError(f"No camera matches {text!r}.", hint=hint)
