"""A case on a clip: the program's own file run over the clip again and again, until it is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.composite.compositor import Compositor
from rtmatte.frame import Frame
from rtmatte.matting.matter import Matter, device_notices
from rtmatte.matting.preparing import seconds_preparing
from rtmatte.pool import PicturePool
from rtmatte.runs.bench.cases import Case
from rtmatte.runs.bench.recorder import Recorder
from rtmatte.runs.clip_parts import clip_background, open_sink
from rtmatte.runs.clip_stages import clip_stages
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.settings import Decoder, VideoSettings

STAGES = ("decode", "resize", "estimate", "smooth", "refine", "composite", "encode")


class Load(Protocol):
    """Makes the model of a case: `load_matter`, or a test's own."""

    def __call__(
        self,
        name: str,
        *,
        device: Any,
        threads: int | None,
        sample_aspect_ratio: Fraction,
        side_by_side: bool = False,
        batch: int | None = 1,
    ) -> Matter: ...


@dataclass(frozen=True, slots=True)
class Used:
    """What a case really ran with, as read back: `net` is the model's own name, `output` the encoder or the device,
    `decoder` software or a device.

    `frames_at_once`: so many the model works on at the same time. `device_notices`: as the run's report tells them.
    """

    size_wh: tuple[int, int]
    net: str
    provider: str
    output: str
    frames_at_once: int = 1
    device_notices: tuple[str, ...] = ()
    decoder: str = "software"


class _EnoughMeasured(Exception):
    """Ends the pipeline at once, instead of draining it."""


def run_clip(
    case: Case,
    clip: Path,
    folder: Path,
    background: str,
    decoder: Decoder,
    load: Load,
    recorder: Recorder,
    should_stop: Callable[[], bool],
) -> Used:
    """Runs until `recorder` has enough or `should_stop()`; the result's file is written into `folder` and dropped. The
    model looks at every frame, however still the clip is.

    Raises: what `process_video` raises, but for a stop.
    """
    settings = VideoSettings(background=background, decoder=decoder, overwrite=True)
    with ExitStack() as stack:
        pool = PicturePool()
        frames = _Loop(clip, pool, recorder, decoder)
        stack.callback(frames.close)
        behind = stack.enter_context(clip_background(settings))
        target = folder / ("out.mov" if behind is None else "out.mp4")
        sink = open_sink(frames.format, target, settings)

        def encoded(frame: Frame) -> None:
            recorder.left(frame.index)

        def watch(_frames_done: int) -> None:
            if recorder.enough or should_stop():
                raise _EnoughMeasured

        try:
            with sink:
                matter = load(
                    case.model,
                    device=case.device,
                    threads=case.threads,
                    sample_aspect_ratio=frames.format.sample_aspect_ratio,
                    side_by_side=True,
                    batch=case.batch,
                )
                chain = MattingChain(matter, settings, pool=pool)
                stages = clip_stages(chain, Compositor(behind), sink, pool, encoded)
                run_pipeline(
                    frames,
                    STAGES[0],
                    [_timed(stage, recorder) for stage in stages],
                    stall_timeout_s=settings.stall_timeout_s,
                    on_progress=watch,
                )
        except _EnoughMeasured:
            pass
    # Read afterwards: whether a net can take batches turns out with its first frames.
    return Used(
        frames.format.size_wh,
        matter.name,
        matter.provider,
        sink.encoder,
        stages[0].at_once,
        device_notices(matter),
        frames.decoded_by,
    )


def _timed(stage: Stage, recorder: Recorder) -> Stage:
    def work(item: Any) -> Any:
        begin, resized = recorder.clock(), seconds_preparing()
        result = stage.work(item)
        end, frames = recorder.clock(), len(item) if stage.together > 1 else 1
        if stage.name == "estimate":
            recorder.estimated(begin, end, seconds_preparing() - resized, frames)
        else:
            recorder.stage(stage.name, begin, end, frames)
        return result

    return replace(stage, work=work)


class _Loop:
    """A clip without end: frames are numbered on, and time goes on, from one pass to the next."""

    def __init__(self, path: Path, pool: PicturePool, recorder: Recorder, decoder: Decoder) -> None:
        self._recorder = recorder
        self._source = VideoFileSource(path, pool=pool, decoder=decoder)
        self.format, self.decoded_by = self._source.format, self._source.decoded_by

    def __iter__(self) -> Iterator[Frame]:
        index = start = 0
        while True:
            first_pts, end = None, start
            frames = iter(self._source)
            begin = self._recorder.clock()
            while (frame := next(frames, None)) is not None:
                # The first picture of a pass was decoded on opening or rewinding, which isn't a stage's work.
                if first_pts is None:
                    first_pts = frame.pts
                else:
                    self._recorder.stage(STAGES[0], begin, self._recorder.clock())
                self._recorder.entered(index, begin)
                pts = start + frame.pts - first_pts
                end = pts + (frame.duration or 1)
                yield replace(frame, pts=pts, index=index)
                index += 1
                begin = self._recorder.clock()
            start = end
            self._source.rewind()  # opened anew, a device would be tried anew as well

    def close(self) -> None:
        self._source.close()
