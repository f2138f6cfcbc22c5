"""Clips decoded by hardware: which device does it here, and whether it gives what the software decoder gives.

The device stands behind FFmpeg's own decoder of the codec, which goes on telling time stamps, order and colours.
Pictures come back into the processor's memory, as NV12 or P010.

Reference: PyAV's documentation, `av.codec.hwaccel`; FFmpeg's wiki, "HWAccelIntro".
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2

from rtmatte.capture.frame_reader import FrameReader
from rtmatte.capture.opening import choose_video, open_container
from rtmatte.capture.packet_decoder import ffmpeg_said
from rtmatte.errors import DecoderUnavailableError, RtmatteError
from rtmatte.frame import I420
from rtmatte.pool import PicturePool

if TYPE_CHECKING:
    from av.container import InputContainer

Decoder: TypeAlias = Literal["software", "hardware"]

_DEVICES: Mapping[str, tuple[str, ...]] = {"Darwin": ("videotoolbox",), "Windows": ("cuda", "d3d11va")}
"""What is tried, first to last, by `platform.system()`; CUDA elsewhere. Named as FFmpeg names them."""
_NEEDS = {
    "cuda": "an NVIDIA GPU with a current driver",
    "videotoolbox": "a Mac",
    "d3d11va": "a GPU with a current driver",
}
_CLOSE = 4
"""Code values. Most codecs leave a decoder no choice; older ones and ten bits brought to eight are rounded."""


@dataclass(frozen=True, slots=True)
class _First:
    """A clip's first frame, upright."""

    picture: I420
    pts: int | None
    duration: int | None


class _Refused(Exception):
    """Why a device doesn't decode a clip, as the end of a sentence that begins with its name."""


def open_on_hardware(path: Path) -> tuple[InputContainer, str]:
    """Opens a clip for the first device here that gives the same first frame as the software decoder does; its name.

    To be decoded by one thread: each further one takes a surface of the device, which has few. Packets that the device
    refuses are errors, as broken ones are; what is broken inside of a picture, a device may conceal without a word.

    Raises: as `open_container` and `choose_video`; `DecoderUnavailableError` where no device does, with the reasons.
    """
    with open_container(path) as container:
        try:
            expected = _first(container, path)
        except _Refused as error:
            raise DecoderUnavailableError(
                f"No hardware decoder can be tried on {path.name}: expected a frame from software, which {error}.",
                hint="Leave --decoder at software.",
            ) from error
    devices = _DEVICES.get(platform.system(), ("cuda",))
    reasons = []
    for device in devices:
        try:
            _try(device, path, expected)
            return _opened(device, path), device
        except _Refused as error:
            reasons.append(f"{device} {error}")
    raise DecoderUnavailableError(
        f"No hardware decoder works on this machine for {path.name}: {'; '.join(reasons)}.",
        hint=f"It needs {' or '.join(_NEEDS[device] for device in devices)}, and a codec and format that it knows; "
        "else leave --decoder at software.",
    )


def open_accelerated(path: Path, device: str) -> InputContainer:
    """Opens a file whose video that device decodes, where it can; `device` as FFmpeg calls it.

    Raises: FFmpegError if the device doesn't come up; RuntimeError if it decodes no stream of the file.
    """
    import av
    from av.codec.hwaccel import HWAccel

    accelerator = HWAccel(device, allow_software_fallback=False)
    return av.open(f"file:{path}", metadata_errors="replace", hwaccel=accelerator)


def _opened(device: str, path: Path) -> InputContainer:
    """Raises: `_Refused`."""
    import av.error

    try:
        return open_accelerated(path, device)
    except av.error.FFmpegError as error:
        raise _Refused(f"doesn't come up ({ffmpeg_said(error)})") from error
    except RuntimeError as error:
        raise _Refused("doesn't decode its codec") from error


def _try(device: str, path: Path, expected: _First) -> None:
    """Raises: `_Refused`."""
    import av
    from av.codec.hwaccel import hwdevices_available

    if device not in hwdevices_available():
        raise _Refused(f"isn't in this build of PyAV ({av.__version__})")
    with _opened(device, path) as container:
        # PyAV takes software without a word where FFmpeg's usual decoder of a codec knows no device, as that of AV1,
        # as long as another stream has one, such as the cover picture.
        if not choose_video(container, path, []).codec_context.is_hwaccel:
            raise _Refused("doesn't decode its codec")
        try:
            got = _first(container, path)
        except (ValueError, RuntimeError, RtmatteError) as error:  # a picture of a kind that nothing here can read
            raise _Refused(f"gives what can't be read ({error})") from error
    if found := _difference(expected, got):
        raise _Refused(f"gives {found}")


def _first(container: InputContainer, path: Path) -> _First:
    """Raises: `_Refused` if the decoder fails before it has given a frame, or gives none."""
    import av.error

    stream = choose_video(container, path, [])
    stream.thread_count = 1
    try:
        for packet in container.demux(stream):
            for frame in stream.decode(packet):
                return _First(FrameReader(frame, PicturePool()).read(frame), frame.pts, frame.duration)
    except av.error.FFmpegError as error:
        raise _Refused(f"doesn't decode it ({ffmpeg_said(error)})") from error
    raise _Refused("finds no frame in it")


def _difference(expected: _First, got: _First) -> str:
    """What the device gives instead of what was expected; empty if that is the same, or as good as."""
    if got.picture.size_wh != expected.picture.size_wh:
        (width, height), (wanted_width, wanted_height) = got.picture.size_wh, expected.picture.size_wh
        return f"pictures of {width}x{height} instead of {wanted_width}x{wanted_height}"
    if got.picture.color != expected.picture.color:
        return "other colour tags than software"
    if (got.pts, got.duration) != (expected.pts, expected.duration):
        return "another time stamp than software"
    pairs = zip(got.picture.planes, expected.picture.planes, strict=True)
    farthest = max(int(cv2.absdiff(one, other).max()) for one, other in pairs)
    return f"another picture than software, up to {farthest} of 255 away" if farthest > _CLOSE else ""
