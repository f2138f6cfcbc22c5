"""Whole runs from file to file, decoded again: time, streams, colours, orientation, failures."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import rtmatte
from rtmatte import errors
from rtmatte.capture.synthetic import read_frame_number
from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.output.video_file import VideoFileSink
from rtmatte.refine.guided import GuidedFilter
from rtmatte.settings import VideoSettings
from rtmatte.temporal.flow_filter import FlowFilter
from tests import clips
from tests.decoding import decode, packets_of, plane


class EverythingIsForeground:
    """A matter that keeps the whole picture, so that the pattern's number is still readable in the output."""

    name = "everything"
    provider = "test"

    def estimate(self, frame: Frame) -> F32:
        return np.ones((8, 8), np.float32)

    def reset(self) -> None:
        pass


def run(source: Path, target: Path, **options: Any) -> rtmatte.Report:
    options = {"background": "#000000", "encoder": "software", "matter": EverythingIsForeground(), **options}
    return rtmatte.process_video(source, target, **options)


def numbers(path: Path) -> list[int]:
    return [read_frame_number(np.repeat(luma[:, :, None], 3, axis=2)) for luma in decode(path).luma]


def test_every_setting_is_an_argument_with_the_same_default() -> None:
    arguments = inspect.signature(rtmatte.process_video).parameters
    settings = {field.name: field.default for field in fields(VideoSettings)}
    assert {name: arguments[name].default for name in settings} == settings


CLIPS: dict[str, tuple[str, Callable[..., Path]]] = {
    "plain": (".mp4", clips.plain),
    "vfr": (".mp4", clips.vfr),
    "rotated": (".mp4", clips.rotated),
    "flipped": (".mov", lambda path: clips.rotated(path, 0, hflip=True)),
    "odd": (".webm", clips.odd_size),
    "ten bit": (".mp4", clips.ten_bit),
    "4:4:4": (".mp4", lambda path: clips.plain(path, pix_fmt="yuv444p")),
    "full range": (".mp4", clips.full_range),
    "hdr": (".mp4", clips.hdr_pq),
    "non-square": (".mp4", clips.non_square),
    "starts at 5 s": (".mp4", clips.starts_at),
    "b-frames": (".mp4", clips.b_frames),
    "edit list": (".mp4", clips.edit_list),
    "many streams": (".mkv", clips.many_streams),
    "transparent": (".mkv", clips.transparent),
}


@pytest.mark.parametrize("name", CLIPS)
def test_every_frame_comes_out_at_its_own_time(name: str, tmp_path: Path) -> None:
    suffix, make = CLIPS[name]
    source = make(tmp_path / f"in{suffix}")
    target = tmp_path / "out.mp4"
    report = run(source, target)
    before, after = decode(source), decode(target)
    assert len(after.pts_seconds) == len(before.pts_seconds) == report.frames_out == report.frames_in
    for a, b in zip(before.pts_seconds, after.pts_seconds, strict=True):
        assert abs(float(a - b)) <= 1e-6
    if name not in ("rotated", "flipped"):
        first = 3 if name == "edit list" else 0
        assert numbers(target) == list(range(first, first + len(before.luma)))
    assert report.damaged == report.dropped == 0
    assert not report.truncated


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied_once_and_not_carried(degrees: int, tmp_path: Path) -> None:
    source = clips.rotated(tmp_path / "in.mp4", degrees)
    run(source, tmp_path / "out.mp4")
    with rtmatte.VideoFileSource(source) as upright:
        wanted = next(iter(upright)).picture
    assert isinstance(wanted, rtmatte.I420)
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.rotation == 0
        assert (frame.width, frame.height) == wanted.size_wh
        assert np.abs(plane(frame).astype(int) - wanted.y).mean() < 3


def test_everything_but_the_picture_goes_along(tmp_path: Path) -> None:
    source = clips.many_streams(tmp_path / "in.mp4")
    target = tmp_path / "out.mp4"
    run(source, target)
    assert packets_of(target, "audio") == packets_of(source, "audio")
    assert len(packets_of(target, "audio")) == 2
    assert _texts(target) == _texts(source) == [[b"\x00\x03one", b"\x00\x03two"], [b"\x00\x04eins", b"\x00\x04zwei"]]
    with av.open(str(source)) as before, av.open(str(target)) as after:
        for key in ("title", "artist", "comment"):
            assert after.metadata[key] == before.metadata[key]
        assert [s.language for s in after.streams.audio] == ["eng", "deu"]
        assert [s.language for s in after.streams.subtitles] == ["eng", "deu"]
        got, wanted = after.chapters(), before.chapters()
        assert [c["metadata"] for c in got] == [c["metadata"] for c in wanted]
        assert [_begin(c) for c in got] == [_begin(c) for c in wanted]
        assert any(s.disposition & av.stream.Disposition.attached_pic for s in after.streams.video)


def _texts(path: Path) -> list[list[bytes]]:
    """Subtitle packets without the empty ones, which MP4 puts between two texts as its muxer likes."""
    return [[packet for packet in stream if len(packet) > 2] for stream in packets_of(path, "subtitle")]


def _begin(chapter: Any) -> Fraction:
    return Fraction(chapter["start"] * chapter["time_base"])


def test_audio_times_stay_with_the_picture(tmp_path: Path) -> None:
    source = clips.starts_at(tmp_path / "in.mp4", 5.0, audio=[clips.Audio()])
    run(source, tmp_path / "out.mp4")

    def begins(path: Path) -> tuple[float, float]:
        with av.open(str(path)) as container:
            audio = next(p for p in container.demux(audio=0) if p.pts is not None)
            assert audio.pts is not None
            return float(decode(path).pts_seconds[0]), float(audio.pts * audio.time_base)

    assert begins(tmp_path / "out.mp4") == pytest.approx(begins(source), abs=1e-4)


def test_what_a_container_does_not_take_is_re_encoded_with_a_notice(tmp_path: Path) -> None:
    source = clips.many_streams(tmp_path / "in.mkv")
    target = tmp_path / "out.webm"
    report = run(source, target)
    with av.open(str(target)) as container:
        assert [s.codec_context.name for s in container.streams.audio] == ["opus", "opus"]
        assert [s.codec_context.name for s in container.streams.subtitles] == ["webvtt", "webvtt"]
        seconds = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert abs(seconds - clips.FRAME_COUNT / 25) < 0.1
    assert sum("re-encoded" in notice for notice in report.notices) == 2
    assert any("left out" in notice for notice in report.notices), "the cover can't go into WebM"


def test_color_tags_go_along(tmp_path: Path) -> None:
    for tags in (clips.BT601, clips.BT709, clips.BT2020, clips.FULL_BT709):
        source = clips.plain(tmp_path / "in.mp4", color=tags)
        run(source, tmp_path / "out.mp4", overwrite=True)
        with av.open(str(tmp_path / "out.mp4")) as container:
            context = container.streams.video[0].codec_context
            assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (
                tags.matrix_code,
                tags.primaries_code,
                tags.transfer_code,
                2 if tags.full_range else 1,
            )


def test_the_background_is_replaced_and_the_foreground_kept(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", color=clips.BT709)
    alpha = np.zeros((12, 96, 128), np.uint8)
    alpha[:, :, 64:] = 255
    run(
        source,
        tmp_path / "out.mp4",
        background="#00ff00",
        matter=RecordedAlpha(alpha),
        smoothing_s=0,
        encoder_quality=95,
    )
    for before, after in zip(decode(source).luma, decode(tmp_path / "out.mp4").luma, strict=True):
        assert np.abs(after[:, :60].astype(int) - 173).max() <= 6  # BT.709 luma of pure green
        assert np.abs(after[:, 72:].astype(int) - before[:, 72:]).mean() < 3


@pytest.mark.parametrize("target", ["out.webm", "out.mov", "out.mkv"])
def test_a_transparent_clip_holds_nothing_of_the_room(target: str, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4")
    alpha = np.zeros((12, 96, 128), np.uint8)
    alpha[:, :, 64:] = 255
    run(source, tmp_path / target, background="none", matter=RecordedAlpha(alpha), smoothing_s=0)
    for luma in decode(tmp_path / target).luma:
        assert np.abs(luma[:, :56].astype(int) - 16).max() <= 4


def test_the_matte_is_alpha_itself(tmp_path: Path) -> None:
    source = clips.vfr(tmp_path / "in.mp4")
    alpha = np.random.default_rng(5).integers(0, 256, (8, 96, 128), np.uint8)
    run(source, tmp_path / "out.mov", matte=True, matter=RecordedAlpha(alpha), smoothing_s=0)
    got = decode(tmp_path / "out.mov")
    assert all(np.array_equal(a, b) for a, b in zip(got.luma, alpha, strict=True))
    assert got.pts_seconds == decode(source).pts_seconds


def test_a_looped_clip_as_background(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=12)
    loop = clips.plain(tmp_path / "loop.mp4", frame_count=5, first_number=100)
    nothing = np.zeros((12, 96, 128), np.uint8)
    run(source, tmp_path / "out.mp4", background=str(loop), matter=RecordedAlpha(nothing))
    assert numbers(tmp_path / "out.mp4") == [100 + n % 5 for n in range(12)]


@pytest.mark.parametrize("background", ["blur", "blur:1", "green", "#123", "picture"])
def test_backgrounds_by_name(background: str, tmp_path: Path) -> None:
    import cv2

    source = clips.plain(tmp_path / "in.mp4", frame_count=3)
    if background == "picture":
        background = str(tmp_path / "p.png")
        cv2.imwrite(background, np.full((50, 70, 3), 200, np.uint8))
    report = run(source, tmp_path / "out.mp4", background=background)
    assert report.frames_out == 3


def test_a_truncated_clip_delivers_what_is_there(tmp_path: Path) -> None:
    source = clips.truncated(tmp_path / "in.mp4")
    report = run(source, tmp_path / "out.mp4")
    assert report.truncated
    assert 0 < report.frames_out < 30
    assert numbers(tmp_path / "out.mp4")[:5] == [0, 1, 2, 3, 4]


def test_broken_packets_are_counted(tmp_path: Path) -> None:
    report = run(clips.damaged(tmp_path / "in.mp4", how="whole", frame_count=20), tmp_path / "out.mp4")
    assert report.damaged > 0
    assert report.frames_out >= 10


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (clips.audio_only, errors.NoVideoStreamError),
        (clips.zero_frames, errors.NoFramesError),
        (clips.without_index, errors.UnreadableInputError),
        (lambda path: path, errors.InputNotFoundError),
    ],
)
def test_unusable_inputs_leave_nothing(make: Callable[[Path], Path], error: type[Exception], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    source = make(tmp_path / ("in.mkv" if make is clips.zero_frames else "in.mp4"))
    with pytest.raises(error):
        run(source, folder / "out.mp4")
    assert list(folder.iterdir()) == []


def test_an_existing_output_is_refused_before_any_work(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4")
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(errors.OutputExistsError):
        run(source, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    with pytest.raises(errors.OutputExistsError, match="same file"):
        run(source, source, overwrite=True)


class Broken(Exception):
    pass


def _breaking(method: Callable[..., Any], at_call: int) -> Callable[..., Any]:
    calls = 0

    def broken(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > at_call:
            raise Broken
        return method(*args, **kwargs)

    return broken


@pytest.mark.parametrize("at_call", [0, 5])
@pytest.mark.parametrize("stage", ["estimate", "smooth", "refine", "composite", "encode"])
def test_an_error_in_any_stage_leaves_nothing(
    stage: str, at_call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = {
        "estimate": (EverythingIsForeground, "estimate"),
        "smooth": (FlowFilter, "apply"),
        "refine": (GuidedFilter, "refine"),
        "composite": (rtmatte.Compositor, "composite"),
        "encode": (VideoFileSink, "send"),
    }[stage]
    source = clips.plain(tmp_path / "in.mp4", audio=[clips.Audio()])
    monkeypatch.setattr(owner, name, _breaking(getattr(owner, name), at_call))
    with pytest.raises(Broken):
        run(source, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    assert not [t for t in threading.enumerate() if t.name.startswith("rtmatte-")]


def test_nan_from_a_model_is_an_error(tmp_path: Path) -> None:
    class NotANumber(EverythingIsForeground):
        def estimate(self, frame: Frame) -> F32:
            return np.full((8, 8), np.nan, np.float32)

    source = clips.plain(tmp_path / "in.mp4")
    with pytest.raises(errors.ModelOutputError):
        run(source, tmp_path / "out.mp4", matter=NotANumber())
    assert not (tmp_path / "out.mp4").exists()


def test_buffers_go_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the clip, only as many pictures are allocated as the hand-offs can hold."""
    pools: list[Any] = []
    original = rtmatte.VideoFileSource.__init__

    def spy(self: Any, path: Path, *, pool: Any = None, **others: Any) -> None:
        pools.append(pool)
        original(self, path, pool=pool, **others)

    monkeypatch.setattr(rtmatte.VideoFileSource, "__init__", spy)
    run(clips.plain(tmp_path / "in.mp4", frame_count=150), tmp_path / "out.mp4")
    assert pools[0].allocated <= 30  # 16 pictures at the most and fewer alphas


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[rtmatte.Progress] = []
    run(clips.plain(tmp_path / "in.mp4"), tmp_path / "out.mp4", on_progress=seen.append)
    assert seen[-1].frames_done == seen[-1].frames_expected == clips.FRAME_COUNT


def psnr(got: U8, wanted: np.ndarray[Any, Any]) -> float:
    return float(10 * np.log10(255**2 / np.mean((got.astype(np.float64) - wanted) ** 2)))


@pytest.mark.real_clips
@pytest.mark.parametrize(
    "name", ["c01_greenman_brickoffice_static", "c03_longhair_library_pan", "c12_grid_bbaf2n_meet4"]
)
def test_with_true_alpha_the_composite_is_the_exact_one(name: str, real_clips: Path) -> None:
    """PSNR >= 45 dB against αF + (1 − α)B in float64, luma and chroma at their own resolutions, before encoding."""
    background = rtmatte.ColorBackground((0, 177, 64))
    truth = decode(real_clips / "gt" / f"{name}_alpha.mkv").luma
    compositor, refiner = rtmatte.Compositor(background), rtmatte.Upscale()
    matter = RecordedAlpha(truth)
    with rtmatte.VideoFileSource(real_clips / "gt" / f"{name}.mp4") as clip:
        for frame in clip:
            if frame.index % 20:
                continue
            assert isinstance(frame.picture, rtmatte.I420)
            before = [p.astype(np.float64) for p in frame.picture.planes]
            compositor.composite(frame, refiner.refine(frame, matter.estimate(frame)))
            alpha = truth[frame.index] / 255.0
            h, w = alpha.shape
            half = alpha.reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3))
            behind = background.picture_for(frame, truth[frame.index])
            assert isinstance(behind, rtmatte.I420)
            for got, f, b, a in zip(frame.picture.planes, before, behind.planes, (alpha, half, half), strict=True):
                assert psnr(got, a * f + (1 - a) * b) >= 45
