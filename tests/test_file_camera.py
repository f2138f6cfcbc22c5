"""Files as cameras: their own pace, the seam of the loop, the end; and the scripted camera's commands."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rtmatte.capture.camera import Camera
from rtmatte.capture.file_camera import FileCamera
from rtmatte.capture.open_camera import open_camera
from rtmatte.capture.pattern_camera import PatternCamera
from rtmatte.capture.raw_frame import WEBCAM_COLOR
from rtmatte.capture.scripted_camera import ScriptedCamera
from rtmatte.capture.synthetic import read_frame_number
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.color import recolor
from rtmatte.errors import InputNotFoundError, SettingsError
from rtmatte.frame import I420, ColorTags, Frame
from rtmatte.pool import PicturePool
from tests import clips

WAIT = 10.0


def until_state(camera: Camera, state: str) -> None:
    deadline = time.monotonic() + WAIT
    while camera.status().state != state:
        assert time.monotonic() < deadline, camera.status()
        time.sleep(0.002)


def take(camera: Camera) -> Frame:
    frame = camera.newest(WAIT)
    assert frame is not None
    return frame


def test_a_file_is_played_by_its_own_time_stamps(tmp_path: Path) -> None:
    """Never early; how late is the machine's affair, and a frame that is late may be replaced before it is taken."""
    with FileCamera(clips.vfr(tmp_path / "a.mp4"), False, PicturePool()) as camera:
        frames = []
        while camera.status().state != "ended" or camera.captured > len(frames) + camera.dropped:
            if frame := camera.newest(0.05):
                frames.append(frame)
    assert camera.captured == len(clips.VFR_PTS)
    due = [pts / 12800 for pts in clips.VFR_PTS]
    for earlier, later in pairwise(frames):
        assert (later.pts - frames[0].pts) / 1e9 >= due[later.index] - due[frames[0].index] - 0.001
        assert read_frame_number(later.picture) == later.index > earlier.index


def test_a_looped_file_has_no_seam(tmp_path: Path) -> None:
    with FileCamera(clips.plain(tmp_path / "a.mp4", frame_rate=Fraction(100)), True, PicturePool()) as camera:
        while (frame := take(camera)).index < 40:
            assert read_frame_number(frame.picture) == frame.index % clips.FRAME_COUNT
        assert camera.status().state == "running"


def test_a_file_that_is_not_looped_ends_and_says_so(tmp_path: Path) -> None:
    with FileCamera(clips.plain(tmp_path / "a.mp4", frame_rate=Fraction(200)), False, PicturePool()) as camera:
        until_state(camera, "ended")
        assert camera.captured == clips.FRAME_COUNT
        assert take(camera).index == clips.FRAME_COUNT - 1
        assert camera.newest(0) is None
        assert "a.mp4" in camera.status().detail


def test_a_file_that_vanishes_in_the_loop_is_told_and_tried_again(tmp_path: Path) -> None:
    path = clips.plain(tmp_path / "a.mp4", frame_rate=Fraction(200))
    with FileCamera(path, True, PicturePool()) as camera:
        take(camera)
        path.rename(tmp_path / "b.mp4")
        until_state(camera, "lost")
        assert "a.mp4" in camera.status().detail
        (tmp_path / "b.mp4").rename(path)
        until_state(camera, "running")


def test_a_file_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        FileCamera(tmp_path / "none.mp4", False, PicturePool())


def test_open_camera_makes_what_the_text_names(tmp_path: Path) -> None:
    path = clips.plain(tmp_path / "a: b.mp4")
    camera = open_camera(f"file:{path}", (640, 480), 30, True, PicturePool())
    assert isinstance(camera, FileCamera)
    assert camera.size_wh == clips.SIZE_WH
    camera.close()
    pattern = open_camera("pattern", None, 30, False, PicturePool())
    assert isinstance(pattern, PatternCamera)
    assert pattern.size_wh == (1280, 720)
    with pytest.raises(SettingsError, match="16x16, got 8x8"):
        open_camera("pattern", (8, 8), 30, False, PicturePool())


def test_without_a_rate_the_script_waits_for_its_taker() -> None:
    with ScriptedCamera((64, 48), PicturePool()) as camera:
        camera.frames(30)
        for number in range(30):
            frame = take(camera)
            assert frame.index == read_frame_number(frame.picture) == number
        assert camera.wait_done()
        assert camera.dropped == 0


def test_the_script_unplugs_and_comes_back_with_another_size() -> None:
    with ScriptedCamera((64, 48), PicturePool()) as camera:
        camera.frames(1)
        take(camera)
        camera.unplug()
        until_state(camera, "lost")
        camera.replug((32, 32))
        camera.frames(1)
        frame = take(camera)
        assert isinstance(frame.picture, I420)
        assert frame.picture.size_wh == camera.size_wh == (32, 32)
        assert camera.reopened == 1
        assert camera.status().state == "running"
        camera.end()
        until_state(camera, "ended")


def test_the_script_stalls_and_fails_and_goes_on() -> None:
    with ScriptedCamera((64, 48), PicturePool()) as camera:
        camera.stall(0.05)
        camera.fail(RuntimeError("the lens fell off"))
        camera.frames(1)
        until_state(camera, "lost")
        assert camera.status().detail == "the lens fell off; trying again"
        assert take(camera).index == 0
        assert camera.status().state == "running"


def test_the_script_draws_what_it_is_given() -> None:
    def grey(picture: I420, number: int) -> None:
        picture.buffer.fill(number + 7)

    with ScriptedCamera((64, 48), PicturePool(), draw=grey) as camera:
        camera.frames(2)
        assert [int(take(camera).picture.y[5, 5]) for _ in range(2)] == [7, 8]  # type: ignore[union-attr]


def test_closing_in_the_middle_of_a_script_forgets_the_rest() -> None:
    with ScriptedCamera((64, 48), PicturePool()) as camera:
        camera.stall(60)
        camera.frames(5)
        camera.close()
        assert camera.newest(0) is None


@pytest.mark.parametrize("color", [clips.BT709, clips.FULL_BT709, clips.UNTAGGED], ids=str)
def test_frames_come_in_the_colours_of_webcams(tmp_path: Path, color: ColorTags) -> None:
    path = clips.write_clip(tmp_path / "a.mkv", codec="ffv1", frame_rate=Fraction(200), color=color)
    with VideoFileSource(path) as source:
        wanted = {frame.index: frame.picture for frame in source}
    with FileCamera(path, False, PicturePool()) as camera:
        got = take(camera)
        assert isinstance(got.picture, I420)
        assert got.picture.color == WEBCAM_COLOR
        exact = wanted[got.index]
        assert isinstance(exact, I420)
        recolored = I420.over(exact.buffer, exact.size_wh, WEBCAM_COLOR)
        recolor(recolored, exact.color, exact.size_wh[1])
        assert np.array_equal(got.picture.buffer, recolored.buffer)


def test_after_a_long_gap_frames_come_at_their_own_pace_again(tmp_path: Path) -> None:
    """Due at 0, 3.00, 3.01 and 3.02 s; the half of the gap would be a second and a half, whatever the machine."""
    path = clips.write_clip(tmp_path / "a.mp4", pts=(0, 3000, 3010, 3020), time_base=Fraction(1, 1000), frame_count=4)
    with FileCamera(path, False, PicturePool()) as camera:
        frames = [take(camera)]
        while frames[-1].index < 3:
            frames.append(take(camera))
    after_the_gap = next(frame for frame in frames if frame.index > 0)
    assert frames[-1].pts_seconds - after_the_gap.pts_seconds < 1
