"""A recorded clip on a new background: every frame, with its own time stamp, into a file.

decode ──► estimate ──► smooth ──► refine ──► composite ──► encode         see runs/clip_stages.py

With two passes, the clip goes through the model before that; see runs/two_pass.py. With several jobs, processes share
it; see runs/segments/run.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import fields, replace
from pathlib import Path

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.composite.compositor import Compositor
from rtmatte.errors import OutputExistsError
from rtmatte.matting.matter import Matter, device_notices, why_there
from rtmatte.pool import PicturePool
from rtmatte.runs.clicked import find_subject
from rtmatte.runs.clip_parts import background_name, clip_background, load_clip_matter, open_sink
from rtmatte.runs.clip_stages import clip_stages
from rtmatte.runs.estimate_stage import batch_notices
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import run_pipeline
from rtmatte.runs.progress import Progress, Teller
from rtmatte.runs.report import Report, clip_report
from rtmatte.runs.segments.run import process_in_segments
from rtmatte.runs.two_pass import FirstPass
from rtmatte.settings import (
    Codec,
    Decoder,
    Device,
    Encoder,
    Fit,
    FocusName,
    People,
    RefinerName,
    SpillName,
    VideoSettings,
)


def run_video(
    source: Path,
    target: Path,
    settings: VideoSettings,
    *,
    matter: Matter | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """A clip through a run; `matter` and `on_progress` as for `process_video`.

    Raises: as `process_video`.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputExistsError(f"Input and output are the same file: {target}.", hint="Choose another name.")
    if settings.jobs == 1:
        return _run_as_one(source, target, settings, matter, on_progress)
    done = process_in_segments(source, target, settings, matter, on_progress)
    if isinstance(done, Report):
        return done
    report = _run_as_one(source, target, settings, matter, on_progress)
    why_alone = f"Done by one job, not by {settings.jobs}: {done.reason}."
    return replace(report, notices=(*report.notices, why_alone))


def _run_as_one(
    source: Path,
    target: Path,
    settings: VideoSettings,
    matter: Matter | None,
    on_progress: Callable[[Progress], None] | None,
) -> Report:
    begun = time.monotonic()
    with ExitStack() as stack:
        pool = PicturePool()
        clip = stack.enter_context(VideoFileSource(source, pool=pool, decoder=settings.decoder))
        behind = stack.enter_context(clip_background(settings))
        # The sink before the model: a target that can't be written is told at once.
        sink = stack.enter_context(open_sink(clip.format, target, settings, companions_from=source))
        subject = find_subject(clip, source, settings)
        matter = matter or load_clip_matter(clip.format, settings)
        tell = Teller(clip, on_progress)
        propagated = 0
        if settings.two_pass:
            seen = stack.enter_context(closing(FirstPass(matter, settings)))
            seen.look(source, pool, tell)
            propagated = seen.spared
            chain = seen.second_chain(subject, pool)
        else:
            chain = MattingChain(matter, settings, subject=subject, pool=pool)
        stages = clip_stages(chain, Compositor(behind, light_wrap=settings.light_wrap), sink, pool)
        times = run_pipeline(clip, "decode", stages, stall_timeout_s=settings.stall_timeout_s, on_progress=tell)
    return clip_report(
        source,
        target,
        clip,
        sink,
        seconds=time.monotonic() - begun,
        frames=times["encode"].count,
        damaged=clip.damaged,
        truncated=clip.truncated,
        model=matter.name,
        provider=matter.provider,
        provider_reason=why_there(matter),
        background=background_name(settings, behind),
        times=times,
        notices=[*clip.notices, *sink.notices, *device_notices(matter), *batch_notices(matter, settings.batch)],
        propagated=propagated,
    )


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
    batch: int | None = VideoSettings.batch,
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
    propagate: bool = VideoSettings.propagate,
    codec: Codec | None = VideoSettings.codec,
    encoder_quality: int = VideoSettings.encoder_quality,
    encoder: Encoder = VideoSettings.encoder,
    decoder: Decoder = VideoSettings.decoder,
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
    given = locals() | {"keep": tuple(keep), "drop": tuple(drop)}
    settings = VideoSettings(**{field.name: given[field.name] for field in fields(VideoSettings)})
    return run_video(Path(source), Path(target), settings, matter=matter, on_progress=on_progress)
