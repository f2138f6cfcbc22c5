"""Decoding by hardware: the same frames as by software from a faked device, and errors that say why from none."""

from __future__ import annotations

import platform
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel

import rtmatte
from rtmatte.capture import hardware_decoder
from rtmatte.capture.segment import read_frame_index
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import DecoderUnavailableError, InputNotFoundError
from rtmatte.frame import I420, Frame
from rtmatte.runs.segments.plan import cut_at_key_frames
from rtmatte.runs.segments.worker import Done, Task, _do
from rtmatte.settings import VideoSettings
from tests import clips
from tests.decoding import decode
from tests.fake_hardware import FakeContainer, downloaded, open_fake
from tests.test_offline import EverythingIsForeground

DEVICES = hardware_decoder._DEVICES.get(platform.system(), ("cuda",))
OPEN = "rtmatte.capture.hardware_decoder.open_accelerated"

CLIPS: dict[str, tuple[str, Callable[..., Path]]] = {
    "plain": ("a.mp4", clips.plain),
    "vfr": ("a.mp4", clips.vfr),
    "rotated": ("a.mp4", clips.rotated),
    "BT.709": ("a.mp4", lambda path: clips.plain(path, color=clips.BT709)),
    "full range": ("a.mp4", clips.full_range),
    "ten bit": ("a.mp4", clips.ten_bit),
    "hdr": ("a.mp4", clips.hdr_pq),
    "odd": ("a.webm", clips.odd_size),
    "b-frames": ("a.mp4", clips.b_frames),
    "edit list": ("a.mp4", clips.edit_list),
    "raw": ("a.264", clips.raw_h264),
    "damaged": ("a.mp4", clips.damaged),
    "truncated": ("a.mkv", clips.truncated),
    "size change": ("a.ts", clips.size_change),
}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A device that works; the files that it was asked to decode."""
    files: list[Path] = []

    def noted(path: Path, device: str) -> FakeContainer:
        files.append(path)
        return open_fake(path, device)

    monkeypatch.setattr(OPEN, noted)
    return files


def read(path: Path, **options: Any) -> tuple[VideoFileSource, list[Frame]]:
    with VideoFileSource(path, **options) as source:
        return source, list(source)


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_those_of_the_software_decoder(tmp_path: Path, name: str) -> None:
    file, write = CLIPS[name]
    path = write(tmp_path / file)
    expected, wanted = read(path, threads=1)
    source, frames = read(path, decoder="hardware")
    assert source.format == expected.format
    assert (source.decoded_by, expected.decoded_by) == (DEVICES[0], "software")
    assert [(f.pts, f.duration, f.index) for f in frames] == [(f.pts, f.duration, f.index) for f in wanted]
    assert (source.damaged, source.truncated) == (expected.damaged, expected.truncated)
    assert source.notices == expected.notices
    rounded = 1 if name == "ten bit" else 0
    for one, other in zip(frames, wanted, strict=True):
        assert isinstance(one.picture, I420)
        assert isinstance(other.picture, I420)
        assert np.abs(one.picture.buffer.astype(int) - other.picture.buffer).max() <= rounded


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("name", ["a.mp4", "a.264"])
def test_rewound_it_gives_the_same_frames_again(tmp_path: Path, name: str) -> None:
    write = clips.raw_h264 if name.endswith("264") else clips.plain
    with VideoFileSource(write(tmp_path / name), decoder="hardware") as source:
        passes = []
        for _ in range(2):
            passes.append([frame.pts for frame in source])
            source.rewind()
    assert len(passes[0]) == clips.FRAME_COUNT
    assert passes[0] == passes[1]


def shifted(frame: av.VideoFrame) -> av.VideoFrame:
    """A picture that is 16 columns to the side."""
    given = downloaded(frame)
    luma = np.frombuffer(given.planes[0], np.uint8)
    given.planes[0].update(np.roll(luma, 16).tobytes())
    return given


def smaller(frame: av.VideoFrame) -> av.VideoFrame:
    return downloaded(frame.reformat(width=64))


def retagged(frame: av.VideoFrame) -> av.VideoFrame:
    given = downloaded(frame)
    given.colorspace = 9
    return given


def late(frame: av.VideoFrame) -> av.VideoFrame:
    given = downloaded(frame)
    given.pts = (given.pts or 0) + 1
    return given


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shifted, r"gives another picture than software, up to \d+ of 255 away"),
        (smaller, "gives pictures of 64x96 instead of 128x96"),
        (retagged, "gives other colour tags than software"),
        (late, "gives another time stamp than software"),
    ],
)
def test_a_device_that_gives_something_else_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[av.VideoFrame], av.VideoFrame], said: str
) -> None:
    monkeypatch.setattr(OPEN, lambda path, _device: FakeContainer(path, change))
    with pytest.raises(DecoderUnavailableError, match=f"{said}.*leave --decoder at software"):
        VideoFileSource(clips.plain(tmp_path / "a.mp4"), decoder="hardware")


def test_a_device_that_fails_on_the_first_packet_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_frame: av.VideoFrame) -> av.VideoFrame:
        raise av.error.ExternalError(1, "Generic error in an external library")

    monkeypatch.setattr(OPEN, lambda path, _device: FakeContainer(path, fail))
    with pytest.raises(DecoderUnavailableError, match=r"doesn't decode it \(Generic error in an external library\)"):
        VideoFileSource(clips.plain(tmp_path / "a.mp4"), decoder="hardware")


def test_a_device_whose_picture_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(_frame: av.VideoFrame) -> av.VideoFrame:
        raise ValueError("no such pixel format")

    monkeypatch.setattr(OPEN, lambda path, _device: FakeContainer(path, odd))
    with pytest.raises(DecoderUnavailableError, match=r"gives what can't be read \(no such pixel format\)"):
        VideoFileSource(clips.plain(tmp_path / "a.mp4"), decoder="hardware")


def test_software_in_the_place_of_hardware_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPEN, lambda path, _device: FakeContainer(path, is_hwaccel=False))
    with pytest.raises(DecoderUnavailableError, match="doesn't decode its codec"):
        VideoFileSource(clips.plain(tmp_path / "a.mp4"), decoder="hardware")


def test_the_second_device_is_taken_if_the_first_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def only_d3d11va(path: Path, device: str) -> FakeContainer:
        asked.append(device)
        if device == "cuda":
            raise av.error.PermissionError(1, "Operation not permitted")
        return open_fake(path, device)

    monkeypatch.setattr(OPEN, only_d3d11va)
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.setattr("av.codec.hwaccel.hwdevices_available", lambda: ["cuda", "d3d11va"])
    path = clips.plain(tmp_path / "a.mp4")
    source, frames = read(path, decoder="hardware")
    assert len(frames) == clips.FRAME_COUNT
    assert asked == ["cuda", "d3d11va", "d3d11va"]
    assert source.decoded_by == "d3d11va"


def test_a_device_that_pyav_is_built_without_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("av.codec.hwaccel.hwdevices_available", lambda: ["cuda"])
    with pytest.raises(DecoderUnavailableError, match="videotoolbox isn't in this build of PyAV .*It needs a Mac"):
        VideoFileSource(clips.plain(tmp_path / "a.mp4"), decoder="hardware")


def test_a_file_that_cannot_be_used_is_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        VideoFileSource(tmp_path / "nothing.mp4", decoder="hardware")
    with pytest.raises(DecoderUnavailableError, match="expected a frame from software, which finds no frame in it"):
        VideoFileSource(clips.zero_frames(tmp_path / "a.mkv"), decoder="hardware")


def is_there_a_device() -> bool:
    try:
        av.CodecContext.create("h264", "r", hwaccel=HWAccel("cuda"))
    except av.error.FFmpegError:
        return platform.system() != "Linux"
    return True


@pytest.mark.skipif(is_there_a_device(), reason="there is a device here")
@pytest.mark.parametrize("jobs", [1, 2])
def test_without_a_device_the_run_fails_with_the_reason_and_leaves_nothing(tmp_path: Path, jobs: int) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=30)
    with pytest.raises(DecoderUnavailableError) as caught:
        rtmatte.process_video(source, tmp_path / "out.mp4", background="blur", decoder="hardware", jobs=jobs)
    assert "No hardware decoder works on this machine for in.mp4" in caught.value.message
    assert "leave --decoder at software" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_codec_that_no_device_decodes_is_told(tmp_path: Path) -> None:
    with pytest.raises(DecoderUnavailableError, match="doesn't decode its codec|isn't in this build"):
        VideoFileSource(clips.odd_size(tmp_path / "a.mkv"), decoder="hardware")


@pytest.mark.parametrize(("two_pass", "readers"), [(False, 1), (True, 2)])
def test_every_reader_of_a_run_uses_it(tmp_path: Path, opened: list[Path], two_pass: bool, readers: int) -> None:
    source = clips.vfr(tmp_path / "in.mp4")
    options: dict[str, Any] = {"background": "#000000", "encoder": "software", "two_pass": two_pass}
    rtmatte.process_video(source, tmp_path / "out.mp4", decoder="hardware", matter=EverythingIsForeground(), **options)
    assert opened == [source] * 2 * readers, "once to try it, once to read"
    assert decode(tmp_path / "out.mp4").pts_seconds == decode(source).pts_seconds


def test_jobs_use_it(tmp_path: Path, opened: list[Path]) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=36)
    index = read_frame_index(source)
    assert index is not None
    segment = cut_at_key_frames(index, 3, 512 * 4)[1]
    settings = VideoSettings(background="#000000", encoder="software", decoder="hardware")
    task = Task(source, tmp_path, ".mp4", settings, segment, Fraction(0), 1, EverythingIsForeground())
    done = _do(task, lambda _message: None)
    assert isinstance(done, Done)
    assert sorted(done.pts) == [512 * number for number in range(12, 24)]
    assert opened == [source] * 2
