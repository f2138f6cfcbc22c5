"""From what the user chose to what a run over a clip is made of: its background, its sink and its model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rtmatte.composite.background import Background
from rtmatte.errors import SettingsError
from rtmatte.frame import VideoFormat
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.output.matte import MatteSink
from rtmatte.output.packets import PacketWriter
from rtmatte.output.sink import ClipSink
from rtmatte.output.video_file import VideoFileSink
from rtmatte.runs.backgrounds import open_background
from rtmatte.settings import VideoSettings


@contextmanager
def clip_background(settings: VideoSettings) -> Iterator[Background | None]:
    """The background, closed in the end; None: nothing is composited, the result is transparent or a matte.

    Raises: as `open_background`.
    """
    behind = None if settings.matte else open_background(settings.background, settings.fit)
    try:
        yield behind
    finally:
        if behind is not None:
            behind.close()


def background_name(settings: VideoSettings, behind: Background | None) -> str:
    """As reports have it."""
    if settings.matte:
        return "matte"
    return "none" if behind is None else behind.name


def open_sink(
    video: VideoFormat,
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
        return MatteSink(target, video, overwrite=settings.overwrite, threads=threads, packets=packets)
    return VideoFileSink(
        target,
        video,
        codec=settings.codec,
        quality=settings.encoder_quality,
        encoder=settings.encoder,
        keep_alpha=settings.background.strip().lower() == "none",
        companions_from=companions_from,
        overwrite=settings.overwrite,
        threads=threads,
        packets=packets,
    )


def load_clip_matter(video: VideoFormat, settings: VideoSettings, *, threads: int | None = None) -> Matter:
    """The model that the settings ask for, on `threads` unless they say on how many.

    Raises: as `load_matter`.
    """
    return load_matter(
        settings.model,
        model_spec=settings.model_spec,
        device=settings.device,
        threads=settings.threads or threads,
        sample_aspect_ratio=video.sample_aspect_ratio,
        focus=settings.focus,
        both_ways=settings.both_ways,
        skip_still=settings.skip_still,
        side_by_side=True,
        batch=settings.batch,
    )
