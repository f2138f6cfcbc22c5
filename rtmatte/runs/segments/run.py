"""A long clip cut at key frames, its segments matted by several processes side by side, and put together again.

            ┌─► job 0:          frames 0 ..  499 ─► packets ┐
    clip ───┼─► job 1: warm-up, frames 500 ..  998 ─► packets ┼─► one file, with audio and the rest of the clip
            └─► job 2: warm-up, frames 999 .. 1480 ─► packets ┘

Each job is a run like any other (runs/offline.py) that begins some seconds before its segment and throws those frames
away, so that what it remembers at its first frame is what one run would remember. Whether that was enough is seen
where two jobs meet: both have the alpha of the frame before the seam.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from rtmatte.capture.segment import Segment, read_frame_index
from rtmatte.capture.video_file import VideoFileSource, damage_notices
from rtmatte.frame import U8
from rtmatte.machine import usable_cores
from rtmatte.matting.matter import Matter
from rtmatte.output.packets import PacketReader
from rtmatte.output.sink import ClipSink
from rtmatte.runs.clip_parts import background_name, clip_background, open_sink
from rtmatte.runs.progress import Progress, Teller
from rtmatte.runs.report import Report, clip_report
from rtmatte.runs.segments.jobs import Jobs
from rtmatte.runs.segments.plan import cut_at_key_frames, warm_up_seconds, why_one_job
from rtmatte.runs.segments.worker import Done, Kept, Opened, Task, Unfit
from rtmatte.settings import VideoSettings
from rtmatte.stats import LatencyHistogram

_LONGER = 5
"""So many times the warm-up where masks disagreed at a seam."""
_DIFFERS = 2
"""Levels of 255 by which alpha may differ at a seam."""
_LEAST_SHARE = 1e-4
"""Of the picture, for such pixels to count as a disagreement."""
_TELL_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class OneJob:
    """Why the clip is one job's, as the rest of a sentence."""

    reason: str


class _ForOneJob(Exception):
    """Raised where it turns out that segments won't do."""


def process_in_segments(
    source: Path,
    target: Path,
    settings: VideoSettings,
    matter: Matter | None,
    on_progress: Callable[[Progress], None] | None,
) -> Report | OneJob:
    """As `process_video`, by `settings.jobs` processes; or the reason why that can't be, with nothing written.

    Memory is that of so many runs, and twice the output is on the disk for a moment.

    Raises: as `process_video`; `JobDiedError`. No process and no file of the jobs is left in any case.
    """
    if (reason := why_one_job(settings, matter)) is not None:
        return OneJob(reason)
    try:
        return _process(source, target, settings, matter, on_progress)
    except _ForOneJob as only:
        return OneJob(str(only))


def _process(
    source: Path,
    target: Path,
    settings: VideoSettings,
    matter: Matter | None,
    on_progress: Callable[[Progress], None] | None,
) -> Report:
    begun = time.monotonic()
    with ExitStack() as stack:
        clip = stack.enter_context(VideoFileSource(source, decoder=settings.decoder))
        with clip_background(settings) as behind:  # one that can't be opened is told before anything else is done
            background = background_name(settings, behind)
        index = read_frame_index(source)
        if index is None:
            raise _ForOneJob("its packets don't tell when each frame is shown")
        warm_up_ticks = round(warm_up_seconds(settings) / clip.format.time_base)
        segments = cut_at_key_frames(index, settings.jobs, warm_up_ticks)
        if len(segments) < 2:
            raise _ForOneJob("it has no key frame to cut it at but the first")
        threads = max(1, usable_cores() // len(segments))
        sink = stack.enter_context(open_sink(clip.format, target, settings, companions_from=source, threads=threads))
        hidden = tempfile.TemporaryDirectory(prefix=f".{target.stem}.", suffix=".jobs", dir=target.parent)
        folder, clip_begin = Path(stack.enter_context(hidden)), index.pts[0] * clip.format.time_base
        tasks = [
            Task(source, folder, target.suffix, settings, segment, clip_begin, threads, matter) for segment in segments
        ]
        tell = _JobsTeller(Teller(clip, on_progress), clip.frames_expected, len(tasks))
        done = _do(tasks, sink, settings, tell)
        if again := _bad_seams(segments, done):
            # Done again, with a longer warm-up.
            longer = cut_at_key_frames(index, settings.jobs, _LONGER * warm_up_ticks)
            retried = [replace(tasks[number], segment=longer[number]) for number in again]
            for number, result in zip(again, _do(retried, sink, settings, tell), strict=True):
                done[number] = result
        sink.writer.append(
            [PacketReader(task.packets_path, part.pts, part.dts) for task, part in zip(tasks, done, strict=True)]
        )
        seams = [_seam_notice(segments[number], clip) for number in _bad_seams(segments, done)]
    return _report(source, target, settings, clip, sink, background, done, seams, time.monotonic() - begun)


def _do(tasks: Sequence[Task], sink: ClipSink, settings: VideoSettings, tell: _JobsTeller) -> list[Done]:
    """Runs the tasks side by side; what they found, in their order."""
    done: dict[int, Done] = {}
    with Jobs(tasks, stall_timeout_s=settings.stall_timeout_s) as jobs:
        for heard in jobs.messages():
            if heard is None:
                continue
            place, message = heard
            match message:
                case Opened(encoder, header):
                    if (encoder, header) != (sink.encoder, sink.writer.header):
                        raise _ForOneJob(f"the encoder {encoder} begins each segment in another way")
                case Unfit(reason):
                    raise _ForOneJob(reason)
                case Kept(frames):
                    tell(tasks[place].segment.number, frames)
                case Done():
                    tell(tasks[place].segment.number, message.frames)
                    done[place] = message
    return [done[place] for place in range(len(tasks))]


def _bad_seams(segments: Sequence[Segment], done: Sequence[Done]) -> list[int]:
    """The numbers of segments whose alpha of the frame before them isn't that which the segment before has."""
    bad = []
    for (before, segment), (left, right) in zip(pairwise(segments), pairwise(done), strict=True):
        one, other = left.alphas.get(before.last_kept), right.alphas.get(before.last_kept)
        if one is not None and other is not None and _differ(one, other):
            bad.append(segment.number)
    return bad


def _differ(one: U8, other: U8) -> bool:
    differs = np.abs(one.astype(np.int16) - other) > _DIFFERS
    return float(differs.mean()) > _LEAST_SHARE


def _seam_notice(segment: Segment, clip: VideoFileSource) -> str:
    seconds = float(segment.keep_from * clip.format.time_base)
    return f"At {seconds:.2f} s, where two jobs meet, their masks aren't quite the same; --jobs 1 leaves no such place."


class _JobsTeller:
    """Adds up the frames of all jobs and tells of them about ten times a second."""

    def __init__(self, tell: Teller, frames_expected: int | None, jobs: int) -> None:
        self._tell = tell
        self._frames_expected = frames_expected
        self._frames = [0] * jobs
        self._last_told = time.monotonic()

    def __call__(self, number: int, frames: int) -> None:
        self._frames[number] = max(frames, self._frames[number])  # done again, it begins anew
        now, done = time.monotonic(), sum(self._frames)
        if now - self._last_told >= _TELL_EVERY_S or done == self._frames_expected:
            self._last_told = now
            self._tell(done)


def _report(
    source: Path,
    target: Path,
    settings: VideoSettings,
    clip: VideoFileSource,
    sink: ClipSink,
    background: str,
    done: Sequence[Done],
    seams: Sequence[str],
    seconds: float,
) -> Report:
    damaged, truncated = sum(part.damaged for part in done), any(part.truncated for part in done)
    said = next((part.first_error_text for part in done if part.first_error_text), "")
    times: dict[str, LatencyHistogram] = {}
    for part in done:
        for name, histogram in part.times.items():
            times[name] = times.get(name, LatencyHistogram()) + histogram
    notices = [notice for part in done for notice in part.notices]
    notices += damage_notices(damaged, said, truncated=truncated) + sink.notices + list(seams)
    if len(done) < settings.jobs:
        notices.append(f"The clip has key frames to cut it for {len(done)} jobs only, not for {settings.jobs}.")
    if len(done) > usable_cores():
        cores = f"{usable_cores()} core{'s' * (usable_cores() > 1)}"
        notices.append(
            f"{len(done)} jobs shared {cores}: one more than there are cores takes as much memory, and has no core."
        )
    return clip_report(
        source,
        target,
        clip,
        sink,
        seconds=seconds,
        frames=sum(part.frames for part in done),
        damaged=damaged,
        truncated=truncated,
        model=done[0].model,
        provider=done[0].provider,
        provider_reason=done[0].provider_reason,
        background=background,
        times=times,
        notices=dict.fromkeys(notices),
        jobs=len(done),
    )
