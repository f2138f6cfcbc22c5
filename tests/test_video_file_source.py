"""VideoFileSource on clips of every kind; the real ones too, where they are."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtmatte.capture.synthetic import draw_test_pattern, read_frame_number
from rtmatte.capture.tone_map import TONE_MAPPED
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import InputError, InputNotFoundError, NoFramesError, NoVideoStreamError, UnreadableInputError
from rtmatte.frame import I420, U8, ColorTags, Frame
from tests import clips

LOSSLESS_H264 = {"crf": "0", "qp": "0"}


def read(path: Path) -> tuple[VideoFileSource, list[Frame]]:
    with VideoFileSource(path) as source:
        return source, list(source)


def numbers(frames: list[Frame]) -> list[int]:
    return [read_frame_number(frame.picture) for frame in frames]


def pattern(number: int, size_wh: tuple[int, int] = clips.SIZE_WH) -> I420:
    picture = I420.allocate(size_wh, ColorTags())
    draw_test_pattern(picture, number)
    return picture


def picture_of(frame: Frame) -> I420:
    assert isinstance(frame.picture, I420)
    return frame.picture


# Going back


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9"), ("a.h264", "libx264")]
)
@pytest.mark.parametrize("threads", [None, 1])
def test_rewound_it_gives_the_same_frames_again(tmp_path: Path, name: str, codec: str, threads: int | None) -> None:
    path = clips.write_clip(tmp_path / name, codec=codec)
    with VideoFileSource(path, threads=threads) as source:
        passes = []
        for _ in range(3):
            passes.append([(frame.pts, read_frame_number(frame.picture), frame.index) for frame in source])
            source.rewind()
    assert len(passes[0]) == clips.FRAME_COUNT
    assert passes[0] == passes[1] == passes[2]


def test_it_can_be_rewound_half_way_and_not_once_it_is_closed(tmp_path: Path) -> None:
    with VideoFileSource(clips.write_clip(tmp_path / "a.mp4")) as source:
        half_way = iter(source)
        assert numbers([next(half_way), next(half_way)]) == [0, 1]
        source.rewind()
        assert numbers(list(source)) == list(range(clips.FRAME_COUNT))
    with pytest.raises(InputError, match="closed"):
        source.rewind()


# Pixels


@pytest.mark.parametrize("size_wh", [(128, 96), (97, 65), (16, 16), (17, 31)])
def test_eight_bit_420_comes_through_byte_for_byte(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    source, frames = read(clips.write_clip(tmp_path / "a.mkv", codec="ffv1", size_wh=size_wh))
    assert source.format.size_wh == size_wh
    assert len(frames) == clips.FRAME_COUNT
    for number, frame in enumerate(frames):
        assert np.array_equal(picture_of(frame).buffer, pattern(number, size_wh).buffer)
    assert source.notices == []


@pytest.mark.parametrize("color", [clips.UNTAGGED, clips.BT709, clips.FULL_BT709, clips.BT2020], ids=str)
@pytest.mark.parametrize(
    "pix_fmt", ["yuv420p10le", "yuv420p12le", "yuv422p", "yuv444p", "yuv422p10le", "yuv444p12le", "yuva420p"]
)
def test_other_yuv_keeps_its_matrix_and_range(tmp_path: Path, pix_fmt: str, color: ColorTags) -> None:
    path = clips.write_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt=pix_fmt, color=color, frame_count=2)
    source, frames = read(path)
    assert source.format.color == color
    assert numbers(frames) == [0, 1]
    got, wanted = picture_of(frames[1]), pattern(1)
    assert np.abs(got.y.astype(int) - wanted.y).max() <= 1
    for plane, expected in ((got.u, wanted.u), (got.v, wanted.v)):
        assert np.mean(np.abs(plane.astype(int) - expected) <= 1) > 0.9  # all but the edge in the middle


KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


@pytest.mark.parametrize(("height", "matrix", "code"), [(96, "bt601", 6), (720, "bt709", 1)])
@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("ffv1", "bgr0"), ("ffv1", "bgra"), ("ffv1", "gbrp10le"), ("utvideo", "gbrp")]
)
def test_rgb_becomes_what_its_size_calls_for(
    tmp_path: Path, codec: str, pix_fmt: str, height: int, matrix: str, code: int
) -> None:
    colors = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 60), (30, 60, 220)]
    rgb = np.repeat(np.array([colors], np.uint8), 16, axis=1).repeat(height, axis=0)
    path = tmp_path / ("a.mkv" if codec == "ffv1" else "a.avi")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = rgb.shape[1], height, pix_fmt
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    source, frames = read(path)
    assert source.format.color.matrix_code == code
    assert not source.format.color.full_range
    assert source.format.color.range_tagged
    kr, kb = KR_KB[matrix]
    picture = picture_of(frames[0])
    for number, (r, g, b) in enumerate(np.array(colors) / 255.0):
        y = kr * r + (1 - kr - kb) * g + kb * b
        wanted = (16 + 219 * y, 128 + 112 * (b - y) / (1 - kb), 128 + 112 * (r - y) / (1 - kr))
        x = 16 * number + 8
        got = tuple(float(p[height // 2 // s, x // s]) for p, s in zip(picture.planes, (1, 2, 2), strict=True))
        assert got == pytest.approx(wanted, abs=1.6), colors[number]


@pytest.mark.parametrize(("pix_fmt", "shift"), [("gray", 0), ("gray10le", 2), ("gray16le", 8)])
@pytest.mark.parametrize("tag", [0, 1, 2])
def test_grey_keeps_its_values(tmp_path: Path, pix_fmt: str, shift: int, tag: int) -> None:
    luma = pattern(5).y
    frame = av.VideoFrame.from_ndarray(luma if not shift else luma.astype(np.uint16) << shift, format=pix_fmt)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pix_fmt
        stream.codec_context.color_range = tag
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source, frames = read(path)
    picture = picture_of(frames[0])
    assert np.abs(picture.y.astype(int) - luma).max() <= (1 if shift else 0)
    assert set(np.unique(picture.u)) == set(np.unique(picture.v)) == {128}
    assert source.format.color.full_range == (tag != 1)


@pytest.mark.parametrize("color", [clips.UNTAGGED, clips.BT601, clips.BT709, clips.BT2020, clips.FULL_BT709], ids=str)
def test_color_tags_are_those_of_the_file(tmp_path: Path, color: ColorTags) -> None:
    source, _ = read(clips.write_clip(tmp_path / "a.mp4", color=color, frame_count=2))
    assert source.format.color == color


@pytest.mark.parametrize("write", [clips.hdr_pq, clips.hdr_hlg])
def test_hdr_is_tone_mapped_and_said(tmp_path: Path, write: Callable[..., Path]) -> None:
    source, frames = read(write(tmp_path / "a.mp4"))
    assert source.format.color == TONE_MAPPED
    assert any("tone-mapped" in notice for notice in source.notices)
    assert numbers(frames) == list(range(clips.FRAME_COUNT))


def test_transparency_is_ignored_and_said(tmp_path: Path) -> None:
    source, frames = read(clips.transparent(tmp_path / "a.mkv"))
    assert any("transparency" in notice for notice in source.notices)
    assert numbers(frames) == list(range(clips.FRAME_COUNT))


def test_a_change_of_size_is_scaled_to_the_first_and_said_once(tmp_path: Path) -> None:
    source, frames = read(clips.size_change(tmp_path / "a.ts"))
    assert {picture_of(frame).size_wh for frame in frames} == {clips.SIZE_WH}
    assert numbers(frames) == list(range(clips.FRAME_COUNT))
    assert len([notice for notice in source.notices if "160x128" in notice]) == 1


# Orientation


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize(("hflip", "vflip"), [(False, False), (True, False), (False, True)])
def test_pictures_come_upright(tmp_path: Path, degrees: int, hflip: bool, vflip: bool) -> None:
    path = clips.rotated(
        tmp_path / "a.mp4", degrees, hflip=hflip, vflip=vflip, frame_count=2, codec_options=LOSSLESS_H264
    )
    source, frames = read(path)
    for got, stored in zip(picture_of(frames[1]).planes, pattern(1).planes, strict=True):
        expected: U8 = np.rot90(stored, degrees // 90)
        expected = np.fliplr(expected) if hflip else expected
        expected = np.flipud(expected) if vflip else expected
        assert np.array_equal(got, expected)
    assert source.format.size_wh == (clips.SIZE_WH if degrees % 180 == 0 else clips.SIZE_WH[::-1])


def test_turning_a_clip_that_was_stored_lying_makes_its_number_readable(tmp_path: Path) -> None:
    def draw_lying(picture: I420, number: int) -> None:
        upright = pattern(number, (96, 128))
        for plane, source in zip(picture.planes, upright.planes, strict=True):
            np.copyto(plane, np.rot90(source, 1))

    source, frames = read(clips.rotated(tmp_path / "a.mp4", 270, draw=draw_lying))
    assert source.format.size_wh == (96, 128)
    assert numbers(frames) == list(range(clips.FRAME_COUNT))


def test_a_slanted_display_matrix_is_said(tmp_path: Path) -> None:
    source, _ = read(clips.rotated(tmp_path / "a.mp4", 80, frame_count=2))
    assert any("nearest" in notice for notice in source.notices)
    assert source.format.size_wh == clips.SIZE_WH[::-1]


def test_pixel_shape_is_kept_and_turned_with_the_picture(tmp_path: Path) -> None:
    plain, _ = read(clips.non_square(tmp_path / "a.mp4"))
    turned, _ = read(clips.non_square(tmp_path / "b.mp4", rotation=90))
    assert plain.format.size_wh == clips.SIZE_WH
    assert plain.format.sample_aspect_ratio == Fraction(4, 3)
    assert turned.format.sample_aspect_ratio == Fraction(3, 4)


# Time


def test_irregular_time_stamps_and_durations_are_the_files(tmp_path: Path) -> None:
    source, frames = read(clips.vfr(tmp_path / "a.mp4"))
    assert source.format.time_base == Fraction(1, clips.TICKS)
    assert [frame.pts for frame in frames] == list(clips.VFR_PTS)
    assert [frame.duration for frame in frames] == [b - a for a, b in pairwise(clips.VFR_PTS)] + [512]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_start_other_than_zero_is_kept(tmp_path: Path, name: str) -> None:
    _, frames = read(clips.starts_at(tmp_path / name, 5.0, audio=[clips.Audio()]))
    assert frames[0].pts_seconds == 5
    assert frames[-1].pts_seconds == pytest.approx(5 + 11 / 25, abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"codec_options": {"bf": "3", "b_strategy": "0"}}], ids=["plain", "b-frames"])
def test_frames_that_an_edit_list_leaves_out_are_not_delivered(tmp_path: Path, options: dict[str, Any]) -> None:
    _, frames = read(clips.edit_list(tmp_path / "a.mp4", 3, **options))
    assert numbers(frames) == list(range(3, clips.FRAME_COUNT))
    assert frames[0].pts == 0


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_b_frames_come_in_presentation_order(tmp_path: Path, name: str) -> None:
    _, frames = read(clips.b_frames(tmp_path / name))
    assert numbers(frames) == list(range(clips.FRAME_COUNT))
    assert [frame.pts_seconds for frame in frames] == [Fraction(n, 25) for n in range(clips.FRAME_COUNT)]


@pytest.mark.parametrize("options", [{}, {"codec_options": {"bf": "3", "b_strategy": "0"}}], ids=["plain", "b-frames"])
def test_missing_time_stamps_are_filled_in_and_said(tmp_path: Path, options: dict[str, Any]) -> None:
    source, frames = read(clips.raw_h264(tmp_path / "a.264", **options))
    assert numbers(frames) == list(range(clips.FRAME_COUNT))
    assert [frame.pts_seconds for frame in frames] == [Fraction(n, 25) for n in range(clips.FRAME_COUNT)]
    assert any("without a time stamp" in notice for notice in source.notices)


def test_what_the_file_says_of_its_length_is_reported(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        with VideoFileSource(clips.plain(tmp_path / name)) as source:
            assert source.frames_expected == clips.FRAME_COUNT
            assert source.duration_seconds == pytest.approx(0.48)
            assert source.format.frame_rate_reported == 25


# Streams


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_companions_and_cover_pictures_are_not_the_video(tmp_path: Path, name: str) -> None:
    source, frames = read(clips.many_streams(tmp_path / name))
    assert numbers(frames) == list(range(clips.FRAME_COUNT))
    assert source.notices == []


def test_of_several_videos_the_default_one_is_used_and_said(tmp_path: Path) -> None:
    source, frames = read(clips.plain(tmp_path / "a.mkv", second_video=True))
    assert numbers(frames) == list(range(clips.FRAME_COUNT))
    assert any("2 video streams" in notice for notice in source.notices)


# Damage


@pytest.mark.parametrize("how", ["payload", "whole"])
def test_damaged_packets_are_counted_and_the_others_delivered(tmp_path: Path, how: str) -> None:
    path = clips.damaged(tmp_path / "a.mkv", (4, 7), how=how, codec="ffv1", codec_options={"slices": "4"})
    source, frames = read(path)
    assert source.damaged == 2
    assert [number for number in numbers(frames) if number not in (4, 7)] == [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]
    assert any("amaged" in notice for notice in source.notices)
    assert not source.truncated


def test_frames_that_were_decoded_with_errors_are_delivered_and_counted(tmp_path: Path) -> None:
    source, frames = read(clips.damaged(tmp_path / "a.mp4", (4, 7)))
    assert len(frames) == clips.FRAME_COUNT
    assert numbers(frames)[:4] == [0, 1, 2, 3]
    assert source.damaged == 2


@pytest.mark.parametrize("broken", [(8, 10), (9,), (10, 11), (11,), (1, 8, 9, 10)])
def test_an_error_near_the_end_takes_no_good_frame_with_it(tmp_path: Path, broken: tuple[int, ...]) -> None:
    path = clips.damaged(tmp_path / "a.mkv", broken, how="whole", codec="ffv1", codec_options={"slices": "4"})
    source, frames = read(path)
    assert numbers(frames) == [number for number in range(clips.FRAME_COUNT) if number not in broken]
    assert source.damaged == len(broken)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_of_a_truncated_file_what_is_there_is_delivered(tmp_path: Path, name: str, share: float) -> None:
    source, frames = read(clips.truncated(tmp_path / name, share))
    assert source.truncated
    assert any("ends before" in notice for notice in source.notices)
    assert 5 < len(frames) < 30
    assert numbers(frames) == list(range(len(frames)))


INTACT = {
    "plain.mp4": clips.plain,
    "plain.mkv": clips.plain,
    "vfr.mp4": clips.vfr,
    "odd.webm": clips.odd_size,
    "edit.mp4": clips.edit_list,
    "start.mkv": clips.starts_at,
    "start.mp4": clips.starts_at,
    "streams.mkv": clips.many_streams,
    "streams.mp4": clips.many_streams,
    "raw.264": clips.raw_h264,
    "size.ts": clips.size_change,
}


@pytest.mark.parametrize("name", INTACT)
def test_intact_files_are_neither_truncated_nor_damaged(tmp_path: Path, name: str) -> None:
    source, _ = read(INTACT[name](tmp_path / name))
    assert not source.truncated
    assert source.damaged == 0


def test_sound_that_goes_on_after_the_picture_is_no_truncation(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.mkv"):
        source, frames = read(clips.plain(tmp_path / name, audio=[clips.Audio(seconds=3.0)]))
        assert not source.truncated
        assert len(frames) == clips.FRAME_COUNT


# Files that cannot be used


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="does not exist"):
        VideoFileSource(tmp_path / "nothing.mp4")


@pytest.mark.parametrize("content", [b"", b"Dear diary,\n" * 100, bytes(5000)], ids=["empty", "text", "zeros"])
@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a"])
def test_what_is_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableInputError):
        VideoFileSource(tmp_path / name)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInputError, match="not a file"):
        VideoFileSource(tmp_path)


def test_an_mp4_without_its_index_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInputError, match="moov"):
        VideoFileSource(clips.without_index(tmp_path / "a.mp4"))


def test_sound_only(tmp_path: Path) -> None:
    with pytest.raises(NoVideoStreamError, match="audio"):
        VideoFileSource(clips.audio_only(tmp_path / "a.mp4"))


def test_a_video_stream_without_frames_is_an_error_of_the_iteration(tmp_path: Path) -> None:
    with VideoFileSource(clips.zero_frames(tmp_path / "a.mkv")) as source, pytest.raises(NoFramesError):
        list(source)


def test_names_that_look_like_protocols_or_patterns_are_files(tmp_path: Path) -> None:
    for name in ("12:30.mp4", "concat:a.mp4", "take %03d.mp4", "Ünïcode ☃.mp4"):
        _, frames = read(clips.plain(tmp_path / "written.mp4").rename(tmp_path / name))
        assert len(frames) == clips.FRAME_COUNT


# Real clips


@pytest.mark.real_clips
def test_real_clips_give_the_frames_and_times_of_a_plain_decode(real_clips: Path) -> None:
    paths = sorted(path for path in real_clips.rglob("*") if path.suffix in (".mp4", ".mkv", ".264"))
    assert paths
    for path in paths:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            truth = [frame.pts for frame in container.decode(stream)]
        with VideoFileSource(path) as source:
            count = 0
            for frame, pts in zip(source, truth, strict=True):
                assert pts is None or frame.pts == pts, path
                count += 1
            assert count == len(truth)
        assert (source.damaged, source.truncated) == (0, False), path
