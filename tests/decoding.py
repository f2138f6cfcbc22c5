"""Plain decoding with PyAV, the yardstick for what we wrote: none of rtmatte's own reading is in it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Decoded:
    """A clip as PyAV reads it: time in seconds, luma planes, and what the stream says of itself."""

    pts_seconds: list[Fraction]
    durations_seconds: list[Fraction]
    luma: list[NDArray[np.uint8]]
    size_wh: tuple[int, int]
    codec: str


def decode(path: Path, codec: str | None = None) -> Decoded:
    """Decodes the first real video stream; `codec` forces a decoder (libvpx-vp9 for alpha)."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        context = stream.codec_context if codec is None else av.CodecContext.create(codec, "r")
        frames = [f for packet in container.demux(stream) for f in context.decode(packet if packet.size else None)]
        time_base = stream.time_base
        assert time_base is not None
        return Decoded(
            [frame.pts * time_base for frame in frames],
            [(frame.duration or 0) * time_base for frame in frames],
            [plane(_eight_bit(frame)) for frame in frames],
            (stream.codec_context.width, stream.codec_context.height),
            stream.codec_context.name,
        )


def _eight_bit(frame: av.VideoFrame) -> av.VideoFrame:
    return frame if frame.format.components[0].bits == 8 else frame.reformat(format="yuv420p")


def plane(frame: av.VideoFrame, number: int = 0) -> NDArray[np.uint8]:
    """One 8-bit plane as (H, W), padding removed."""
    data = frame.planes[number]
    return np.frombuffer(memoryview(data), np.uint8).reshape(data.height, data.line_size)[:, : data.width].copy()


def packets_of(path: Path, kind: str) -> list[list[bytes]]:
    """The bytes of every packet of every stream of that kind ("audio", "subtitle"), stream by stream."""
    with av.open(str(path)) as container:
        streams = [s for s in container.streams if s.type == kind]
        found: dict[int, list[bytes]] = {s.index: [] for s in streams}
        for packet in container.demux(streams) if streams else ():
            if packet.size:
                found[packet.stream.index].append(bytes(packet))
        return list(found.values())
