"""Whether a clip can be done by several jobs side by side, and where it is cut then."""

from __future__ import annotations

import pickle
import sys
from bisect import bisect_left, bisect_right
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from rtmatte.capture.segment import FrameIndex, Segment
from rtmatte.matting.matter import Matter
from rtmatte.matting.net_spec import read_net_spec
from rtmatte.matting.registry import find_model
from rtmatte.settings import VideoSettings

_LEAST_WARM_UP_S = 2.0
_TIME_CONSTANTS = 8
"""Of the mask filter: what it remembers from before weighs less than 1/2900 then, a tenth of a step of alpha."""


def warm_up_seconds(settings: VideoSettings) -> Fraction:
    """For how long before its first frame a segment has to be watched, for masks to be those of an unbroken run."""
    return Fraction(max(_LEAST_WARM_UP_S, _TIME_CONSTANTS * settings.smoothing_s))


def why_one_job(settings: VideoSettings, matter: Matter | None) -> str | None:
    """What rules out several jobs whatever the clip is, as the reason in a sentence; None: nothing.

    Raises: `UnknownModelError`; `SettingsError` for a model spec that can't be read.
    """
    if settings.keep or settings.drop or settings.people != "everyone":
        return "who stays is followed from the first frame on"
    if settings.focus != "whole":
        return "the part that the model sees follows from the frames before"
    if settings.clean_plate or settings.plate is not None:
        return "the room is learnt over the whole clip"
    if settings.two_pass:
        return "the second pass looks at what the first one saw of the whole clip"
    if not sys.executable or getattr(sys, "frozen", False):
        return "this program has no Python of its own to start"
    if matter is None:
        return f"{settings.model} remembers all frames before" if _remembers(settings) else None
    try:
        pickle.dumps(matter)
    except Exception:  # whatever an object's own way of being copied raises
        return f"the matter {matter.name} can't be copied to other processes"
    return None


def _remembers(settings: VideoSettings) -> bool:
    path = Path(settings.model)
    if settings.model_spec is not None or path.suffix == ".onnx":
        return read_net_spec(settings.model_spec or path.with_suffix(".toml")).family == "recurrent"
    return find_model(settings.model).family == "recurrent"


def cut_at_key_frames(index: FrameIndex, jobs: int, warm_up_ticks: int) -> list[Segment]:
    """About equal segments, `jobs` or as many as the key frames allow, each with so much before it to warm up with.

    An empty clip gives none.
    """
    pts = index.pts
    if not pts:
        return []
    bounds = [0, *_cuts(index, jobs), len(pts)]
    return [_segment(index, n, first, end, warm_up_ticks) for n, (first, end) in enumerate(pairwise(bounds))]


def _cuts(index: FrameIndex, jobs: int) -> list[int]:
    """The places of key frames nearest to equal shares, in rising order."""
    count = len(index.pts)
    shown = ((bisect_left(index.pts, key.pts), key.pts) for key in index.keys)
    places = sorted({place for place, pts in shown if 0 < place < count and index.pts[place] == pts})
    nearest = {min(places, key=lambda place: abs(place * jobs - share * count)) for share in range(1, jobs) if places}
    return sorted(nearest)


def _segment(index: FrameIndex, number: int, first: int, end: int, warm_up_ticks: int) -> Segment:
    pts = index.pts
    keep_from, ends_at = pts[first], pts[end] if end < len(pts) else None
    if first == 0:
        return Segment(number, None, keep_from, 0, keep_from, ends_at, None, pts[end - 1])
    begin = max(bisect_left(pts, keep_from - warm_up_ticks), bisect_left(pts, index.keys[0].pts))
    key = index.keys[bisect_right(index.keys, pts[begin], key=lambda key: key.pts) - 1]
    return Segment(number, key, pts[begin], begin, keep_from, ends_at, pts[first - 1], pts[end - 1])
