"""Does the cost of a file grow linearly with its length and with its pixels, and does memory stay flat over its length?

python benchmarks/scaling.py [CLIP] [--only length|size] [--json benchmarks/results/scaling.json]

length  clips of 1 to 30 minutes, 480x270 at 30 fps: two seconds, over and over. The net estimates the first frame and
        its alpha stands for the rest, since 30 minutes of it would take the better part of an hour; everything else is
        the real job.
size    --frames frames of the same clip from 640x360 to 3840x2160, with the default net, --rounds times in turns.

Background: blur. Every run has a process of its own; the kernels and the net are warm before the clock starts. A part
that isn't run is taken from the JSON, if it is there. Beside the JSON lies the plot, as PNG. Without a clip it is the
test pattern.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import av
import numpy as np
from measuring import keep
from scaling_plot import write_plot

import rtmatte
from rtmatte.frame import F32, Frame
from rtmatte.settings import VideoSettings

Net: TypeAlias = Literal["each frame", "first frame"]
_RATE = 30
_MINUTES = (1, 3, 10, 30)
_LENGTH_SIZE_WH = (480, 270)
_SIZES_WH = ((640, 360), (854, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
_LOOP_FRAMES = 60


class FirstAlpha:
    """Runs the default net of clips once and repeats its answer."""

    def __init__(self) -> None:
        self._model = rtmatte.load_matter(VideoSettings.model)
        self._alpha: F32 | None = None
        self.name, self.provider = self._model.name, self._model.provider

    def estimate(self, frame: Frame) -> F32:
        if self._alpha is None:
            self._alpha = self._model.estimate(frame).copy()
        return self._alpha

    def reset(self) -> None:
        self._alpha = None


class Run(NamedTuple):
    """What one job took: by the clock, of all cores, and the most memory that its process held."""

    frames: int
    seconds: float
    cpu_seconds: float
    peak_mb: float


def make(path: Path, source: Path | None, size_wh: tuple[int, int], frame_count: int) -> None:
    """So many frames of a clip (from its beginning again at its end) or of the test pattern, in that size."""
    if source is None:
        pattern = rtmatte.SyntheticSource(size_wh, frame_count, Fraction(_RATE))
        with rtmatte.VideoFileSink(path, pattern.format, encoder="software") as sink:
            for frame in islice(pattern, frame_count):
                sink.send(frame, None)
        return
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=_RATE, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height = size_wh
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(islice(_pictures(source), frame_count)):
            scaled = picture.reformat(*size_wh, format="yuv420p")
            scaled.pts, scaled.time_base = number, Fraction(1, _RATE)
            output.mux(stream.encode(scaled))
        output.mux(stream.encode(None))


def _pictures(source: Path) -> Iterator[av.VideoFrame]:
    for _ in cycle([None]):
        with av.open(str(source)) as container:
            yield from container.decode(video=0)


def repeat(loop: Path, target: Path, times: int) -> None:
    """Into `target`, a clip so many times: its packets again and again, later each time."""
    with av.open(str(loop)) as container, av.open(str(target), "w") as output:
        stream = container.streams.video[0]
        copy = output.add_stream_from_template(stream)
        for number in range(times):
            container.seek(0)
            for packet in container.demux(stream):
                if packet.dts is None or packet.pts is None or stream.duration is None:
                    continue
                packet.dts += number * stream.duration
                packet.pts += number * stream.duration
                packet.stream = copy
                output.mux(packet)


def measured(clip: Path, warm_up: Path, net: Net) -> Run:
    """The job over that clip, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1) as pool:
        return pool.apply(_job, (clip, warm_up, net))


def _job(clip: Path, warm_up: Path, net: Net) -> Run:
    target = clip.with_name("out.mp4")
    matter = FirstAlpha() if net == "first frame" else rtmatte.load_matter(VideoSettings.model)
    rtmatte.process_video(warm_up, target, background="blur", matter=matter, overwrite=True)
    matter.reset()
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    report = rtmatte.process_video(clip, target, background="blur", matter=matter, overwrite=True)
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(report.frames_out, seconds, cpu_seconds, peak_mb())


def peak_mb() -> float:
    """The most that this process held since it began."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss counts what the process held that this one was forked from
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2 ** (20 if sys.platform == "darwin" else 10)


def line(x: list[float], y: list[float]) -> dict[str, float]:
    """The straight line through the points, and how much of them it explains."""
    slope, offset = np.polyfit(x, y, 1)
    rest = np.asarray(y) - (slope * np.asarray(x) + offset)
    return {
        "slope": float(slope),
        "offset": float(offset),
        "r_squared": float(1 - np.var(rest) / np.var(y)),
    }


def by_length(source: Path | None, minutes: list[int], folder: Path) -> dict[str, Any]:
    loop = folder / "loop.mp4"
    make(loop, source, _LENGTH_SIZE_WH, _LOOP_FRAMES)
    points = []
    for length in minutes:
        clip = folder / "long.mp4"
        repeat(loop, clip, length * 60 * _RATE // _LOOP_FRAMES)
        run = measured(clip, loop, "first frame")
        points.append({"minutes": length, **run._asdict()})
        print(f"{length} min: {run.seconds:.1f} s, {run.peak_mb:.0f} MB", file=sys.stderr)
    first, last = points[0], points[-1]
    return {
        "size_wh": list(_LENGTH_SIZE_WH),
        "net": "the first frame's alpha stands for all",
        "points": points,
        "seconds_over_minutes": line([p["minutes"] for p in points], [p["seconds"] for p in points]),
        "cpu_seconds_over_minutes": line([p["minutes"] for p in points], [p["cpu_seconds"] for p in points]),
        "cpu_per_frame_longest_over_shortest": (last["cpu_seconds"] / last["frames"])
        / (first["cpu_seconds"] / first["frames"]),
        "peak_memory_growth": last["peak_mb"] / first["peak_mb"] - 1,
    }


def by_size(source: Path | None, frame_count: int, rounds: int, folder: Path) -> dict[str, Any]:
    clips = {}
    for size_wh in _SIZES_WH:
        clips[size_wh] = folder / f"{size_wh[0]}.mp4"
        make(clips[size_wh], source, size_wh, frame_count)
        make(clips[size_wh].with_suffix(".short.mp4"), source, size_wh, 3)
    runs: dict[tuple[int, int], list[Run]] = {size_wh: [] for size_wh in _SIZES_WH}
    for number in range(rounds):
        for size_wh, clip in clips.items():
            run = measured(clip, clip.with_suffix(".short.mp4"), "each frame")
            runs[size_wh].append(run)
            print(f"round {number + 1}, {size_wh}: {1e3 * run.seconds / run.frames:.1f} ms a frame", file=sys.stderr)
    points = [
        {
            "size_wh": list(size_wh),
            "megapixels": size_wh[0] * size_wh[1] / 1e6,
            "ms_per_frame": statistics.median(1e3 * run.seconds / run.frames for run in each),
            "cpu_ms_per_frame": statistics.median(1e3 * run.cpu_seconds / run.frames for run in each),
            "peak_mb": max(run.peak_mb for run in each),
        }
        for size_wh, each in runs.items()
    ]
    megapixels = [float(p["megapixels"]) for p in points]  # type: ignore[arg-type]
    return {
        "frames": frame_count,
        "rounds": rounds,
        "net": f"{VideoSettings.model}, every frame",
        "points": points,
        **{
            f"{name}_over_megapixels": line(megapixels, [float(p[name]) for p in points])  # type: ignore[arg-type]
            for name in ("ms_per_frame", "cpu_ms_per_frame", "peak_mb")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--only", choices=["length", "size"])
    parser.add_argument("--minutes", type=int, nargs="+", default=list(_MINUTES))
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    if options.json is not None and options.json.exists():
        old = json.loads(options.json.read_text())
        result = {part: old[part] for part in ("length", "size") if part in old}
    with tempfile.TemporaryDirectory() as name:
        if options.only != "size":
            result["length"] = by_length(options.clip, options.minutes, Path(name))
        if options.only != "length":
            result["size"] = by_size(options.clip, options.frames, options.rounds, Path(name))
    keep(options.json, {"clip": options.clip.name if options.clip else "test pattern", **result})
    if options.json is not None:
        write_plot(result, options.json.with_suffix(".png"))


if __name__ == "__main__":
    main()
