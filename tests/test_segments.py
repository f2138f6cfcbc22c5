"""Clips done by several jobs: where they are cut, that the result is one run's, that nothing is left of the jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest

import rtmatte
from rtmatte.capture.segment import FrameIndex, KeyFrame, read_frame_index
from rtmatte.errors import JobDiedError, RtmatteError, UnknownModelError
from rtmatte.frame import F32, Frame
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.output.packets import PacketReader, joined_decoding_times
from rtmatte.runs.segments import run as segments_run
from rtmatte.runs.segments.plan import cut_at_key_frames, why_one_job
from rtmatte.settings import VideoSettings
from tests import clips
from tests.decoding import decode, packets_of
from tests.test_offline import EverythingIsForeground, numbers

ROOT = Path(__file__).parents[1]
FRAMES = 60
"""With a key frame in every 12th: two jobs meet at frame 24 or 36."""


class Killed(EverythingIsForeground):
    """Ends its process, as the system does when memory is short."""

    def estimate(self, frame: Frame) -> F32:
        if frame.index == 40:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().estimate(frame)


class Broken(Exception):
    pass


class Breaking(EverythingIsForeground):
    def estimate(self, frame: Frame) -> F32:
        if frame.index == 40:
            raise Broken("at frame 40")
        return super().estimate(frame)


class Drifting(EverythingIsForeground):
    """Remembers for ever how many frames it saw: no warm-up makes it what it is in one run."""

    def __init__(self) -> None:
        self.seen = 0

    def estimate(self, frame: Frame) -> F32:
        self.seen += 1
        return np.full((8, 8), min(self.seen / 200, 1), np.float32)


def run(source: Path, target: Path, jobs: int, **options: Any) -> rtmatte.Report:
    options = {"background": "#000000", "encoder": "software", "matter": EverythingIsForeground(), **options}
    return rtmatte.process_video(source, target, jobs=jobs, **options)


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("jobs", [1, 2, 3, 7, 60])
@pytest.mark.parametrize("warm_up", [0, 5, 50, 10_000])
def test_every_frame_is_in_one_segment_that_begins_at_a_key_frame(jobs: int, warm_up: int) -> None:
    random = np.random.default_rng(jobs * 7 + warm_up)
    pts = array("q", (-20 + np.cumsum(random.integers(1, 9, 200))).tolist())
    keys = tuple(KeyFrame(pts[place], pts[place] - 3) for place in (0, 11, 40, 41, 90, 150, 199))
    found = cut_at_key_frames(FrameIndex(pts, keys), jobs, warm_up)
    assert 1 <= len(found) <= min(jobs, 7)
    kept = [value for s in found for value in pts if s.keep_from <= value and (s.end is None or value < s.end)]
    assert kept == list(pts)
    for before, segment in pairwise(found):
        assert segment.keep_from == before.end
        assert segment.keep_from in [key.pts for key in keys]
        assert segment.last_warm_up == before.last_kept == pts[pts.index(segment.keep_from) - 1]
        assert pts[segment.first_index] == segment.begin <= segment.keep_from
        assert segment.key is not None
        assert segment.key.pts <= segment.begin
        # Neither later than asked for, nor earlier by a frame, unless the clip begins there.
        assert segment.first_index == 0 or pts[segment.first_index - 1] < segment.keep_from - warm_up <= segment.begin


def test_segments_are_about_equal() -> None:
    pts = array("q", range(1000))
    keys = tuple(KeyFrame(place, place) for place in range(0, 1000, 30))
    sizes = [s.last_kept - s.keep_from + 1 for s in cut_at_key_frames(FrameIndex(pts, keys), 4, 0)]
    assert sum(sizes) == 1000
    assert all(abs(size - 250) <= 30 for size in sizes)


def test_a_clip_with_one_key_frame_or_none_is_one_segment() -> None:
    assert len(cut_at_key_frames(FrameIndex(array("q", range(9)), (KeyFrame(0, 0),)), 4, 0)) == 1
    assert len(cut_at_key_frames(FrameIndex(array("q", range(9)), ()), 4, 0)) == 1
    assert cut_at_key_frames(FrameIndex(array("q"), ()), 4, 0) == []


def test_the_index_tells_when_frames_are_shown(tmp_path: Path) -> None:
    found = read_frame_index(clips.b_frames(tmp_path / "a.mp4", frame_count=30))
    assert found is not None
    assert list(found.pts) == [512 * number for number in range(30)]
    assert [key.pts for key in found.keys] == [0, 12 * 512, 24 * 512]
    assert read_frame_index(clips.raw_h264(tmp_path / "a.264")) is None


def test_joined_decoding_times_rise_and_come_before_the_picture() -> None:
    # Three reordered frames a part, one tick apart where the parts meet: what each encoder says by itself overlaps.
    parts = [
        PacketReader(Path("a"), array("q", [0, 30, 10, 20, 39]), array("q", [-20, -10, 0, 10, 20])),
        PacketReader(Path("b"), array("q", [40, 43, 41, 42, 90]), array("q", [38, 39, 40, 41, 42])),
    ]
    times = list(joined_decoding_times(parts))
    assert times[:2] == [-20, -10]
    assert all(earlier < later for earlier, later in pairwise(times))
    shown = [pts for part in parts for pts in part.pts]
    assert all(dts <= pts for dts, pts in zip(times, shown, strict=True))


VFR = [clips.VFR_PTS[n % 8] + 9512 * (n // 8) for n in range(FRAMES)]
OPEN_GOP = {"bf": "3", "b_strategy": "0", "x264-params": "open-gop=1:scenecut=0"}

CLIPS: dict[str, tuple[str, Callable[..., Path]]] = {
    "vfr": (".mp4", lambda path: clips.plain(path, pts=VFR)),
    "b-frames, open": (".mp4", lambda path: clips.plain(path, frame_count=FRAMES, codec_options=OPEN_GOP)),
    "starts at 5 s": (".mp4", lambda path: clips.starts_at(path, frame_count=FRAMES)),
    "before 0": (".mkv", lambda path: clips.plain(path, pts=[512 * (n - 4) for n in range(FRAMES)])),
    "rotated": (".mp4", lambda path: clips.rotated(path, frame_count=FRAMES)),
    "odd": (".mkv", lambda path: clips.odd_size(path, frame_count=FRAMES)),
    "edit list": (".mp4", lambda path: clips.edit_list(path, frame_count=FRAMES)),
    "transport stream": (".ts", lambda path: clips.b_frames(path, frame_count=FRAMES)),
    "hdr": (".mp4", lambda path: clips.hdr_pq(path, frame_count=FRAMES, codec_options=HEVC_KEYS)),
}
HEVC_KEYS = {
    "x265-params": "log-level=none:lossless=1:keyint=12:min-keyint=12:bframes=2:pools=none:frame-threads=1:open-gop=1"
}


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_once_and_at_its_own_time_as_in_one_run(name: str, tmp_path: Path) -> None:
    suffix, make = CLIPS[name]
    source = make(tmp_path / f"in{suffix}")
    one, two = run(source, tmp_path / "one.mov", 1, matte=False), run(source, tmp_path / "two.mov", 2, matte=False)
    assert (one.jobs, two.jobs) == (1, 2), two.notices
    assert two.frames_in == two.frames_out == one.frames_out
    assert (two.damaged, two.dropped, two.truncated) == (0, 0, False)
    assert two.notices == one.notices
    before, after = decode(tmp_path / "one.mov"), decode(tmp_path / "two.mov")
    assert after.pts_seconds == before.pts_seconds == decode(source).pts_seconds or name == "before 0"
    assert after.pts_seconds == before.pts_seconds
    # Which of them a decoder gives to which frame depends on where x264 puts B-frames, one run of it or two.
    assert sorted(after.durations_seconds) == sorted(before.durations_seconds)
    if name != "rotated":
        assert numbers(tmp_path / "two.mov") == numbers(tmp_path / "one.mov")
    for a, b in zip(after.luma, before.luma, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 1.5, "as far as two encodes of noise differ"
    assert files_in(tmp_path) == sorted([source.name, "one.mov", "two.mov"])


TARGETS: dict[str, dict[str, Any]] = {
    "out.mp4": {},
    "hevc.mp4": {"codec": "hevc"},
    "av1.mp4": {"codec": "av1"},
    "vp9.webm": {},
    "alpha.webm": {"background": "none"},
    "alpha.mov": {"background": "none"},
    "ffv1.mkv": {"codec": "ffv1"},
    "matte.mkv": {"matte": True},
    "matte.mov": {"matte": True},
}


@pytest.mark.parametrize("name", TARGETS)
def test_every_codec_goes_on_across_the_seams(name: str, tmp_path: Path) -> None:
    """From any of its key frames on, the clip can be decoded to its end; pictures are those of one run."""
    source = clips.plain(tmp_path / "in.mp4", frame_count=FRAMES, codec_options={"x264-params": "scenecut=0"})
    alpha = np.zeros((FRAMES, 96, 128), np.uint8)
    alpha[:, :, 40:] = 255
    options = {"matter": RecordedAlpha(alpha), "smoothing_s": 0, "encoder_quality": 90, **TARGETS[name]}
    (tmp_path / "one").mkdir()
    run(source, tmp_path / "one" / name, 1, **options)
    report = run(source, tmp_path / name, 3, **options)
    assert report.jobs == 3, report.notices
    decoder = "libvpx-vp9" if name == "alpha.webm" else None
    before, after = decode(tmp_path / "one" / name, decoder), decode(tmp_path / name, decoder)
    assert after.pts_seconds == before.pts_seconds
    for a, b in zip(after.luma, before.luma, strict=True):
        assert np.abs(a.astype(int) - b).mean() < 1.5
        if report.encoder in ("ffv1", "png", "prores_ks"):
            assert np.array_equal(a, b)
    with av.open(str(tmp_path / name)) as container:
        stream = container.streams.video[0]
        starts = [packet.pts for packet in container.demux(stream) if packet.is_keyframe and packet.size]
        for seam in (Fraction(24, 25), Fraction(36, 25)):
            assert seam in [pts * stream.time_base for pts in starts if pts is not None]
        for seam in starts:
            container.seek(seam, stream=stream)
            first = next(container.decode(stream))
            assert first.pts == seam
            assert not first.is_corrupt


def test_transparency_goes_along(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=FRAMES)
    alpha = np.random.default_rng(3).integers(0, 256, (FRAMES, 12, 16), np.uint8).repeat(8, 1).repeat(8, 2)
    for name in ("out.webm", "out.mkv"):
        run(source, tmp_path / name, 2, background="none", matter=RecordedAlpha(alpha), smoothing_s=0)
        with av.open(str(tmp_path / name)) as container:
            stream = container.streams.video[0]
            context = av.CodecContext.create("libvpx-vp9", "r") if name == "out.webm" else stream.codec_context
            frames = [f for p in container.demux(stream) for f in context.decode(p if p.size else None)]
        assert len(frames) == FRAMES
        for frame, wanted in zip(frames, alpha, strict=True):
            plane = np.frombuffer(frame.planes[3], np.uint8).reshape(96, frame.planes[3].line_size)[:, :128]
            assert np.abs(plane.astype(int) - wanted).mean() < 4


def test_without_loss_the_joined_clip_is_one_run_to_the_bit(tmp_path: Path) -> None:
    """With alphas that are given, a background that moves on and one that the room is blurred for."""
    source = clips.plain(tmp_path / "in.mp4", frame_count=FRAMES)
    loop = clips.plain(tmp_path / "loop.mp4", frame_count=7, first_number=900)
    alpha = np.random.default_rng(4).integers(0, 256, (FRAMES, 96, 128), np.uint8)
    for background in ("blur", str(loop)):
        options = {"background": background, "codec": "ffv1", "matter": RecordedAlpha(alpha), "overwrite": True}
        run(source, tmp_path / "one.mkv", 1, smoothing_s=0, **options)
        run(source, tmp_path / "two.mkv", 2, smoothing_s=0, **options)
        one, two = decode(tmp_path / "one.mkv"), decode(tmp_path / "two.mkv")
        assert one.pts_seconds == two.pts_seconds
        assert all(np.array_equal(a, b) for a, b in zip(one.luma, two.luma, strict=True))


def test_a_net_and_the_mask_filter_agree_with_one_run(tmp_path: Path) -> None:
    """Six seconds, two of them warm-up: what the filter has forgotten is below a level of alpha."""
    source = clips.plain(tmp_path / "in.mp4", frame_count=150)
    options = {"matter": None, "model": "selfie", "matte": True}
    run(source, tmp_path / "one.mkv", 1, **options)
    report = run(source, tmp_path / "two.mkv", 2, **options)
    assert report.jobs == 2
    assert not any("masks" in notice for notice in report.notices)
    one, two = decode(tmp_path / "one.mkv"), decode(tmp_path / "two.mkv")
    assert max(int(luma.max()) for luma in one.luma) > 20, "the net sees something"
    for a, b in zip(one.luma, two.luma, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2


def test_sound_texts_chapters_and_metadata_go_along(tmp_path: Path) -> None:
    source = clips.many_streams(tmp_path / "in.mp4", frame_count=FRAMES)
    report = run(source, tmp_path / "out.mp4", 2)
    assert report.jobs == 2
    assert packets_of(tmp_path / "out.mp4", "audio") == packets_of(source, "audio")
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        assert after.metadata["title"] == before.metadata["title"]
        assert len(after.chapters()) == 2
        assert [s.language for s in after.streams.subtitles] == ["eng", "deu"]


def test_progress_adds_up_and_stages_count_all_jobs(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=FRAMES)
    seen: list[rtmatte.Progress] = []
    report = run(source, tmp_path / "out.mp4", 2, on_progress=seen.append)
    done = [progress.frames_done for progress in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1].frames_expected == report.frames_out == FRAMES
    assert [stage.stage for stage in report.stages] == [
        "decode", "estimate", "smooth", "refine", "composite", "encode",
    ]  # fmt: skip
    assert report.as_dict()["jobs"] == 2


ONE_JOB: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {
    "one key frame": (clips.plain, {}, "no key frame"),
    "no times": (lambda path: clips.raw_h264(path.with_suffix(".264")), {}, "packets"),
    "nearest": (clips.plain, {"people": "nearest"}, "followed"),
    "click": (clips.plain, {"drop": ["0%,0%"]}, "followed"),
    "clean plate": (clips.plain, {"clean_plate": True}, "room"),
    "two passes": (clips.plain, {"two_pass": True}, "second pass"),
    "not to be copied": (
        clips.plain,
        {"matter": RecordedAlpha(np.ones((8, 8), np.uint8) for _ in range(12))},
        "copied",
    ),
}


@pytest.mark.parametrize("name", ONE_JOB)
def test_where_the_whole_clip_is_needed_one_job_does_it_and_says_why(name: str, tmp_path: Path) -> None:
    make, options, why = ONE_JOB[name]
    report = run(make(tmp_path / "in.mp4"), tmp_path / "out.mp4", 2, **options)
    assert (report.jobs, report.frames_out) == (1, clips.FRAME_COUNT)
    assert [notice for notice in report.notices if "one job, not by 2" in notice and why in notice]
    assert len(files_in(tmp_path)) == 2


def test_a_recurrent_net_is_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_one_job(VideoSettings(), None) is None
    assert "remembers" in str(why_one_job(VideoSettings(model="rvm"), None))


def test_fewer_key_frames_than_jobs_are_told(tmp_path: Path) -> None:
    report = run(clips.plain(tmp_path / "in.mp4", frame_count=24), tmp_path / "out.mp4", 4)
    assert report.jobs == 2
    assert any("for 2 jobs only" in notice for notice in report.notices)


@pytest.mark.parametrize(("cores", "told"), [(1, True), (2, False)])
def test_more_jobs_than_cores_are_told(cores: int, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments_run, "usable_cores", lambda: cores)
    report = run(clips.plain(tmp_path / "in.mp4", frame_count=24), tmp_path / "out.mp4", 2)
    assert report.jobs == 2
    assert any("2 jobs shared 1 core:" in notice for notice in report.notices) is told


def test_masks_that_do_not_meet_are_made_again_with_a_longer_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seconds are too short for this matter, ten seconds are all of the clip."""
    source = clips.plain(tmp_path / "in.mp4", frame_count=150, codec_options={"g": "90"})
    options = {"matte": True, "smoothing_s": 0, "overwrite": True}
    run(source, tmp_path / "one.mkv", 1, matter=Drifting(), **options)
    report = run(source, tmp_path / "two.mkv", 2, matter=Drifting(), **options)
    assert report.jobs == 2
    assert not any("masks" in notice for notice in report.notices)
    one, two = decode(tmp_path / "one.mkv"), decode(tmp_path / "two.mkv")
    assert all(np.array_equal(a, b) for a, b in zip(one.luma, two.luma, strict=True))

    monkeypatch.setattr(segments_run, "_LONGER", 1)
    report = run(source, tmp_path / "two.mkv", 2, matter=Drifting(), **options)
    assert any("At 3.60 s" in notice and "masks" in notice for notice in report.notices)


def test_a_truncated_clip_delivers_what_is_there(tmp_path: Path) -> None:
    source = clips.truncated(tmp_path / "in.mkv", frame_count=FRAMES)
    one, two = run(source, tmp_path / "one.mp4", 1), run(source, tmp_path / "two.mp4", 2)
    assert two.truncated
    assert two.jobs == 2
    assert two.frames_out == one.frames_out
    assert two.damaged == one.damaged
    assert numbers(tmp_path / "two.mp4") == numbers(tmp_path / "one.mp4")


def test_damage_is_counted_once(tmp_path: Path) -> None:
    # Frames 20 and 21 are warm-up for the second job and the first one's own.
    source = clips.damaged(
        tmp_path / "in.mp4", (20, 21, 50), how="whole", frame_count=FRAMES, codec_options={"g": "10"}
    )
    one, two = run(source, tmp_path / "one.mp4", 1), run(source, tmp_path / "two.mp4", 2)
    assert two.jobs == 2
    assert two.frames_out == one.frames_out
    assert two.damaged == one.damaged > 0


@pytest.mark.parametrize(
    ("matter", "error", "says"),
    [(Killed(), JobDiedError, "without a result"), (Breaking(), Broken, "at frame 40")],
    ids=["killed", "error"],
)
def test_when_one_job_dies_all_do_and_nothing_is_left(
    matter: EverythingIsForeground, error: type[Exception], says: str, tmp_path: Path
) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=FRAMES, audio=[clips.Audio()])
    with pytest.raises(error, match=says):
        run(source, tmp_path / "out.mp4", 2, matter=matter)
    assert files_in(tmp_path) == ["in.mp4"]
    assert children() == []


def test_an_interrupt_ends_all_jobs(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=FRAMES)

    def interrupt(_progress: rtmatte.Progress) -> None:
        assert len(children()) == 2
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out.mp4", 2, on_progress=interrupt)
    assert files_in(tmp_path) == ["in.mp4"]
    assert children() == []


def test_errors_of_a_job_arrive_as_they_were(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=FRAMES)
    with pytest.raises(UnknownModelError, match="nope") as raised:
        run(source, tmp_path / "out.mp4", 2, matter=None, model="nope")
    assert isinstance(raised.value, RtmatteError)
    assert raised.value.exit_code == 5
    assert files_in(tmp_path) == ["in.mp4"]


def command_line(source: Path, target: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "rtmatte",
        "video",
        str(source),
        "-o",
        str(target),
        "-b",
        "blur",
        "--jobs",
        "2",
        *more,
    ]


def test_jobs_from_the_command_line(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=24)
    done = subprocess.run(
        command_line(source, tmp_path / "out.mp4", "--json", "--model", "selfie"),
        capture_output=True, text=True, cwd=ROOT, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert (report["jobs"], report["frames_out"]) == (2, 24)
    said = subprocess.run(
        command_line(source, tmp_path / "out.mp4", "-y", "--model", "selfie"),
        capture_output=True, text=True, cwd=ROOT, timeout=100,
    )  # fmt: skip
    assert ", 2 jobs side by side" in said.stderr
    refused = subprocess.run(
        command_line(source, tmp_path / "b.mp4", "--jobs", "0"), capture_output=True, text=True, cwd=ROOT, timeout=100
    )
    assert refused.returncode == 2
    assert "--jobs: expected 1 to 64, got 0" in refused.stderr


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_all_jobs_and_leaves_nothing(which: signal.Signals, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=3000)
    (tmp_path / "out").mkdir()
    running = subprocess.Popen(
        command_line(source, tmp_path / "out" / "out.mp4"), cwd=ROOT, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    while len(list((tmp_path / "out").glob(".*.jobs/*.packets"))) < 2:
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.05)
    jobs = psutil.Process(running.pid).children()
    assert len(jobs) == 2
    # As a terminal does, Ctrl-C goes to all of them; the others to the one that was started.
    (os.killpg if which is signal.SIGINT else os.kill)(running.pid, which)
    _, stderr = running.communicate(timeout=30)
    _gone, alive = psutil.wait_procs(jobs, timeout=20)
    assert not alive
    if which is signal.SIGKILL:
        assert not list((tmp_path / "out").glob("*.jobs"))
        return
    assert running.returncode == 130
    assert stderr.strip() == "rtmatte: interrupted; no output was kept."
    assert files_in(tmp_path / "out") == []
