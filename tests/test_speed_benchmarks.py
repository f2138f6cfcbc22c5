"""The speed benchmarks say what they claim to: same frames for all, ratios within a round, verdicts by quality."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import end_to_end
import numpy as np
import peers
import pytest
import scaling
import session_settings
from peer_loops import loop
from scoring import peers as scored_peers
from scoring.configs import CONFIGS

import rtmatte
from rtmatte.frame import I420, U8, Frame
from rtmatte.pool import PicturePool
from rtmatte.settings import VideoSettings

_FRAMES = 20

_HALF = """
import struct, sys
while header := sys.stdin.buffer.read(8):
    height, width = struct.unpack("<II", header)
    first = sys.stdin.buffer.read(height * width * 3)[0]
    sys.stdout.buffer.write(struct.pack("<f", first / 255) * (height * width))
    sys.stdout.buffer.flush()
"""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    peers.pattern(path, _FRAMES)
    return path


def _decoded(path: Path) -> tuple[list[av.VideoFrame], list[av.AudioFrame]]:
    with av.open(str(path)) as video, av.open(str(path)) as audio:
        return list(video.decode(video=0)), list(audio.decode(audio=0))


class _Inverting:
    packages = ("numpy",)

    def alpha(self, bgr: U8) -> Any:
        return np.ones(bgr.shape[:2], np.float32)

    def composite(self, bgr: U8) -> U8:
        return 255 - bgr


@pytest.mark.parametrize("writer", loop.WRITERS)
def test_a_peers_job_keeps_every_frame_and_the_audio(clip: Path, tmp_path: Path, writer: str) -> None:
    target = tmp_path / "out.mp4"

    assert loop.job(_Inverting(), clip, target, writer) == _FRAMES

    pictures, sound = _decoded(target)
    before, sound_before = _decoded(clip)
    assert len(pictures) == _FRAMES
    assert sum(frame.samples for frame in sound) == sum(frame.samples for frame in sound_before)
    difference = 255.0 - before[3].to_ndarray(format="gray") - pictures[3].to_ndarray(format="gray")
    assert abs(difference).mean() < 12  # MPEG-4 is coarse, and OpenCV takes HD for BT.601


def test_the_first_frames_are_cut_out_with_their_audio(clip: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.mp4"

    peers.cut(clip, short, 5)

    pictures, sound = _decoded(short)
    assert len(pictures) == 5
    assert sound


def test_a_clip_shown_again_and_again_has_even_time_stamps(tmp_path: Path) -> None:
    once, often = tmp_path / "once.mp4", tmp_path / "often.mp4"
    scaling.make(once, None, (64, 36), _FRAMES)

    scaling.repeat(once, often, 3)

    with rtmatte.VideoFileSource(often) as source:
        frames = list(source)
    with rtmatte.VideoFileSource(once) as source:
        first = next(iter(source)).picture
    assert len(frames) == 3 * _FRAMES
    assert len(set(np.diff([frame.pts for frame in frames]))) == 1
    again = frames[2 * _FRAMES].picture
    assert isinstance(first, I420)
    assert isinstance(again, I420)
    assert np.array_equal(first.y, again.y)


def test_a_clip_is_brought_to_every_size(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "large.mp4"

    scaling.make(target, clip, (96, 54), _FRAMES + 5)  # goes on from its beginning

    with rtmatte.VideoFileSource(target) as source:
        assert source.format.size_wh == (96, 54)
        assert len(list(source)) == _FRAMES + 5


def test_a_straight_line_is_recognised() -> None:
    found = scaling.line([1, 2, 4], [5, 7, 11])

    assert found["slope"] == pytest.approx(2)
    assert found["offset"] == pytest.approx(3)
    assert found["r_squared"] == pytest.approx(1)
    assert scaling.line([1, 2, 3], [1, 9, 1])["r_squared"] < 0.1


def _meter(wall: float, cpu: float) -> end_to_end.Meter:
    meter = end_to_end.Meter()
    meter.wall, meter.cpu = wall, cpu
    return meter


def test_the_bound_is_the_slowest_stage_or_all_work_on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end_to_end, "usable_cores", lambda: 2)
    alone = {"decode": _meter(1, 1), "estimate": _meter(10, 18), "encode": _meter(4, 5)}

    told = end_to_end.figures([(alone, _meter(15, 25))], 100)

    assert told["slowest_stage"] == "estimate"
    assert told["ratio_to_slowest_stage"]["median"] == pytest.approx(10 / 15)
    assert told["bound_fps"]["median"] == pytest.approx(100 / 12)
    assert told["ratio_to_bound"]["median"] == pytest.approx(12 / 15)

    monkeypatch.setattr(end_to_end, "usable_cores", lambda: 8)
    told = end_to_end.figures([(alone, _meter(15, 25))], 100)
    assert told["ratio_to_bound"]["median"] == told["ratio_to_slowest_stage"]["median"]


def test_the_same_frames_go_through_the_stages_alone(clip: Path, tmp_path: Path) -> None:
    job = end_to_end.Job(clip, tmp_path / "out.mp4", VideoSettings(background="blur"), _Everybody())

    meters = job.alone(PicturePool())
    in_turn, _ = _decoded(tmp_path / "out.mp4")
    job.whole()
    together, _ = _decoded(tmp_path / "out.mp4")

    assert list(meters) == ["decode", "estimate", "smooth", "refine", "composite", "encode"]
    for one, other in zip(in_turn, together, strict=True):
        assert np.array_equal(one.to_ndarray(), other.to_ndarray())


class _Everybody:
    name, provider = "everybody", "none"

    def estimate(self, _frame: Frame) -> Any:
        alpha = np.zeros((36, 64), np.float32)
        alpha[10:, 20:40] = 1
        return alpha

    def reset(self) -> None: ...


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("ours:default", "default"),
        ("ours:selfie@mp4v", "selfie"),
        ("ours:selfie:threads=1", "selfie"),
        ("ours:default:threads=1,clean_plate=True", "default_clean_plate=True"),
        ("rvm", "peer_rvm"),
        ("mediapipe@h264", "peer_mediapipe"),
    ],
)
def test_a_cases_quality_is_that_of_its_mattes(case: str, name: str) -> None:
    assert peers.quality_name(case) == name


def test_every_peer_can_be_scored() -> None:
    assert {f"peer_{peer}" for peer in peers.HOMES} <= CONFIGS.keys()


def _told(seconds: float, cpu_seconds: float) -> dict[str, float]:
    return {"frames": 100, "seconds": seconds, "cpu_seconds": cpu_seconds}


def test_verdicts_go_by_the_rounds_and_by_each_metrics_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {
        "ours:default": {"mad": 8.0, "grad": 2.0, "dtssd": 1.0, "boundary_f": 94.0, "flicker": 0.5},
        "rvm": {"mad": 7.0, "grad": 2.5, "dtssd": 1.0, "boundary_f": 98.0, "flicker": 0.4},
    }
    monkeypatch.setattr(peers, "quality", scores.get)
    told = {
        "ours:default": [_told(1.0, 2.0), _told(2.0, 2.0)],
        "rvm": [_told(4.0, 6.0), _told(10.0, 8.0)],
    }

    found = peers.compared("ours:default", "rvm", told)

    assert found["ratio"] == {"median": 4.5, "min": 4.0, "max": 5.0}
    assert found["cpu_ratio"] == {"median": 3.5, "min": 3.0, "max": 4.0}
    assert found["fast_enough"] is True
    good = found["as_good_or_better"]
    assert good == {"mad": False, "grad": True, "dtssd": True, "boundary_f": False, "flicker": False}


def test_a_served_peer_gets_the_picture_and_its_alpha_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_peer: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _HALF], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(scored_peers, "start_server", start)
    frame = next(iter(rtmatte.SyntheticSource((32, 18), 1, Fraction(30))))
    matter = scored_peers.real_peer("rvm")(None)  # type: ignore[arg-type]

    alpha = matter.estimate(frame)

    blue = scored_peers.picture_bgr(frame)[0, 0, 0]
    assert alpha.shape == (18, 32)
    assert alpha == pytest.approx(blue / 255)
    assert cv2.countNonZero(np.asarray(matter.estimate(frame))) in (0, 18 * 32)


def test_sessions_are_compared_that_give_one_answer() -> None:
    runs = session_settings.runs_of("selfie")
    assert {"ours", "spinning", "one thread", "no memory arena", "basic", "fixed shape"} <= runs.keys()
    expected = runs["ours"]()
    assert float(expected.std()) > 0.01
    for run in runs.values():
        assert np.abs(run() - expected).max() < 1e-3
    figures = session_settings.measure("selfie", 2)
    assert figures["ours"]["over_ours"]["median"] == 1
    assert all(it["median_ms"] > 0 for it in figures.values())
