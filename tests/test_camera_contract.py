"""What every `Camera` must keep, whatever it captures. To add one: a row in `CAMERAS`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from rtmatte.capture.camera import CLOCK, Camera
from rtmatte.capture.file_camera import FileCamera
from rtmatte.capture.pattern_camera import PatternCamera
from rtmatte.capture.scripted_camera import ScriptedCamera
from rtmatte.capture.synthetic import read_frame_number
from rtmatte.frame import I420, Frame
from rtmatte.pool import PicturePool
from tests import clips
from tests.fake_webcam import FakeWebcam

WAIT = 10.0


def _scripted(_folder: Path, pool: PicturePool) -> Camera:
    camera = ScriptedCamera((64, 48), pool, frame_rate=200)
    camera.frames(1_000_000)
    return camera


CAMERAS: dict[str, Callable[[Path, PicturePool], Camera]] = {
    "file": lambda folder, pool: FileCamera(clips.plain(folder / "a.mp4", frame_rate=Fraction(100)), True, pool),
    "pattern": lambda _folder, pool: PatternCamera((64, 48), 200, pool),
    "scripted": _scripted,
    "webcam": lambda _folder, pool: FakeWebcam().camera(pool),
}


@pytest.fixture(autouse=True)
def _on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")  # where the webcam's bytes are taken raw


@pytest.fixture(params=CAMERAS.values(), ids=CAMERAS.keys())
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Camera]:
    return lambda pool=None: request.param(tmp_path, pool or PicturePool())


def taken(camera: Camera, count: int) -> list[Frame]:
    frames = [camera.newest(WAIT) for _ in range(count)]
    assert None not in frames
    return [frame for frame in frames if frame is not None]


def test_is_a_camera(make: Callable[..., Camera]) -> None:
    with make() as camera:
        assert isinstance(camera, Camera)
        assert camera.name
        assert camera.device_id


def test_frames_carry_the_clock_and_count(make: Callable[..., Camera]) -> None:
    before = time.monotonic_ns()
    with make() as camera:
        frames = taken(camera, 8)
    assert all(earlier.index < later.index for earlier, later in pairwise(frames))
    assert all(earlier.pts <= later.pts for earlier, later in pairwise(frames))
    assert all(before <= frame.pts <= time.monotonic_ns() and frame.time_base == CLOCK for frame in frames)


def test_pictures_are_i420_of_the_granted_size_and_in_order(make: Callable[..., Camera]) -> None:
    with make() as camera:
        frames = taken(camera, 5)
        assert {frame.picture.size_wh for frame in frames if isinstance(frame.picture, I420)} == {camera.size_wh}
    for frame in frames:
        assert isinstance(frame.picture, I420)
        assert read_frame_number(frame.picture) == frame.index % (12 if camera.device_id.startswith("file:") else 2**16)


def test_running_is_told_with_the_granted_size(make: Callable[..., Camera]) -> None:
    with make() as camera:
        taken(camera, 1)
        status = camera.status()
        assert status.state == "running"
        assert camera.size_wh is not None
        assert f"{camera.size_wh[0]}x{camera.size_wh[1]}" in status.detail


def test_no_frame_is_given_twice_and_a_gap_is_a_drop(make: Callable[..., Camera]) -> None:
    with make() as camera:
        first = taken(camera, 1)[0]
        deadline = time.monotonic() + WAIT
        while camera.dropped < 5:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        frames = [first, *taken(camera, 5)]
    indexes = [frame.index for frame in frames]
    assert len(set(indexes)) == len(indexes)
    left = camera.captured - len(indexes) - camera.dropped
    assert left in (0, 1)  # one may still have been waiting when it was closed
    assert indexes[-1] + 1 - len(indexes) <= camera.dropped


def test_the_pool_stays_small_when_pictures_are_given_back_or_never_taken(make: Callable[..., Camera]) -> None:
    pool = PicturePool()
    with make(pool) as camera:
        while camera.captured < 40:
            frame = camera.newest(WAIT)
            assert frame is not None
            pool.release(frame.picture)
        while camera.captured < 80:
            time.sleep(0.005)
    assert pool.allocated <= 8


def test_not_waiting_for_a_frame_gives_none_at_once(make: Callable[..., Camera]) -> None:
    camera = make()
    assert camera.newest(0) is None
    camera.close()


def test_closing_wakes_who_waits(make: Callable[..., Camera]) -> None:
    camera = make()  # never entered: no frame comes
    got: list[Frame | None] = []
    waiter = threading.Thread(target=lambda: got.append(camera.newest(60)))
    waiter.start()
    camera.close()
    waiter.join(WAIT)
    assert got == [None]


def test_closing_twice_is_fine_and_nothing_comes_afterwards(make: Callable[..., Camera]) -> None:
    camera = make()
    with camera:
        taken(camera, 1)
    camera.close()
    captured = camera.captured
    assert camera.newest(0.05) is None
    assert camera.captured == captured


def test_its_thread_has_a_name_and_ends(make: Callable[..., Camera]) -> None:
    before = set(threading.enumerate())
    with make() as camera:
        taken(camera, 1)
        assert "rtmatte-camera" in {thread.name for thread in set(threading.enumerate()) - before}
    deadline = time.monotonic() + WAIT
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline
        time.sleep(0.005)
