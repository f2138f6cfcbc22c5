"""A composed scene as clips: NAME.mp4, NAME_alpha.mkv and NAME_foreground.mkv, as the quality benchmark reads them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from scenes.layers import F32, U8, Layer

_RATE = Fraction(30)
_BT709 = 1


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame of a scene: what is in front, what is behind ((H, W, 3) float32 BGR), the sensor's noise if any.

    `spill`, of the same kind, is light of the room that falls on what is in front; like `noise` it is added to the
    picture alone: neither is the foreground's or the room's true colour.
    """

    foreground: Layer
    background: F32
    noise: F32 | None = None
    spill: F32 | None = None


def composed(shot: Shot) -> tuple[U8, U8, U8]:
    """Picture, alpha and foreground as bytes; the picture is made of the rounded other two, so that they are exact."""
    alpha_u8 = np.rint(np.clip(shot.foreground.alpha, 0, 1) * 255).astype(np.uint8)
    foreground = np.rint(np.clip(shot.foreground.straight(), 0, 255)).astype(np.uint8)
    foreground[alpha_u8 == 0] = 0
    weight = (alpha_u8.astype(np.float32) / 255)[:, :, None]
    picture = weight * foreground + (1 - weight) * np.clip(shot.background, 0, 255)
    if shot.spill is not None:
        picture = picture + weight * shot.spill
    if shot.noise is not None:
        picture = picture + shot.noise
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8), alpha_u8, foreground


def write_scene(folder: Path, name: str, shots: Iterable[Shot], *, crf: int = 14) -> int:
    """Writes the three clips at 30 fps, H.264 and FFV1; returns the number of frames."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with ExitStack() as stack:
        writers: tuple[_Writer, ...] = ()
        for shot in shots:
            picture, alpha_u8, foreground = composed(shot)
            if not writers:
                size_wh = (alpha_u8.shape[1], alpha_u8.shape[0])
                writers = (
                    _Writer(folder / f"{name}.mp4", "libx264", "yuv420p", size_wh, {"crf": str(crf)}),
                    _Writer(folder / f"{name}_alpha.mkv", "ffv1", "gray", size_wh, {}),
                    _Writer(folder / f"{name}_foreground.mkv", "ffv1", "bgr0", size_wh, {}),
                )
                for writer in writers:
                    stack.callback(writer.close)
            for writer, array in zip(writers, (picture, alpha_u8, foreground), strict=True):
                writer.write(array)
            count += 1
    return count


class _Writer:
    def __init__(self, path: Path, codec: str, pix_fmt: str, size_wh: tuple[int, int], options: dict[str, str]) -> None:
        self._container = av.open(str(path), "w")
        stream = self._container.add_stream(codec, rate=_RATE, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size_wh
        stream.pix_fmt = pix_fmt
        if pix_fmt == "yuv420p":
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = 1
        self._stream = stream

    def write(self, array: U8) -> None:
        """One frame: (H, W) grey or (H, W, 3) BGR, uint8."""
        if array.ndim == 2:
            frame = av.VideoFrame.from_ndarray(array, format="gray")
            frame.color_range = 2
        else:
            frame = av.VideoFrame.from_ndarray(array, format="bgr24")
            frame = frame.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU709" if self._lossy else None)
        self._container.mux(self._stream.encode(frame))

    @property
    def _lossy(self) -> bool:
        return self._stream.pix_fmt == "yuv420p"

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
