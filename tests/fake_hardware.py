"""A hardware decoder where there is none: the software decoder, its frames as NV12, or P010 for more than 8 bits.

    monkeypatch.setattr("rtmatte.capture.hardware_decoder.open_accelerated", open_fake)

PyAV's own classes can't be changed, so that these stand in front of them and pass on whatever they don't change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import av

Change = Callable[[av.VideoFrame], av.VideoFrame]


def downloaded(frame: av.VideoFrame) -> av.VideoFrame:
    """In the format in which devices give their frames, everything else as it is."""
    deep = frame.format.components[0].bits > 8
    span = 2 if frame.format.name.startswith("yuvj") else 1
    given = frame.reformat(format="p010le" if deep else "nv12", src_color_range=span, dst_color_range=span)
    for tag in ("color_range", "colorspace", "color_primaries", "color_trc"):
        setattr(given, tag, getattr(frame, tag))
    return given


class FakeStream:
    def __init__(self, stream: av.VideoStream, change: Change, is_hwaccel: bool) -> None:
        self.__dict__.update(real=stream, change=change)
        self.__dict__["codec_context"] = FakeContext(stream.codec_context, is_hwaccel)

    def decode(self, packet: av.Packet | None = None) -> list[av.VideoFrame]:
        return [self.change(frame) for frame in self.real.decode(packet)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.real, name, value)


class FakeContext:
    def __init__(self, context: Any, is_hwaccel: bool) -> None:
        self.real, self.is_hwaccel = context, is_hwaccel

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class FakeContainer:
    def __init__(self, path: Path, change: Change = downloaded, *, is_hwaccel: bool = True) -> None:
        self.real = av.open(f"file:{path}", metadata_errors="replace")
        video = [FakeStream(stream, change, is_hwaccel) for stream in self.real.streams.video]
        self.streams = SimpleNamespace(video=video)

    def demux(self, stream: FakeStream) -> Iterator[av.Packet]:
        return self.real.demux(stream.real)

    def seek(self, offset: int, *, stream: FakeStream) -> None:
        self.real.seek(offset, stream=stream.real)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()


def open_fake(path: Path, device: str) -> FakeContainer:
    """In place of `open_accelerated`."""
    return FakeContainer(path)
