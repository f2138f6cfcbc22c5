"""What is judged: named configurations, and the frame path of rtmatte run over a clip with one of them.

The stages are those of every run (`rtmatte.runs.matting_chain`); only threads and hand-offs are left out, so that each
stage can be timed alone. A new option is a field of `Config` and, if it isn't read by the chain, a line in
`matted_frames`.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.frame import I420, U8, Frame, Picture, VideoFormat
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.pool import PicturePool
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.progress import Teller
from rtmatte.runs.two_pass import FirstPass
from rtmatte.settings import BEST_VIDEO, FocusName, People, RefinerName, SpillName, VideoSettings
from scoring.carried import CarriedMatter
from scoring.peers import real_peer, squashed_u2netp


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every choice of the frame path; the defaults are those of the program."""

    model: str = VideoSettings.model
    smoothing_s: float = VideoSettings.smoothing_s
    refiner: RefinerName = VideoSettings.refiner
    people: People = VideoSettings.people
    edge_colors: bool = VideoSettings.edge_colors
    spill: SpillName = VideoSettings.spill
    focus: FocusName = VideoSettings.focus
    skip_still: bool = VideoSettings.skip_still
    both_ways: bool = VideoSettings.both_ways
    clean_plate: bool = VideoSettings.clean_plate
    two_pass: bool = VideoSettings.two_pass
    propagate: bool = VideoSettings.propagate
    threads: int | None = None
    """Threads of the model; None: one for each core."""
    carry_frames: int = 0
    """Masks are carried by optical flow, as where the net takes so many frame intervals; 0: each frame has its own."""
    peer: Callable[[VideoFormat], Matter] | None = None
    """Makes what estimates alpha instead of `model`, for the clip's format."""


CONFIGS: Mapping[str, Config] = {
    "default": Config(),
    "best": Config(**BEST_VIDEO),
    "net_alone": Config(smoothing_s=0, refiner="upscale"),
    "net_refined": Config(smoothing_s=0),
    "net_smoothed": Config(refiner="upscale"),
    "selfie": Config(model="selfie"),
    "u2netp": Config(model="u2netp"),
    "u2netp_raw": Config(model="u2netp", smoothing_s=0, refiner="upscale"),
    "peer_u2netp_squashed": Config(peer=squashed_u2netp, smoothing_s=0, refiner="upscale"),
    **{
        f"peer_{peer}": Config(peer=real_peer(peer), smoothing_s=0, refiner="upscale")
        for peer in ("rembg", "rvm", "mediapipe", "mediapipe-soft")
    },
}
"""`peer_...`: how others would do it, to compare with."""


@dataclass(frozen=True, slots=True)
class MattedFrame:
    """A frame, its alpha at frame size ((H, W) uint8, its own copy), its colours as they are composited, and the
    seconds that each stage took."""

    frame: Frame
    alpha_u8: U8
    foreground: Frame
    stage_seconds: dict[str, float]


def named_config(text: str) -> tuple[str, Config]:
    """A configuration as on the command line: `u2netp`, or with other values `u2netp:smoothing_s=0.1,threads=1`.

    Returns a name for files, and the configuration. Raises: ValueError with the names that there are.
    """
    base, _, changes = text.partition(":")
    if base not in CONFIGS:
        raise ValueError(f"expected a configuration of {', '.join(CONFIGS)}, got {base!r}")
    known = {field.name for field in fields(Config)} - {"peer"}
    values: dict[str, Any] = {}
    for change in filter(None, changes.split(",")):
        key, _, value = change.partition("=")
        if key not in known:
            raise ValueError(f"expected an option of {', '.join(sorted(known))}, got {key!r}")
        values[key] = _value(value)
    return re.sub(r"[^\w.=-]+", "_", text), replace(CONFIGS[base], **values)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def matted_frames(clip: Path, config: Config) -> Iterator[MattedFrame]:
    """Runs a clip through the frame path, frame by frame and in order.

    Raises: any of `rtmatte.errors`.
    """
    with ExitStack() as stack:
        source = stack.enter_context(VideoFileSource(clip))
        matter = _matter(config, source.format)
        if config.carry_frames:
            matter = CarriedMatter(matter, config.carry_frames)
        settings = VideoSettings(
            smoothing_s=config.smoothing_s,
            refiner=config.refiner,
            people=config.people,
            edge_colors=config.edge_colors,
            spill=config.spill,
            clean_plate=config.clean_plate,
            propagate=config.propagate,
        )
        if config.two_pass:
            seen = stack.enter_context(closing(FirstPass(matter, settings)))
            seen.look(clip, PicturePool(), Teller(source, None))
            chain = seen.second_chain()
        else:
            chain = MattingChain(matter, settings)
        for frame in source:
            begun = time.perf_counter()
            matted = chain.estimate(frame)
            estimated = time.perf_counter()
            matted = chain.smooth(matted)
            smoothed = time.perf_counter()
            alpha_u8 = chain.refine(matted)
            refined = time.perf_counter()
            foreground = replace(frame, picture=_copy(frame.picture))
            cleared = time.perf_counter()
            chain.clear_edges(replace(matted, frame=foreground), alpha_u8)
            seconds = {
                "estimate": estimated - begun,
                "smooth": smoothed - estimated,
                "refine": refined - smoothed,
                "colors": time.perf_counter() - cleared,
            }
            yield MattedFrame(frame, alpha_u8.copy(), foreground, seconds)


def alphas(clip: Path, config: Config) -> Iterator[U8]:
    """The alpha of each frame, (H, W) uint8 at frame size, as it would be composited."""
    for matted in matted_frames(clip, config):
        yield matted.alpha_u8


def _copy(picture: Picture) -> Picture:
    if isinstance(picture, I420):
        return I420.over(picture.buffer.copy(), picture.size_wh, picture.color)
    return picture.copy()


def _matter(config: Config, video: VideoFormat) -> Matter:
    if config.peer is not None:
        return config.peer(video)
    return load_matter(
        config.model,
        threads=config.threads,
        sample_aspect_ratio=video.sample_aspect_ratio,
        focus=config.focus,
        both_ways=config.both_ways,
        skip_still=config.skip_still,
    )
