"""What it brings to share a clip among jobs: whole runs with one job and with several, taking turns in one run.

python benchmarks/segments.py [CLIP] [--seconds 30] [--jobs 2] [--rounds 3] [--json benchmarks/results/segments.json]

The clip is played over and over until it is long enough; without one it is 720p of the test pattern. A gain is the time
of one job over that of several, start of the processes, warm-up and joining included. How far their pictures are apart
is measured on the last round's files.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
from measuring import keep

import rtmatte
from rtmatte.settings import VideoSettings


def looped(source: Path | None, target: Path, seconds: float) -> None:
    """Writes the frames of a clip again and again, as H.264 with x264's own key frames (one in 250 at least)."""
    if source is None:
        pattern = rtmatte.SyntheticSource((1280, 720), round(seconds * 30), Fraction(30))
        with pattern, rtmatte.VideoFileSink(target, pattern.format, encoder="software", overwrite=True) as sink:
            for frame in pattern:
                sink.send(frame, None)
        return
    with rtmatte.VideoFileSource(source) as clip:
        rate = clip.format.frame_rate_reported or Fraction(25)
        step = round(1 / (rate * clip.format.time_base))
        with rtmatte.VideoFileSink(target, clip.format, quality=80, encoder="software", overwrite=True) as sink:
            written = 0
            while written < seconds * rate:
                for frame in islice(clip, int(seconds * rate) + 1 - written):
                    sink.send(replace(frame, pts=written * step, duration=step), None)
                    written += 1
                clip.rewind()


def apart(one: Path, other: Path) -> dict[str, float]:
    """Of two clips' luma: the mean absolute difference in code values, and the least PSNR of a frame in dB."""
    total, least, count = 0.0, float("inf"), 0
    with rtmatte.VideoFileSource(one) as first, rtmatte.VideoFileSource(other) as second:
        for a, b in zip(first, second, strict=True):
            assert a.pts == b.pts
            assert isinstance(a.picture, rtmatte.I420)
            assert isinstance(b.picture, rtmatte.I420)
            difference = a.picture.y.astype(np.float32) - b.picture.y
            squares = float(np.square(difference).mean())
            total += float(np.abs(difference).mean())
            least = min(least, 10 * float(np.log10(255**2 / squares)) if squares else float("inf"))
            count += 1
    return {"mean_luma_difference": total / count, "least_psnr_db": least}


def processor_seconds() -> float:
    """Of this process and of all that it has waited for."""
    own, jobs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + jobs.ru_utime + jobs.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--background", default="blur")
    parser.add_argument("--model", default=VideoSettings.model)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, short = Path(folder, "in.mp4"), Path(folder, "short.mp4")
        looped(arguments.clip, clip, arguments.seconds)
        looped(arguments.clip, short, 1)
        targets = {jobs: Path(folder, f"{jobs}.mp4") for jobs in (1, arguments.jobs)}

        def run(source: Path, jobs: int) -> tuple[rtmatte.Report, float]:
            """What a run reports, and the processor time that it and its jobs took."""
            before = processor_seconds()
            report = rtmatte.process_video(
                source,
                targets[jobs],
                background=arguments.background,
                model=arguments.model,
                encoder="software",
                jobs=jobs,
                overwrite=True,
            )
            return report, processor_seconds() - before

        run(short, 1)  # compiles the kernels
        rounds = [{jobs: run(clip, jobs) for jobs in targets} for _ in range(arguments.rounds)]
        gains = [by_jobs[1][0].seconds / by_jobs[arguments.jobs][0].seconds for by_jobs in rounds]
        one, several = rounds[-1][1][0], rounds[-1][arguments.jobs][0]
        assert several.jobs == arguments.jobs, several.notices
        keep(
            arguments.json,
            {
                "clip": arguments.clip.name if arguments.clip else "test pattern",
                "clip_seconds": arguments.seconds,
                "frames": one.frames_out,
                "size_wh": list(one.size_wh),
                "model": one.model,
                "jobs": arguments.jobs,
                "provider_of_each_job": {"one": one.provider, "several": several.provider},
                "seconds": {jobs: [by_jobs[jobs][0].seconds for by_jobs in rounds] for jobs in targets},
                "processor_seconds": {jobs: [by_jobs[jobs][1] for by_jobs in rounds] for jobs in targets},
                "notices": list(several.notices),
                "gain_median": statistics.median(gains),
                "gain_min": min(gains),
                "gain_max": max(gains),
                "apart": apart(targets[1], targets[arguments.jobs]),
            },
        )


if __name__ == "__main__":
    main()
