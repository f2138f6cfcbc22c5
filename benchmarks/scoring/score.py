"""Scores of a whole clip: every frame against its truth, the mean of each metric, the worst frame for the eye."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, repeat, zip_longest
from typing import TypeAlias

import numpy as np

from rtmatte.frame import I420, U8, picture_size_wh
from scoring import metrics
from scoring.configs import Config, MattedFrame, matted_frames
from scoring.metrics import METRICS
from scoring.peers import picture_bgr
from scoring.truth import TruthClip

Scores: TypeAlias = dict[str, float]
"""A value for each name in `METRICS`; NaN where a metric says nothing of that frame or clip."""

_CHUNK = 16
"""Frames that are matted before they are scored, so that scoring disturbs no timing and can use every core."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame as judged: estimate and truth, (H, W) uint8 each, and what it was made from."""

    matted: MattedFrame
    truth: U8
    true_foreground_bgr: U8 | None

    @property
    def alpha(self) -> U8:
        return self.matted.alpha_u8

    @property
    def luma(self) -> U8:
        picture = self.matted.frame.picture
        return picture.y if isinstance(picture, I420) else picture[:, :, 1]


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """The frame of the largest mean absolute difference."""

    index: int
    mad: float
    picture_bgr: U8
    truth: U8
    alpha: U8


@dataclass(frozen=True, slots=True)
class ClipScore:
    """Mean scores of a clip over the frames that were judged, and the median milliseconds of each stage."""

    name: str
    size_wh: tuple[int, int]
    frames: int
    scores: Scores
    stage_ms: dict[str, float]
    worst: WorstFrame


def score_clip(clip: TruthClip, config: Config, *, frames: int | None = None, every: int = 1) -> ClipScore:
    """Runs a clip through a configuration and judges its first `frames`, of these one in `every`.

    All of them run through the model either way: what it and the filters remember is part of what is judged.

    Raises: ValueError if picture and truth differ in size or number of frames; any of `rtmatte.errors`.
    """
    judged: list[Scores] = []
    seconds: list[Mapping[str, float]] = []
    worst: tuple[float, Sample] | None = None
    samples = _samples(clip, config, frames)
    before: Sample | None = None
    with ThreadPoolExecutor(thread_name_prefix="score") as pool:
        while chunk := list(islice(samples, _CHUNK)):
            pairs = [
                (sample, previous)
                for sample, previous in zip(chunk, [before, *chunk[:-1]], strict=True)
                if sample.matted.frame.index % every == 0
            ]
            for (sample, _), scores in zip(pairs, pool.map(lambda pair: score_frame(*pair), pairs), strict=True):
                judged.append(scores)
                if worst is None or scores["mad"] > worst[0]:
                    worst = scores["mad"], sample
            seconds += [sample.matted.stage_seconds for sample in chunk]
            before = chunk[-1]
    if worst is None:
        raise ValueError(f"expected at least one frame in {clip.picture}, got none")
    return ClipScore(
        clip.name,
        picture_size_wh(worst[1].matted.frame.picture),
        len(judged),
        mean_scores(judged),
        {stage: statistics.median(each[stage] for each in seconds) * 1e3 for stage in seconds[0]},
        _kept(worst[1], worst[0]),
    )


def score_frame(sample: Sample, before: Sample | None) -> Scores:
    """Every metric of one frame; those over time need the frame before, those of colours a known foreground."""
    alpha, truth = sample.alpha, sample.truth
    scores = dict.fromkeys((metric.name for metric in METRICS), math.nan)
    for name in ("mad", "mse", "grad", "conn", "boundary_f", "boundary_f_narrow", "iou", "empty_alpha"):
        scores[name] = getattr(metrics, name)(alpha, truth)
    if before is not None:
        scores["dtssd"] = metrics.dtssd(alpha, before.alpha, truth, before.truth)
        scores["flicker"] = metrics.flicker(alpha, before.alpha, truth, before.truth, sample.luma, before.luma)
    if sample.true_foreground_bgr is not None:
        foreground_bgr = picture_bgr(sample.matted.foreground)
        scores["foreground_mse"] = metrics.foreground_mse(foreground_bgr, sample.true_foreground_bgr, truth)
        scores["foreground_edge_mad"] = metrics.foreground_edge_mad(foreground_bgr, sample.true_foreground_bgr, truth)
    return scores


def mean_scores(scores: list[Scores]) -> Scores:
    """The mean of each metric over the frames or clips that have it; NaN if none has."""
    mean = {}
    for metric in METRICS:
        values = [each[metric.name] for each in scores if not math.isnan(each[metric.name])]
        mean[metric.name] = statistics.fmean(values) if values else math.nan
    return mean


def _samples(clip: TruthClip, config: Config, frames: int | None) -> Iterator[Sample]:
    foregrounds: Iterator[U8 | None] = clip.foregrounds_bgr() if clip.foreground is not None else repeat(None)
    matted = matted_frames(clip.picture, config)
    for sample, truth in islice(zip_longest(matted, clip.alphas()), frames):
        if sample is None or truth is None:
            longer, shorter = (clip.alpha, clip.picture) if sample is None else (clip.picture, clip.alpha)
            raise ValueError(f"expected clips of equal length, got fewer frames in {shorter.name} than {longer.name}")
        if sample.alpha_u8.shape != truth.shape:
            raise ValueError(f"expected alpha of {clip.name} as {truth.shape}, got {sample.alpha_u8.shape}")
        yield Sample(sample, truth, next(foregrounds))


def _kept(sample: Sample, mad: float) -> WorstFrame:
    frame = sample.matted.frame
    return WorstFrame(frame.index, mad, np.array(picture_bgr(frame)), sample.truth, sample.alpha)
