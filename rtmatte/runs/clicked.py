"""Who stays in a clip, where that was clicked: by the pieces of alpha, or as a model of clicks sees the first frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtmatte import clicks
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.clicks import Point
from rtmatte.errors import SettingsError
from rtmatte.frame import F32, Frame
from rtmatte.matting.load_for_stills import load_for_stills
from rtmatte.matting.matter import Prompted
from rtmatte.matting.registry import MODELS
from rtmatte.refine.subject import Subject
from rtmatte.settings import VideoSettings


def find_subject(clip: VideoFileSource, source: Path, settings: VideoSettings) -> Subject | None:
    """Who stays; None: nothing was clicked. With a click model, `source` is opened again for its first frame.

    The model is gone when it returns: no other frame needs it.

    Raises: `SettingsError` for points outside the picture and for a model that isn't one for clicks; as
    `load_for_stills` and `VideoFileSource`.
    """
    if not settings.keep and not settings.drop:
        return None
    width, height = clip.format.size_wh
    displayed_wh = max(1, round(width * clip.format.sample_aspect_ratio)), height
    keep = clicks.points(settings.keep, displayed_wh, option="--keep")
    drop = clicks.points(settings.drop, displayed_wh, option="--drop")
    kept = dropped = None
    if settings.click_model is not None:
        matter = _load(settings.click_model, settings)
        with VideoFileSource(source) as first:
            for frame in first:
                kept, dropped = _masks(matter, frame, keep, drop)
                break
    return Subject(keep=keep, drop=drop, nearest=settings.people == "nearest", kept=kept, dropped=dropped)


def _load(name: str, settings: VideoSettings) -> Prompted:
    known = [row.name for row in MODELS if row.family == "prompted"]
    if name not in known:
        raise SettingsError(f"--click-model: expected {' or '.join(known)}, got {name!r}.")
    matter = load_for_stills(name, device=settings.device, threads=settings.threads)
    assert isinstance(matter, Prompted)
    return matter


def _masks(
    matter: Prompted, frame: Frame, keep: Sequence[Point], drop: Sequence[Point]
) -> tuple[F32 | None, F32 | None]:
    """Of all that is to be kept, and of all that is to be dropped.

    Each point is asked for alone, since several may be on several people, and all of them together, since several on
    one person tell more of them.
    """
    asked = [_prompts(keep, drop), _prompts(drop, keep)]
    found = iter(matter.estimate_wholes(frame, [prompt for prompts in asked for prompt in prompts]))
    kept, dropped = ([next(found) for _ in prompts] for prompts in asked)
    return _all_of(kept), _all_of(dropped)


def _prompts(points: Sequence[Point], others: Sequence[Point]) -> list[tuple[Sequence[Point], Sequence[Point]]]:
    alone: list[tuple[Sequence[Point], Sequence[Point]]] = [((point,), others) for point in points]
    return [*alone, (points, others)] if len(points) > 1 else alone


def _all_of(masks: Sequence[F32]) -> F32 | None:
    return np.maximum.reduce(masks) if masks else None
