"""Whole-file speed against the speed of the model alone: same clip, same threads, taking turns in one run.

python benchmarks/end_to_end.py [CLIP] [--frames 60] [--rounds 3] [--json benchmarks/results/end_to_end.json]

Without a clip it makes 720p from the test pattern. A ratio is whole-job fps over model-only fps: the model-only loop
runs `Matter.estimate` on decoded frames in memory; the job decodes, estimates, smooths, composites and encodes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from fractions import Fraction
from itertools import islice
from pathlib import Path

from measuring import keep

import rtmatte
from rtmatte.frame import Frame


def model_only_fps(frames: list[Frame], matter: object) -> float:
    assert hasattr(matter, "estimate")
    begun = time.perf_counter()
    for frame in frames:
        matter.estimate(frame)
    return len(frames) / (time.perf_counter() - begun)


def job_fps(clip: Path, target: Path, background: str, matter: object) -> float:
    begun = time.perf_counter()
    report = rtmatte.process_video(clip, target, background=background, overwrite=True, matter=matter)  # type: ignore[arg-type]
    return report.frames_out / (time.perf_counter() - begun)


def cut(source: Path | None, target: Path, frame_count: int) -> None:
    """The first frames of a clip (or of the test pattern), encoded as a 720p H.264 file."""
    if source is None:
        frames: rtmatte.VideoFileSource | rtmatte.SyntheticSource = rtmatte.SyntheticSource(
            (1280, 720), frame_count, Fraction(30)
        )
    else:
        frames = rtmatte.VideoFileSource(source)
    with frames, rtmatte.VideoFileSink(target, frames.format, quality=80, encoder="software", overwrite=True) as sink:
        for frame in islice(frames, frame_count):
            sink.send(frame, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--background", default="blur")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, target = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        cut(arguments.clip, clip, arguments.frames)
        with rtmatte.VideoFileSource(clip) as source:
            frames = list(islice(source, 16))
        matter = rtmatte.load_matter()
        rtmatte.process_video(clip, target, background=arguments.background, matter=matter)  # compiles the kernels
        alone, whole = [], []
        for _ in range(arguments.rounds):
            alone.append(model_only_fps((frames * 8)[: arguments.frames], matter))
            whole.append(job_fps(clip, target, arguments.background, matter))
        ratios = [w / a for w, a in zip(whole, alone, strict=True)]
        keep(
            arguments.json,
            {
                "clip": arguments.clip.name if arguments.clip else "test pattern",
                "size_wh": list(source.format.size_wh),
                "frames": arguments.frames,
                "provider": matter.provider,
                "model_only_fps": alone,
                "whole_job_fps": whole,
                "ratio_median": statistics.median(ratios),
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
            },
        )


if __name__ == "__main__":
    main()
