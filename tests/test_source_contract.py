"""What every `Source` must keep, whatever it reads. To add one: a row in `SOURCES`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rtmatte.capture.hardware_decoder import Decoder
from rtmatte.capture.source import Source
from rtmatte.capture.synthetic import SyntheticSource
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import RtmatteError
from rtmatte.frame import I420, i420_bytes
from rtmatte.pool import PicturePool
from tests import clips
from tests.fake_hardware import open_fake

MakeSource = Callable[[Path, PicturePool | None], Source]


def _file(name: str, write: Callable[[Path], Path], decoder: Decoder = "software") -> MakeSource:
    return lambda folder, pool: VideoFileSource(write(folder / name), pool=pool, decoder=decoder)


SOURCES: dict[str, MakeSource] = {
    "synthetic": lambda _folder, pool: SyntheticSource((64, 48), 9, Fraction(30000, 1001), pool=pool),
    "plain mp4": _file("a.mp4", clips.plain),
    "vfr mp4": _file("a.mp4", clips.vfr),
    "rotated": _file("a.mp4", clips.rotated),
    "odd webm": _file("a.webm", clips.odd_size),
    "ten bit": _file("a.mp4", clips.ten_bit),
    "hdr": _file("a.mp4", clips.hdr_pq),
    "raw": _file("a.264", clips.raw_h264),
    "damaged": _file("a.mp4", clips.damaged),
    "truncated": _file("a.mkv", clips.truncated),
    "transport stream": _file("a.ts", clips.size_change),
    "by hardware": _file("a.mp4", clips.plain, "hardware"),
    "by hardware, ten bit": _file("a.mp4", clips.ten_bit, "hardware"),
    "by hardware, damaged": _file("a.mp4", clips.damaged, "hardware"),
    "by hardware, transport stream": _file("a.ts", clips.size_change, "hardware"),
}


@pytest.fixture(params=SOURCES.values(), ids=SOURCES.keys())
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    monkeypatch.setattr("rtmatte.capture.hardware_decoder.open_accelerated", open_fake)
    return lambda pool=None: request.param(tmp_path, pool)


def test_is_a_source(make: Callable[..., Source]) -> None:
    with make() as source:
        assert isinstance(source, Source)
        assert isinstance(source.format.time_base, Fraction)
        assert isinstance(source.format.sample_aspect_ratio, Fraction)
        assert source.frames_expected is None or source.frames_expected > 0


def test_time_goes_forward_and_indexes_count_from_zero(make: Callable[..., Source]) -> None:
    with make() as source:
        frames = list(source)
        assert frames
        assert [frame.index for frame in frames] == list(range(len(frames)))
        assert all(earlier.pts < later.pts for earlier, later in pairwise(frames))
        assert all(type(frame.pts) is int and frame.time_base == source.format.time_base for frame in frames)
        assert all(frame.duration is None or frame.duration > 0 for frame in frames)


def test_pictures_are_contiguous_i420_of_the_stated_size_and_colors(make: Callable[..., Source]) -> None:
    with make() as source:
        for frame in source:
            picture = frame.picture
            assert isinstance(picture, I420)
            assert picture.size_wh == source.format.size_wh
            assert picture.color == source.format.color
            assert picture.buffer.shape == (i420_bytes(source.format.size_wh),)
            for plane in picture.planes:
                assert plane.dtype == np.uint8
                assert plane.flags.c_contiguous
                assert np.shares_memory(plane, picture.buffer)


def test_pictures_that_are_not_released_share_no_memory(make: Callable[..., Source]) -> None:
    with make(PicturePool()) as source:
        buffers = [frame.picture.buffer for frame in source if isinstance(frame.picture, I420)]
        assert len({buffer.ctypes.data for buffer in buffers}) == len(buffers)


def test_released_pictures_are_used_again(make: Callable[..., Source]) -> None:
    pool = PicturePool()
    with make(pool) as source:
        for frame in source:
            pool.release(frame.picture)
    assert pool.allocated == 1


def test_closing_twice_and_closing_before_the_first_frame_is_fine(make: Callable[..., Source]) -> None:
    source = make()
    source.close()
    source.close()
    with pytest.raises(RtmatteError, match="closed"):
        next(iter(source))


def test_closing_in_the_middle_ends_the_iteration_with_an_error_that_says_so(make: Callable[..., Source]) -> None:
    source = make()
    frames = iter(source)
    next(frames)
    source.close()
    with pytest.raises(RtmatteError, match="closed"):
        next(frames)


def test_leaving_the_with_block_closes(make: Callable[..., Source]) -> None:
    with make() as source:
        next(iter(source))
    with pytest.raises(RtmatteError):
        list(source)


def test_leaves_no_thread_behind(make: Callable[..., Source]) -> None:
    before = set(threading.enumerate())
    with make() as source:
        next(iter(source))
    assert set(threading.enumerate()) == before


def test_may_be_closed_by_another_thread_while_it_decodes(make: Callable[..., Source]) -> None:
    source = make()
    started = threading.Event()

    def close() -> None:
        started.wait(10)
        source.close()

    closer = threading.Thread(target=close)
    closer.start()
    seen: list[int] = []
    with contextlib.suppress(RtmatteError):  # unless it was through before
        for frame in source:
            seen.append(frame.index)
            started.set()
    closer.join(10)
    assert seen
    assert not closer.is_alive()
    with pytest.raises(RtmatteError):
        list(source)
