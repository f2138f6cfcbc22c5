"""rtmatte's whole job over a file, told as `loop.py` tells a peer's.

python -m peer_loops.ours CONFIG CLIP TARGET [--writer h264]

CONFIG is one of `scoring/configs.py`, as `quality.py` takes it: its mattes are what that benchmark scores.
`--writer mp4v` writes with the encoder that OpenCV's `mp4v` is, which rtmatte doesn't offer.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from importlib import metadata
from itertools import islice
from pathlib import Path

from scoring.configs import Config, named_config

import rtmatte
from rtmatte.frame import Frame
from rtmatte.matting.matter import Matter
from rtmatte.output import encoders
from rtmatte.output.encoders import EncoderRow

_GREEN = "#00b140"
_PACKAGES = ("rtmatte", "onnxruntime", "numpy", "opencv-python", "av")
_WARM_UP_FRAMES = 3
_MP4V = EncoderRow("mpeg4", "h264", "yuv420p", lambda _quality: {}, even_only=True)
"""In the place of H.264, since the program knows no MPEG-4 Part 2."""


def job(config: Config, clip: Path, target: Path, matter: Matter) -> rtmatte.Report:
    """The whole file on green."""
    return rtmatte.process_video(
        clip,
        target,
        background=_GREEN,
        smoothing_s=config.smoothing_s,
        refiner=config.refiner,
        people=config.people,
        edge_colors=config.edge_colors,
        spill=config.spill,
        clean_plate=config.clean_plate,
        two_pass=config.two_pass,
        propagate=config.propagate,
        matter=matter,
        overwrite=True,
    )


def warm_up(config: Config, clip: Path, target: Path, matter: Matter) -> None:
    """The first frames go through everything: kernels are loaded, the net's buffers are there."""
    short = target.with_name("warm_up.mp4")
    with rtmatte.VideoFileSource(clip) as source:
        frames: list[Frame] = list(islice(source, _WARM_UP_FRAMES))
        with rtmatte.VideoFileSink(short, source.format, overwrite=True) as sink:
            for frame in frames:
                sink.send(frame, None)
    job(config, short, target, matter)
    matter.reset()
    short.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("clip", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--writer", choices=["h264", "mp4v"], default="h264")
    options = parser.parse_args()
    if options.writer == "mp4v":
        encoders.ENCODERS = (_MP4V,)
    config = named_config(options.config)[1]
    begun = time.perf_counter()
    matter = rtmatte.load_matter(
        config.model,
        threads=config.threads,
        focus=config.focus,
        both_ways=config.both_ways,
        skip_still=config.skip_still,
        side_by_side=True,
    )
    warm_up(config, options.clip, options.target, matter)
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF)
    report = job(config, options.clip, options.target, matter)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "frames": report.frames_out,
                "seconds": seconds,
                "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
                "start_seconds": started - begun,
                "encoder": report.encoder,
                "provider": report.provider,
                "stages_ms": {s.stage: 1e3 * s.total_seconds / report.frames_out for s in report.stages},
                "versions": {package: metadata.version(package) for package in _PACKAGES},
            }
        )
    )


if __name__ == "__main__":
    main()
