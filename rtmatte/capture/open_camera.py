"""From what a user wrote to a camera."""

from __future__ import annotations

from pathlib import Path

from rtmatte.capture.camera import Camera
from rtmatte.pool import PicturePool

_FILE = "file:"


def open_camera(text: str, size_wh: tuple[int, int] | None, frame_rate: float, loop: bool, pool: PicturePool) -> Camera:
    """The camera that `text` names: `pattern`, `file:PATH`, or a device; it captures once it is entered.

    A device is named by `default`, an index, a device path, a stable device id or (part of) its name; size and rate
    are asked of it. A file has its own size and rate; only for it counts `loop`. Pictures come from `pool`.

    Raises: `CameraNotFoundError` if nothing matches a name, `CameraPermissionError`, and for a file what
    `VideoFileSource` raises. `default` without any camera and a camera in use by others raise nothing: they are waited
    for.
    """
    if text == "pattern":
        from rtmatte.capture.pattern_camera import PatternCamera

        return PatternCamera(size_wh, frame_rate, pool)
    if text.startswith(_FILE):
        from rtmatte.capture.file_camera import FileCamera

        return FileCamera(Path(text.removeprefix(_FILE)).expanduser(), loop, pool)
    from rtmatte.capture.webcam import open_webcam

    return open_webcam(text, size_wh, frame_rate, pool)
