"""Frames whose masks come from those around them: which these are, and what a run makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Event, Lock
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.matting.batched import Batched
from rtmatte.matting.matter import Matter
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.runs.estimate_stage import estimate_stage, sparing_stage
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.offline import process_video
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.settings import VideoSettings
from rtmatte.temporal.sparing import Sparing, unexplained
from tests import clips
from tests.frames import planes

FRAMES = 12
WALL = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (180, 420), np.uint8), (0, 0), 3)

PERSON = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 255, (90, 70), np.uint8), (0, 0), 2)


def alpha_at(index: int) -> F32:
    """Of the person in frame `index` of the clip, at half its size."""
    alpha = np.zeros((90, 160), np.float32)
    alpha[30:75, 40 + index : 75 + index] = 1
    return alpha


def draw(picture: I420, index: int) -> None:
    """The person goes to the right, two pixels a frame."""
    picture.y[:] = WALL[:, :320]
    picture.y[60:150, 80 + 2 * index : 150 + 2 * index] = PERSON
    picture.u[:] = picture.v[:] = 128


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sparing") / "person.mp4"
    return clips.write_clip(path, size_wh=(320, 180), frame_count=FRAMES, draw=draw)


def shot(kind: str, luma: U8, index: int, milliseconds: int | None = None) -> Frame:
    height, width = luma.shape
    picture: Picture
    if kind == "i420":
        picture = I420.allocate((width, height), clips.UNTAGGED)
        picture.y[:] = luma
        picture.u[:] = picture.v[:] = 128
    else:
        picture = np.repeat(luma[:, :, None], 3, axis=2)
    return Frame(picture, 40 * index if milliseconds is None else milliseconds, Fraction(1, 1000), index)


def spared(frames: list[Frame]) -> list[bool]:
    sparing = Sparing()
    return [sparing.spares(frame) for frame in frames]


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_every_second_frame_of_what_stands_still_or_moves_along_is_spared(kind: str) -> None:
    for step in (0, 1):
        frames = [shot(kind, np.ascontiguousarray(WALL[:, 40 + step * n : 360 + step * n]), n) for n in range(6)]
        assert spared(frames) == [False, True] * 3


def test_what_flow_does_not_explain_is_not_spared() -> None:
    frames = []
    for n in range(6):
        luma = np.ascontiguousarray(WALL[:, :320])
        luma[60:120, 100:160] = 255 if n >= 3 else luma[60:120, 100:160]  # somebody is there of a sudden
        frames.append(shot("i420", luma, n))
    assert spared(frames) == [False, True, False, False, False, True]


def test_a_hand_that_leaps_is_seen_in_every_frame() -> None:
    """Less than a hundredth of the picture, but nothing of it is where it was."""
    wall = cv2.resize(WALL, (640, 360))
    frames = []
    for n in range(8):
        luma = wall.copy()
        luma[160:188, 40 + 56 * n : 68 + 56 * n] = 255
        frames.append(shot("i420", luma, n))
    assert not any(spared(frames))


def test_frames_far_apart_or_of_another_size_are_not_spared() -> None:
    luma = np.ascontiguousarray(WALL[:, :320])
    assert spared([shot("i420", luma, 0, 0), shot("i420", luma, 1, 100), shot("i420", luma, 2, 140)])[1] is True
    assert spared([shot("i420", luma, 0, 0), shot("i420", luma, 1, 101)])[1] is False
    assert spared([shot("i420", luma, n, 100 * n) for n in range(20)]) == [False, True] * 10
    assert spared([shot("i420", luma, 0), shot("i420", luma[:, :200].copy(), 1)])[1] is False


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_no_two_in_a_row_are_spared_nor_is_the_first(shifts: list[int]) -> None:
    starts = np.cumsum(shifts)
    told = spared([shot("i420", WALL[:, start : start + 320].copy(), n) for n, start in enumerate(starts)])
    assert not told[0]
    assert not any(one and other for one, other in pairwise(told))


def test_the_share_is_that_of_the_formula() -> None:
    residual = np.random.default_rng(2).uniform(0, 40, (36, 64)).astype(np.float32)
    trust = np.maximum(0, 1 - (residual.astype(np.float64) / 20) ** 2) ** 2
    assert np.abs(unexplained(residual) - (1 - trust)).max() < 1e-6


class Exact:
    """Knows where the person is, and which frames it was asked about."""

    name = "exact"
    provider = "nowhere"
    batch_note = ""
    can_be_spared = True

    def __init__(self, asked: list[int], lock: Lock) -> None:
        self._asked, self._lock = asked, lock

    def estimate(self, frame: Frame) -> F32:
        with self._lock:
            self._asked.append(frame.index)
        return alpha_at(frame.index)

    def estimate_batch(self, frames: Any, most: int) -> list[F32]:
        return [self.estimate(frame) for frame in frames]

    def reset(self) -> None:
        """Nothing to forget."""


def matters(asked: list[int]) -> Iterator[tuple[str, Matter]]:
    lock = Lock()
    yield "alone", Exact(asked, lock)
    yield "side by side", SideBySide([Exact(asked, lock), Exact(asked, lock)])
    yield "batched", Batched(Exact(asked, lock), 4)


@pytest.mark.parametrize("how", ["alone", "side by side", "batched"])
def test_a_run_asks_about_half_and_every_mask_is_where_the_person_is(how: str, clip: Path, tmp_path: Path) -> None:
    asked: list[int] = []
    matter = dict(matters(asked))[how]
    options: dict[str, Any] = {"matte": True, "two_pass": True, "refiner": "upscale", "matter": matter}
    report = process_video(clip, tmp_path / "half.mkv", **options)
    assert sorted(asked) == list(range(0, FRAMES, 2))
    assert report.propagated == FRAMES // 2
    assert report.as_dict()["propagated"] == FRAMES // 2
    process_video(clip, tmp_path / "whole.mkv", **options, propagate=False)
    half, whole = (middles(tmp_path / name) for name in ("half.mkv", "whole.mkv"))
    assert len(half) == FRAMES
    assert np.abs(half - whole).max() < 0.6, "the person goes two pixels a frame"


def middles(matte: Path) -> np.ndarray:
    """Where the middle of each frame's mask is, from the left."""
    with VideoFileSource(matte) as source:
        alphas = [planes(frame.picture)[0].astype(float) for frame in source]
    return np.array([(alpha * np.arange(alpha.shape[1])).sum() / alpha.sum() for alpha in alphas])


def test_a_matter_that_may_remember_sees_every_frame(clip: Path, tmp_path: Path) -> None:
    recording = RecordedAlpha([alpha_at(0) * (1 - index % 2) for index in range(FRAMES)])
    report = process_video(
        clip, tmp_path / "a.mkv", matte=True, two_pass=True, refiner="upscale", matter=recording, smoothing_s=0.01
    )
    assert report.propagated == 0
    with VideoFileSource(tmp_path / "a.mkv") as source:
        areas = [planes(frame.picture)[0].mean() > 1 for frame in source]
    assert areas == [True, False] * (FRAMES // 2)


def test_who_waits_for_a_free_net_is_not_at_work() -> None:
    """Else the wait would count towards a stall."""
    frames = [shot("i420", np.roll(WALL[:, :320], 97 * n).copy(), n) for n in range(12)]
    assert not any(spared(frames))
    lock, never = Lock(), Event()
    at_work, most = 0, 0

    class Slow(Exact):
        def estimate(self, frame: Frame) -> F32:
            never.wait(0.02)  # long enough for others to take a frame meanwhile
            return super().estimate(frame)

    def work(taken: Any) -> Any:
        nonlocal at_work, most
        with lock:
            at_work, most = at_work + 1, max(most, at_work + 1)
        try:
            return stage.work(taken)
        finally:
            with lock:
                at_work -= 1

    matter = SideBySide([Slow([], Lock()) for _ in range(2)])
    stage = sparing_stage(estimate_stage(MattingChain(matter, VideoSettings(two_pass=True))), Sparing())
    through: list[int] = []
    last = Stage("through", lambda matted: through.append(matted.frame.index))
    run_pipeline(frames, "frames", [replace(stage, work=work), last], stall_timeout_s=60)
    assert through == list(range(12))
    assert most == 2


def test_without_propagation_or_smoothing_it_asks_about_all(clip: Path, tmp_path: Path) -> None:
    for number, options in enumerate(({"propagate": False}, {"smoothing_s": 0}, {"two_pass": False})):
        asked: list[int] = []
        matter = Exact(asked, Lock())
        report = process_video(
            clip, tmp_path / f"{number}.mkv", **{"matte": True, "two_pass": True, "matter": matter} | options
        )
        assert sorted(asked) == list(range(FRAMES))
        assert report.propagated == 0
