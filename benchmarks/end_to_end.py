"""Whole-file speed against its slowest stage alone, and against all of its work: same clip, same threads, in turns.

python benchmarks/end_to_end.py [CLIP] [--frames 120] [--rounds 5] [--json benchmarks/results/end_to_end.json]

Without a clip it makes 720p from the test pattern. Alone, a stage has the whole machine: all frames go through it, then
all through the next. Whole-job fps is told over two speeds:

slowest stage  alone. Where it leaves no core idle, as a net on all cores does, 1 can't be reached: the same cores have
               to do the others' work as well.
bound          the slower of that stage and of all stages' processor time, spread over all cores without a gap.

Twice: with the net on these cores, and with one that answers after --device-ms milliseconds of waiting and leaves the
cores alone, as a net on a device of its own does; its answers were worked out before. There 1 can be reached, and what
is missing is what the hand-offs between the threads cost.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from measuring import keep, spread

import rtmatte
from rtmatte.composite.compositor import Compositor
from rtmatte.frame import F32, Frame
from rtmatte.machine import usable_cores
from rtmatte.matting.matter import Matter
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.pool import PicturePool
from rtmatte.runs.backgrounds import open_background
from rtmatte.runs.clip_stages import clip_stages
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.settings import VideoSettings


class Meter:
    """Seconds of what runs while it is entered: by the clock, and of all cores together."""

    def __enter__(self) -> Meter:
        self._begun, self._cpu_begun = time.perf_counter(), _cpu_seconds()
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.wall, self.cpu = time.perf_counter() - self._begun, _cpu_seconds() - self._cpu_begun


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, slots=True)
class Job:
    """One file to be done; the same settings in parts and as a whole."""

    clip: Path
    target: Path
    settings: VideoSettings
    matter: Matter

    def whole(self) -> Meter:
        with Meter() as meter:
            rtmatte.process_video(
                self.clip, self.target, background=self.settings.background, overwrite=True, matter=self.matter
            )
        return meter

    def alone(self, pool: PicturePool) -> dict[str, Meter]:
        """One stage after the other, each over all frames. Buffers come from the pool and go back there, so that only
        the first call touches new memory."""
        meters = {}
        with Meter() as meters["decode"], rtmatte.VideoFileSource(self.clip, pool=pool) as source:
            items: list[Any] = list(source)
        behind = open_background(self.settings.background, self.settings.fit)
        sink = rtmatte.VideoFileSink(self.target, source.format, companions_from=self.clip, overwrite=True)
        chain = MattingChain(self.matter, self.settings, pool=pool)
        *stages, encode = clip_stages(chain, Compositor(behind), sink, pool)
        for stage in stages:
            done: list[Any] = []
            with Meter() as meters[stage.name]:
                run_pipeline(items, "given", [stage, Stage("kept", done.append)], stall_timeout_s=60)
            items = done
        with Meter() as meters[encode.name], sink:
            for item in items:
                encode.work(item)
        return meters


class Elsewhere(RecordedAlpha):
    """A net on a device of its own: the cores are free while it works."""

    def __init__(self, alphas: list[F32], seconds: float) -> None:
        super().__init__(alphas, name="a net elsewhere")
        self._seconds = seconds

    def estimate(self, frame: Frame) -> F32:
        time.sleep(self._seconds)
        return super().estimate(frame)


def cut(source: Path | None, target: Path, frame_count: int) -> None:
    """The first frames of a clip (or of the test pattern), encoded as an H.264 file."""
    if source is None:
        frames: rtmatte.VideoFileSource | rtmatte.SyntheticSource = rtmatte.SyntheticSource(
            (1280, 720), frame_count, Fraction(30)
        )
    else:
        frames = rtmatte.VideoFileSource(source)
    with frames, rtmatte.VideoFileSink(target, frames.format, quality=80, encoder="software", overwrite=True) as sink:
        for frame in islice(frames, frame_count):
            sink.send(frame, None)


def figures(rounds: list[tuple[dict[str, Meter], Meter]], frames: int) -> dict[str, Any]:
    """What the rounds say together; a ratio is taken within its round."""
    cores = usable_cores()
    names = list(rounds[0][0])
    wall = {name: statistics.median(alone[name].wall for alone, _ in rounds) for name in names}
    slowest = max(wall, key=lambda name: wall[name])
    bounds = [max(alone[slowest].wall, sum(m.cpu for m in alone.values()) / cores) for alone, _ in rounds]
    return {
        "cores": cores,
        "stages_alone": {
            name: {
                "fps": frames / wall[name],
                "cpu_ms_per_frame": 1e3 * statistics.median(alone[name].cpu for alone, _ in rounds) / frames,
            }
            for name in names
        },
        "slowest_stage": slowest,
        "whole_job_fps": spread([frames / whole.wall for _, whole in rounds]),
        "whole_job_cpu_ms_per_frame": 1e3 * statistics.median(whole.cpu for _, whole in rounds) / frames,
        "bound_fps": spread([frames / bound for bound in bounds]),
        "ratio_to_slowest_stage": spread([alone[slowest].wall / whole.wall for alone, whole in rounds]),
        "ratio_to_bound": spread([bound / whole.wall for bound, (_, whole) in zip(bounds, rounds, strict=True)]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=120, help="they are held in memory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=VideoSettings.model)
    parser.add_argument("--threads", type=int, help="of the model")
    parser.add_argument("--device-ms", type=float, default=25.0, help="what the net elsewhere takes for a frame")
    parser.add_argument("--background", default="blur")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip, target = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        cut(options.clip, clip, options.frames)
        settings = VideoSettings(model=options.model, background=options.background)
        matter = rtmatte.load_matter(options.model, threads=options.threads, side_by_side=True)
        with rtmatte.VideoFileSource(clip) as source:
            size_wh = source.format.size_wh
            alphas = [matter.estimate(frame).copy() for frame in source]
        elsewhere = Elsewhere(alphas, options.device_ms / 1e3)
        jobs = [Job(clip, target, settings, who) for who in (matter, elsewhere)]
        pool = PicturePool()
        jobs[0].alone(pool)  # compiles the kernels, allocates the frames
        rounds = [[(job.alone(pool), job.whole()) for job in jobs] for _ in range(options.rounds)]
    here, there = ([one[number] for one in rounds] for number in range(2))
    keep(
        options.json,
        {
            "clip": options.clip.name if options.clip else "test pattern",
            "size_wh": list(size_wh),
            "frames": len(alphas),
            "rounds": options.rounds,
            "model": options.model,
            "background": options.background,
            "net_here": {"provider": matter.provider, **figures(here, len(alphas))},
            "net_elsewhere": {"device_ms": options.device_ms, **figures(there, len(alphas))},
        },
    )


if __name__ == "__main__":
    main()
