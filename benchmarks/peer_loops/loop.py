"""A peer's whole job over a file, and what it took: PYTHON -m peer_loops.loop PEER CLIP TARGET [--writer mp4v]

OpenCV reads, the peer makes a composite over green of each frame, OpenCV writes MPEG-4 (`mp4v`), and the audio is
copied beside it. `--writer h264` writes with libx264 as rtmatte sets it instead. Prints a line of JSON. The peer's
start and its first frames are told apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import av
import cv2

from peer_loops.nets import NETS, U8, Net, versions

_WARM_UP_FRAMES = 3


class Writer(Protocol):
    def write(self, bgr: U8) -> None: ...

    def close(self) -> None: ...


class Mp4v:
    """`cv2.VideoWriter` as in every example."""

    def __init__(self, path: Path, rate: float, size_wh: tuple[int, int]) -> None:
        fourcc = cv2.VideoWriter_fourcc(*"mp4v")  # type: ignore[attr-defined]
        self._writer = cv2.VideoWriter(str(path), fourcc, rate, size_wh)
        if not self._writer.isOpened():
            raise OSError(f"OpenCV can't write mp4v to {path}")

    def write(self, bgr: U8) -> None:
        self._writer.write(bgr)

    def close(self) -> None:
        self._writer.release()


class H264:
    """libx264 with rtmatte's options for files."""

    def __init__(self, path: Path, rate: float, size_wh: tuple[int, int]) -> None:
        self._container = av.open(str(path), "w")
        options = {"preset": "veryfast", "crf": "20", "x264-params": "subme=1:me=dia"}
        self._stream: Any = self._container.add_stream(
            "libx264", rate=Fraction(rate).limit_denominator(1001), options=options
        )
        self._stream.width, self._stream.height = size_wh
        self._stream.pix_fmt = "yuv420p"

    def write(self, bgr: U8) -> None:
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(bgr, format="bgr24")))

    def close(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()


WRITERS: dict[str, Callable[[Path, float, tuple[int, int]], Writer]] = {"mp4v": Mp4v, "h264": H264}


def frames_of(capture: cv2.VideoCapture) -> Iterator[U8]:
    while True:
        there, bgr = capture.read()
        if not there:
            return
        yield bgr  # type: ignore[misc]


def job(net: Net, clip: Path, target: Path, writer: str) -> int:
    """The whole file; how many frames it had."""
    silent = target.with_name("silent.mp4")
    capture = cv2.VideoCapture(str(clip))
    size_wh = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    frames = 0
    with closing(WRITERS[writer](silent, capture.get(cv2.CAP_PROP_FPS), size_wh)) as output:
        for bgr in frames_of(capture):
            output.write(net.composite(bgr))
            frames += 1
    capture.release()
    join(silent, clip, target)
    return frames


def join(picture: Path, sound: Path, target: Path) -> None:
    """The video of one file and the audio of the other, copied into a third."""
    with av.open(str(picture)) as video, av.open(str(sound)) as audio, av.open(str(target), "w") as output:
        sources = [(video, stream) for stream in video.streams.video[:1]]
        sources += [(audio, stream) for stream in audio.streams.audio]  # type: ignore[misc]
        pairs = [(source, stream, output.add_stream_from_template(stream)) for source, stream in sources]
        for source, stream, copy in pairs:
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    output.mux(packet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=NETS)
    parser.add_argument("clip", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--writer", choices=WRITERS, default="mp4v")
    options = parser.parse_args()
    begun = time.perf_counter()
    net = NETS[options.peer]()
    warm_up = cv2.VideoCapture(str(options.clip))
    for bgr in islice(frames_of(warm_up), _WARM_UP_FRAMES):
        net.composite(bgr)
    warm_up.release()
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF)
    frames = job(net, options.clip, options.target, options.writer)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "frames": frames,
                "seconds": seconds,
                "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                "start_seconds": started - begun,
                "encoder": {"mp4v": "cv2.VideoWriter mp4v", "h264": "libx264 as rtmatte sets it"}[options.writer],
                "versions": versions(net),
            }
        )
    )


if __name__ == "__main__":
    main()
