"""A recorded clip on a new background: every frame, with its own time stamp, into a file.

decode ──► estimate ──► smooth ──► refine ──► composite ──► encode         see runs/pipeline.py

With two passes, the clip goes through the model before that; see runs/two_pass.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from rtmatte.capture.source import Source
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.composite.background import Background
from rtmatte.composite.compositor import Compositor
from rtmatte.errors import OutputExistsError, SettingsError
from rtmatte.frame import U8, Frame, picture_size_wh
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.output.matte import MatteSink
from rtmatte.output.packets import PacketWriter
from rtmatte.output.sink import ClipSink, Sink
from rtmatte.output.video_file import VideoFileSink
from rtmatte.pool import PicturePool
from rtmatte.refine.clean_plate import CleanPlate
from rtmatte.refine.subject import Subject
from rtmatte.runs.backgrounds import open_background
from rtmatte.runs.clicked import find_subject
from rtmatte.runs.estimate_stage import estimate_stage
from rtmatte.runs.matting_chain import Matted, MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.runs.report import Report
from rtmatte.runs.two_pass import FirstPass
from rtmatte.settings import Codec, Device, Encoder, Fit, FocusName, People, RefinerName, SpillName, VideoSettings
from rtmatte.stats import StageTime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run, or a pass of it, is; `frames_expected` is the container's claim (None: unknown),
    `duration_seconds` likewise. Frames and seconds are counted anew in each pass."""

    frames_done: int
    frames_expected: int | None
    duration_seconds: float | None
    elapsed_seconds: float
    number: int = 1
    passes: int = 1


def process_video(
    source: str | Path,
    target: str | Path,
    *,
    background: str = VideoSettings.background,
    fit: Fit = VideoSettings.fit,
    matte: bool = VideoSettings.matte,
    model: str = VideoSettings.model,
    model_spec: Path | None = VideoSettings.model_spec,
    device: Device = VideoSettings.device,
    threads: int | None = VideoSettings.threads,
    focus: FocusName = VideoSettings.focus,
    skip_still: bool = VideoSettings.skip_still,
    smoothing_s: float = VideoSettings.smoothing_s,
    refiner: RefinerName = VideoSettings.refiner,
    people: People = VideoSettings.people,
    keep: Sequence[str] = VideoSettings.keep,
    drop: Sequence[str] = VideoSettings.drop,
    click_model: str | None = VideoSettings.click_model,
    edge_colors: bool = VideoSettings.edge_colors,
    spill: SpillName = VideoSettings.spill,
    clean_plate: bool = VideoSettings.clean_plate,
    plate: Path | None = VideoSettings.plate,
    light_wrap: float = VideoSettings.light_wrap,
    both_ways: bool = VideoSettings.both_ways,
    two_pass: bool = VideoSettings.two_pass,
    codec: Codec | None = VideoSettings.codec,
    encoder_quality: int = VideoSettings.encoder_quality,
    encoder: Encoder = VideoSettings.encoder,
    overwrite: bool = VideoSettings.overwrite,
    stall_timeout_s: float = VideoSettings.stall_timeout_s,
    jobs: int = VideoSettings.jobs,
    matter: Matter | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Puts another background behind the people in a clip and writes it to `target`, the container by its suffix.

    `background`: `"none"` (transparent; .webm, .mov, .mkv), `"blur"`, `"blur:0.7"`, `"#00b140"`, a CSS colour name, or
    the path of a picture or clip. With `matte`, alpha itself is written, lossless (.mkv, .mov). `matter` replaces the
    model; with several `jobs` each gets a copy. Audio, subtitles, chapters and metadata go along. Every other option is
    a field of `VideoSettings`. `on_progress` is called from this thread about ten times a second.

    Raises: any of `rtmatte.errors`; KeyboardInterrupt. Nothing that looks finished is left behind then.
    """
    settings = VideoSettings(
        background=background,
        fit=fit,
        matte=matte,
        model=model,
        model_spec=model_spec,
        device=device,
        threads=threads,
        focus=focus,
        skip_still=skip_still,
        smoothing_s=smoothing_s,
        refiner=refiner,
        people=people,
        keep=tuple(keep),
        drop=tuple(drop),
        click_model=click_model,
        edge_colors=edge_colors,
        spill=spill,
        clean_plate=clean_plate,
        plate=plate,
        light_wrap=light_wrap,
        both_ways=both_ways,
        two_pass=two_pass,
        codec=codec,
        encoder_quality=encoder_quality,
        encoder=encoder,
        overwrite=overwrite,
        stall_timeout_s=stall_timeout_s,
        jobs=jobs,
    )
    source, target = Path(source), Path(target)
    _refuse_writing_over_the_input(source, target)
    why_alone: list[str] = []
    if settings.jobs > 1:
        from rtmatte.runs.segments import process_in_segments  # it builds on this module

        done = process_in_segments(source, target, settings, matter, on_progress)
        if isinstance(done, Report):
            return done
        why_alone.append(f"Done by one job, not by {settings.jobs}: {done.reason}.")
    begun = time.monotonic()
    with ExitStack() as stack:
        pool = PicturePool()
        clip = stack.enter_context(VideoFileSource(source, pool=pool))
        behind = None if settings.matte else open_background(settings.background, settings.fit)
        if behind is not None:
            stack.callback(behind.close)
        # The sink before the model: a target that can't be written is told at once.
        sink = stack.enter_context(open_sink(clip, target, settings, companions_from=source))
        subject = find_subject(clip, source, settings)
        matter = matter or load_matter(
            settings.model,
            model_spec=settings.model_spec,
            device=settings.device,
            threads=settings.threads,
            sample_aspect_ratio=clip.format.sample_aspect_ratio,
            focus=settings.focus,
            both_ways=settings.both_ways,
            skip_still=settings.skip_still,
            side_by_side=True,
        )
        learnt, tell = None, _Teller(clip, 1, on_progress)
        if settings.two_pass:
            seen = stack.enter_context(closing(FirstPass(matter, settings)))
            tell = _Teller(clip, 1 + seen.has_use + seen.goes_back, on_progress)
            if seen.has_use:
                with VideoFileSource(source, pool=pool) as first:
                    seen.run(first, pool, tell)
                tell.next_pass()
            if seen.goes_back:
                seen.go_back(tell)
                tell.next_pass()
            matter, learnt = seen.second_matter(), seen.plate
            settings = replace(settings, smoothing_s=0)
        stages, frames = _run(clip, matter, behind, sink, pool, settings, learnt, subject, tell)
    seconds = time.monotonic() - begun
    return Report(
        source=str(source),
        target=str(target),
        size_wh=clip.format.size_wh,
        frames_in=frames,
        frames_out=frames,
        dropped=0,
        damaged=clip.damaged,
        truncated=clip.truncated,
        seconds=seconds,
        frame_rate=frames / seconds,
        speed=clip.duration_seconds / seconds if clip.duration_seconds else None,
        model=matter.name,
        provider=matter.provider,
        encoder=sink.encoder,
        background="matte" if settings.matte else behind.name if behind is not None else "none",
        stages=tuple(stages),
        notices=(*clip.notices, *sink.notices, *why_alone),
    )


class _Teller:
    """Makes `Progress` of a number of frames."""

    def __init__(self, clip: Source, passes: int, on_progress: Callable[[Progress], None] | None) -> None:
        self._clip = clip
        self._on_progress = on_progress
        self._number, self._passes = 1, passes
        self._begun = time.monotonic()

    def next_pass(self) -> None:
        self._number += 1
        self._begun = time.monotonic()

    def __call__(self, frames_done: int) -> None:
        if self._on_progress is not None:
            clip, elapsed = self._clip, time.monotonic() - self._begun
            self._on_progress(
                Progress(frames_done, clip.frames_expected, clip.duration_seconds, elapsed, self._number, self._passes)
            )


def _refuse_writing_over_the_input(source: Path, target: Path) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputExistsError(f"Input and output are the same file: {target}.", hint="Choose another name.")


def open_sink(
    clip: VideoFileSource,
    target: Path,
    settings: VideoSettings,
    *,
    companions_from: Path | None = None,
    threads: int | None = None,
    packets: PacketWriter | None = None,
) -> ClipSink:
    """The sink that the settings ask for; `threads` and `packets` as for `ClipWriter`.

    Raises: as the sinks do; `SettingsError` for a matte with a codec.
    """
    if settings.matte:
        if settings.codec is not None:
            raise SettingsError("--matte chooses its own lossless codec: expected no --codec, got one.")
        return MatteSink(target, clip.format, overwrite=settings.overwrite, threads=threads, packets=packets)
    return VideoFileSink(
        target,
        clip.format,
        codec=settings.codec,
        quality=settings.encoder_quality,
        encoder=settings.encoder,
        keep_alpha=settings.background.strip().lower() == "none",
        companions_from=companions_from,
        overwrite=settings.overwrite,
        threads=threads,
        packets=packets,
    )


@dataclass(frozen=True, slots=True)
class _Refined:
    """A frame as it was matted, with its alpha at frame size, (H, W) uint8 of the pool."""

    matted: Matted
    alpha_u8: U8


def clip_stages(
    matter: Matter,
    behind: Background | None,
    sink: Sink,
    pool: PicturePool,
    settings: VideoSettings,
    on_encoded: Callable[[Frame], None],
    learnt: CleanPlate | None = None,
    subject: Subject | None = None,
) -> list[Stage]:
    """All that happens to a decoded frame, for `run_pipeline`: estimate, smooth, refine, composite, encode.

    `on_encoded` is called in the encoding thread with every frame that the sink has; its picture is the pool's again.
    `learnt` is the room, if it was learnt before; `subject` says who stays, by default the settings do.
    """
    chain = MattingChain(matter, settings, learnt, subject, pool)
    compositor = Compositor(behind, light_wrap=settings.light_wrap)

    def refine(matted: Matted) -> _Refined:
        alpha_u8 = matted.alpha_u8
        if alpha_u8 is None:
            alpha_u8 = pool.acquire_alpha(picture_size_wh(matted.frame.picture))
        return _Refined(matted, chain.refine(matted, alpha_u8))

    def composite(refined: _Refined) -> _Refined:
        chain.clear_edges(refined.matted, refined.alpha_u8)
        compositor.composite(refined.matted.frame, refined.alpha_u8)
        return refined

    def encode(refined: _Refined) -> None:
        frame = refined.matted.frame
        sink.send(frame, refined.alpha_u8)
        pool.release(frame.picture)
        pool.release_alpha(refined.alpha_u8)
        on_encoded(frame)

    return [
        estimate_stage(chain),
        Stage("smooth", chain.smooth),
        Stage("refine", refine),
        Stage("composite", composite),
        Stage("encode", encode),
    ]


def _run(
    clip: Source,
    matter: Matter,
    behind: Background | None,
    sink: Sink,
    pool: PicturePool,
    settings: VideoSettings,
    learnt: CleanPlate | None,
    subject: Subject | None,
    tell: Callable[[int], None],
) -> tuple[list[StageTime], int]:
    """Runs every frame through; what each stage took, and how many frames there were."""
    frames = 0

    def encoded(_frame: Frame) -> None:
        nonlocal frames
        frames += 1

    stages = clip_stages(matter, behind, sink, pool, settings, encoded, learnt, subject)
    return run_pipeline(clip, "decode", stages, stall_timeout_s=settings.stall_timeout_s, on_progress=tell), frames
