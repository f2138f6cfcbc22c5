"""One job: a segment of a clip in a process of its own. It reads a `Task` from stdin and writes messages to stdout.

Nothing else may be printed there, and the process doesn't outlive the one that started it.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Thread
from typing import Self, TypeAlias

import cv2

from rtmatte.capture.segment import Segment
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.composite.compositor import Compositor
from rtmatte.composite.video_background import VideoBackground
from rtmatte.errors import JobDiedError, NoFramesError
from rtmatte.frame import U8, Frame
from rtmatte.matting.matter import Matter, device_notices, why_there
from rtmatte.output.packets import PacketWriter
from rtmatte.output.sink import Sink
from rtmatte.pool import PicturePool
from rtmatte.runs.clip_parts import clip_background, load_clip_matter, open_sink
from rtmatte.runs.clip_stages import clip_stages
from rtmatte.runs.estimate_stage import batch_notices
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import run_pipeline
from rtmatte.settings import VideoSettings
from rtmatte.stats import LatencyHistogram


@dataclass(frozen=True, slots=True)
class Task:
    """What one job has to do. `folder` is for files of all jobs, on the target's disk; `suffix` is the target's.

    `clip_begin`: when the whole clip begins, in seconds. `threads`: for the model, unless the settings say so, and for
    each codec.
    """

    source: Path
    folder: Path
    suffix: str
    settings: VideoSettings
    segment: Segment
    clip_begin: Fraction
    threads: int
    matter: Matter | None

    @property
    def packets_path(self) -> Path:
        return self.folder / f"{self.segment.number}.packets"


@dataclass(frozen=True, slots=True)
class Opened:
    """The encoder is open; packets of several jobs go together if they agree in these."""

    encoder: str
    header: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """So many frames of the segment are encoded."""

    frames: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """The segment can't be done by itself, for this reason; as a part of the whole clip it can."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended by an error."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Done:
    """The segment's packets are written. `pts` and `dts` are those of the packets, in their order.

    `alphas`: (H, W) uint8 of the last frame before the segment and of its last, by time stamp.
    """

    frames: int
    damaged: int
    first_error_text: str
    truncated: bool
    notices: list[str]
    model: str
    provider: str
    provider_reason: str
    times: dict[str, LatencyHistogram]
    pts: array[int]
    dts: array[int]
    alphas: dict[int, U8] = field(repr=False)


Message: TypeAlias = Opened | Kept | Unfit | Failed | Done


def main() -> None:
    """Does the task that stands on stdin."""
    # Ctrl-C reaches every process of the terminal; what becomes of the jobs is the first one's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries print

    def tell(message: Message) -> None:
        messages.write(pickle.dumps(message))
        messages.flush()

    task = pickle.load(sys.stdin.buffer)
    Thread(target=_end_with_parent, args=(task.folder,), name="rtmatte-parent", daemon=True).start()
    try:
        tell(_do(task, tell))
    except BaseException as error:
        tell(Failed(_portable(error)))
        raise


def _end_with_parent(folder: Path) -> None:
    """Waits for the other end of stdin to be closed, which only happens before the job is done if the parent died."""
    os.read(0, 1)  # not by sys.stdin, whose lock a thread may not hold when the interpreter ends
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _portable(error: BaseException) -> BaseException:
    """The error, or one that says the same, if it can't be brought to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an error's own way of being copied raises
        return JobDiedError(f"A job ended by {type(error).__name__}: {error}")
    return error


class _NotAlone(Exception):
    """The segment isn't what the plan said."""


class _KeptFrames:
    """A `Sink` that passes on a segment's own frames only, and keeps alpha on both sides of its seams."""

    def __init__(self, sink: Sink, segment: Segment) -> None:
        self.notices = sink.notices
        self.encoder = sink.encoder
        self.frames = 0
        self.alphas: dict[int, U8] = {}
        self._sink = sink
        self._segment = segment

    def send(self, frame: Frame, alpha_u8: U8 | None) -> None:
        """Raises: `_NotAlone` if the first frame to be kept isn't the one that was planned."""
        segment = self._segment
        if alpha_u8 is not None and frame.pts in (segment.last_warm_up, segment.last_kept):
            self.alphas[frame.pts] = alpha_u8.copy()
        if frame.pts < segment.keep_from:
            return
        if self.frames == 0 and frame.pts != segment.keep_from:
            raise _NotAlone(f"the frame at {float(segment.keep_from * frame.time_base):.3f} s can't be decoded")
        self._sink.send(frame, alpha_u8)
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The sink is closed by whoever opened it."""


def _do(task: Task, tell: Callable[[Message], None]) -> Done | Unfit:
    cv2.setNumThreads(task.threads)
    settings, pool = task.settings, PicturePool()
    with ExitStack() as stack:
        reader = VideoFileSource(task.source, pool=pool, threads=task.threads, decoder=settings.decoder)
        clip = stack.enter_context(reader)
        behind = stack.enter_context(clip_background(settings))
        if isinstance(behind, VideoBackground):
            behind.begin_at(task.clip_begin)
        packets = PacketWriter(task.packets_path)
        part = task.folder / f"{task.segment.number}{task.suffix}"
        sink = stack.enter_context(open_sink(clip.format, part, settings, threads=task.threads, packets=packets))
        tell(Opened(sink.encoder, sink.writer.header))
        matter = task.matter or load_clip_matter(clip.format, settings, threads=task.threads)
        kept = _KeptFrames(sink, task.segment)
        chain = MattingChain(matter, settings, pool=pool)
        stages = clip_stages(chain, Compositor(behind, light_wrap=settings.light_wrap), kept, pool)
        try:
            clip.restrict(task.segment)
            times = run_pipeline(
                clip,
                "decode",
                stages,
                stall_timeout_s=settings.stall_timeout_s,
                on_progress=lambda _frames: tell(Kept(kept.frames)),
            )
        except (_NotAlone, NoFramesError) as error:
            return Unfit(str(error))
    return Done(
        frames=kept.frames,
        damaged=clip.damaged,
        first_error_text=clip.first_error_text,
        truncated=clip.truncated,
        notices=[*clip.notices, *device_notices(matter), *batch_notices(matter, settings.batch)],
        model=matter.name,
        provider=matter.provider,
        provider_reason=why_there(matter),
        times=times,
        pts=packets.pts,
        dts=packets.dts,
        alphas=kept.alphas,
    )
