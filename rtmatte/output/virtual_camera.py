"""Composites into a camera that other programs can choose: v4l2loopback, OBS Virtual Camera or Unity Capture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

from rtmatte.errors import VirtualCameraError
from rtmatte.frame import I420, U8, ColorTags, Frame

if TYPE_CHECKING:
    import pyvirtualcam

_LOOPBACK = "v4l2loopback"
_HINTS = {
    "darwin": "Install OBS (`brew install --cask obs`), click 'Start Virtual Camera' in it once and allow its system "
    "extension in System Settings; then quit OBS.",
    "win32": "Install OBS (`winget install OBSProject.OBSStudio`), click 'Start Virtual Camera' in it once, then quit "
    "OBS: only one program can send.",
}

VIRTUAL_CAMERA_COLOR = ColorTags(matrix_code=6, primaries_code=1, transfer_code=13, full_range=False, range_tagged=True)
"""What programs take a virtual camera's pictures to be: BT.601, limited range, at any size.

V4L2 defines it so: v4l2loopback says sRGB and leaves the rest at its defaults, which for sRGB are the BT.601 matrix and
limited range. pyvirtualcam's own conversions (libyuv) and OpenCV's readers use the same. HD isn't BT.709 here.

Reference: Linux Media User-space API, "Colorspace sRGB" and V4L2_MAP_QUANTIZATION_DEFAULT.
"""


class DeviceWatch(Protocol):
    """What this system can tell of a device that is being written to; called by the sending thread."""

    def check(self, frames_sent: int) -> None:
        """Raises: `VirtualCameraError` if the device is gone or takes no frames."""
        ...

    def readers(self) -> int | None:
        """How many programs watch; None where that can't be told."""
        ...


class VirtualCamera:
    """Sends I420 pictures of `size_wh` (even width and height) in `VIRTUAL_CAMERA_COLOR` to a virtual camera.

    `device` is `auto`, a device path (Linux) or the name of a camera; `backend` one of pyvirtualcam's, None for all of
    this system. `frame_rate` is a hint to it; who sends keeps the pace. `watch` replaces this system's own, for tests.

    `send` hands the picture's buffer over as it is: nothing of frame size is allocated or converted here (on Linux
    nowhere; OBS and Unity Capture want another layout and convert into a buffer of theirs). It holds the GIL for as
    long as the copy takes.

    Raises: `VirtualCameraError`, with the command that mends it, for no device, no module, no permission, a device that
    another program sends to, or one that insists on another size.
    """

    def __init__(
        self,
        size_wh: tuple[int, int],
        frame_rate: float,
        *,
        device: str = "auto",
        backend: str | None = None,
        watch: DeviceWatch | None = None,
    ) -> None:
        if size_wh[0] % 2 or size_wh[1] % 2:
            raise VirtualCameraError(
                f"A virtual camera needs an even width and height, got {size_wh[0]}x{size_wh[1]}.",
                hint=f"Ask for --size {size_wh[0] // 2 * 2}x{size_wh[1] // 2 * 2}.",
            )
        self.size_wh = size_wh
        self.color = VIRTUAL_CAMERA_COLOR
        self.notices: list[str] = []
        self.frames_sent = 0
        self._watch = watch
        if watch is None and sys.platform == "linux" and backend in (None, _LOOPBACK):
            self._camera, self._watch = _open_loopback(size_wh, frame_rate, device)
        else:
            self._camera = _open(size_wh, frame_rate, None if device == "auto" else device, backend)
        self.encoder = f"{self._camera.backend} {self._camera.device}"

    def send(self, frame: Frame, alpha_u8: U8 | None = None) -> None:  # noqa: ARG002 - of the protocol
        """Shows one picture; it is free afterwards.

        Raises: `VirtualCameraError` for another kind or size of picture, or other colours: programs would show them
        wrong.
        """
        picture = frame.picture
        if not isinstance(picture, I420) or picture.size_wh != self.size_wh or not _is_right(picture.color):
            raise VirtualCameraError(
                f"Expected an I420 picture of {self.size_wh} in BT.601, limited range, got {_described(picture)}."
            )
        try:
            self._camera.send(picture.buffer)
        except (RuntimeError, ValueError, OSError) as error:
            raise VirtualCameraError(f"{self.encoder} takes no frames: {error}.") from error
        self.frames_sent += 1

    def check(self) -> None:
        """About once a second, from the sending thread: whether frames still arrive. Failed writes alone are only
        printed by pyvirtualcam. Where the system can't tell (macOS, Windows), all is taken to be well.

        Raises: `VirtualCameraError` if the device is gone, was made anew, changed its format or takes no frames.
        """
        if self._watch is not None:
            self._watch.check(self.frames_sent)

    def readers(self) -> int | None:
        """How many programs watch the camera now; None where that can't be told. From the sending thread."""
        return self._watch.readers() if self._watch is not None else None

    def close(self) -> None:
        """Gives the device back; may be called twice."""
        self._camera.close()
        self._watch = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def register_backend(name: str, make: Callable[..., object]) -> None:
    """Makes a backend of one's own known to pyvirtualcam: `make` gives an object with the methods of its `Backend`."""
    import pyvirtualcam

    pyvirtualcam.register_backend(name, make)


def _is_right(color: ColorTags) -> bool:
    return not color.full_range and color.matrix_code == VIRTUAL_CAMERA_COLOR.matrix_code


def _described(picture: I420 | U8) -> str:
    if not isinstance(picture, I420):
        return f"a {picture.dtype} array of shape {picture.shape}"
    return f"I420 of {picture.size_wh}, {picture.color}"


def _open_loopback(size_wh: tuple[int, int], frame_rate: float, device: str) -> tuple[pyvirtualcam.Camera, DeviceWatch]:
    """The first device that can be opened; else the reason why the first of them can't."""
    from rtmatte.output.loopback_descriptor import descriptors_of
    from rtmatte.output.loopback_watch import LoopbackWatch, candidates, refuse_unusable

    refusal: VirtualCameraError | None = None
    for path in candidates(device):
        before = descriptors_of(path)
        try:
            refuse_unusable(path)
            camera = _open(size_wh, frame_rate, path, _LOOPBACK)
            try:
                (descriptor,) = descriptors_of(path) - before
                return camera, LoopbackWatch(path, size_wh, descriptor)
            except BaseException:
                camera.close()
                raise
        except VirtualCameraError as error:
            refusal = refusal or error
    assert refusal is not None  # there is at least one candidate
    raise refusal


def _open(size_wh: tuple[int, int], frame_rate: float, device: str | None, backend: str | None) -> pyvirtualcam.Camera:
    import pyvirtualcam
    from pyvirtualcam.camera import BACKENDS

    if backend is not None and backend not in BACKENDS:
        raise VirtualCameraError(
            f"pyvirtualcam has no backend {backend!r} here: expected one of {', '.join(BACKENDS) or 'none'}."
        )
    try:
        return pyvirtualcam.Camera(
            *size_wh, frame_rate, fmt=pyvirtualcam.PixelFormat.I420, device=device, backend=backend
        )
    except (RuntimeError, ValueError, OSError) as error:
        reasons = "; ".join(line.rstrip(".") for line in str(error).splitlines())
        raise VirtualCameraError(
            f"The virtual camera can't be opened: {reasons}.",
            hint=_HINTS.get(sys.platform, "Does another program send to it? `rtmatte doctor --call` looks."),
        ) from error
