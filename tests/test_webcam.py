"""Webcams and their faults, with an OpenCV and an operating system that do what the test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtmatte.capture.camera_info import CameraInfo, CameraMode
from rtmatte.capture.raw_frame import WEBCAM_COLOR
from rtmatte.capture.synthetic import read_frame_number
from rtmatte.capture.v4l2_node import fourcc_code
from rtmatte.capture.webcam import Webcam, open_webcam
from rtmatte.capture.webcam_device import best_format
from rtmatte.errors import CameraNotFoundError, CameraPermissionError
from rtmatte.frame import I420
from rtmatte.pool import PicturePool
from tests.fake_webcam import CAMERA, FakeWebcam

WAIT = 10.0


@pytest.fixture
def webcam(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWebcam]:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    fake = FakeWebcam()
    yield fake
    fake.hang.set()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def until_told(camera: Webcam, *words: str) -> None:
    deadline = time.monotonic() + WAIT
    while not all(word in camera.status().detail for word in words):
        assert time.monotonic() < deadline, f"expected {words}, got {camera.status()}"
        time.sleep(0.002)


def until_running(camera: Webcam) -> None:
    until(lambda: camera.status().state == "running")


def test_asks_for_mjpg_size_and_rate_and_tells_what_was_granted(webcam: FakeWebcam) -> None:
    webcam.size_wh = (32, 24)
    with webcam.camera() as camera:
        until_running(camera)
        assert camera.status().detail == "32x24 YU12, 30 fps"
        assert camera.size_wh == (32, 24)
    device, backend, asked = webcam.opened[0]
    assert (device, backend) == ("/dev/video0", cv2.CAP_V4L2)
    assert asked == {
        cv2.CAP_PROP_FOURCC: fourcc_code("MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 64,
        cv2.CAP_PROP_FRAME_HEIGHT: 48,
        cv2.CAP_PROP_FPS: 30,
    }
    assert webcam.settings[cv2.CAP_PROP_CONVERT_RGB] == 0


def test_a_virtual_camera_keeps_the_size_its_sender_chose(webcam: FakeWebcam) -> None:
    webcam.info = replace(CAMERA, virtual=True, modes=(CameraMode("YU12", (64, 48), ()),))
    with webcam.camera() as camera:
        until_running(camera)
    assert webcam.opened[0][2] == {cv2.CAP_PROP_FOURCC: fourcc_code("YU12")}


@pytest.mark.parametrize(
    ("offered", "best"),
    [((), "MJPG"), (("YUYV", "MJPG"), "MJPG"), (("YUYV", "NV12"), "NV12"), (("H264", "YUYV"), "YUYV")],
)
def test_the_best_format_on_offer_is_asked_for(offered: tuple[str, ...], best: str) -> None:
    assert best_format(tuple(CameraMode(fourcc, (64, 48), ()) for fourcc in offered)) == best


def test_unplugged_is_told_without_asking_the_device_again_and_again(webcam: FakeWebcam) -> None:
    with webcam.camera() as camera:
        until_running(camera)
        webcam.info = None
        until_told(camera, "Fake Cam", "unplugged")
        assert camera.status().state == "lost"
        calls = webcam.grabs + len(webcam.opened)
        time.sleep(0.5)
        assert webcam.grabs + len(webcam.opened) == calls


def test_a_device_that_fails_at_once_is_not_hammered(webcam: FakeWebcam) -> None:
    with webcam.camera() as camera:
        until_running(camera)
        webcam.fails = True
        until_told(camera, "error")
        calls = webcam.grabs + len(webcam.opened)
        time.sleep(0.5)
        assert webcam.grabs + len(webcam.opened) - calls <= 20
        assert webcam.released == len(webcam.opened)
        webcam.fails = False
        until_running(camera)


def test_replugged_it_is_found_under_another_path_and_size(webcam: FakeWebcam) -> None:
    with webcam.camera() as camera:
        until_running(camera)
        webcam.info = None
        until_told(camera, "unplugged")
        while camera.newest(0):
            pass
        index = camera.captured - 1
        webcam.size_wh = (96, 64)
        webcam.others = [replace(CAMERA, device_id="another", device="/dev/video0")]
        webcam.info = replace(CAMERA, device="/dev/video2")
        until_running(camera)
        frame = camera.newest(WAIT)
        assert frame is not None
        assert isinstance(frame.picture, I420)
        assert frame.picture.size_wh == camera.size_wh == (96, 64)
        assert frame.index > index
        assert camera.reopened == 1
        assert [device for device, _, _ in webcam.opened] == ["/dev/video0", "/dev/video2"]


def test_a_hanging_device_is_told_and_does_not_hold_up_closing(webcam: FakeWebcam) -> None:
    camera = webcam.camera()
    with camera:
        until_running(camera)
        webcam.hang.clear()
        until_told(camera, "no picture for")
        assert camera.status().state == "lost"
        closer = threading.Thread(target=camera.close)
        closer.start()
        closer.join(5)
        assert not closer.is_alive()
        assert camera._thread.is_alive()  # left behind, in the driver
        webcam.hang.set()
    camera._thread.join(WAIT)
    assert webcam.released == len(webcam.opened) == 1
    captured = camera.captured
    assert camera.newest(0) is None
    assert camera.captured == captured


def test_a_device_that_was_silent_runs_again_by_itself(webcam: FakeWebcam) -> None:
    with webcam.camera() as camera:
        until_running(camera)
        webcam.hang.clear()
        until_told(camera, "no picture for")
        webcam.hang.set()
        until_running(camera)


def test_a_grab_that_waits_in_vain_is_told_as_silence(webcam: FakeWebcam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtmatte.capture.webcam._SLOW_GRAB_SECONDS", 0.0)
    with webcam.camera() as camera:
        until_running(camera)
        webcam.fails = True
        until_told(camera, "delivers no pictures")


@pytest.mark.parametrize(("fault", "words"), [("busy", "another program"), ("denied", "permission denied")])
def test_what_others_hold_is_waited_for(webcam: FakeWebcam, fault: str, words: str) -> None:
    webcam.fault_now = fault  # type: ignore[assignment]
    with webcam.camera() as camera:
        until_told(camera, words)
        assert camera.status().state == "lost"
        assert camera.newest(0) is None
        webcam.fault_now = None
        until_running(camera)
        assert camera.reopened == 0


def test_a_virtual_camera_without_a_sender_is_told(webcam: FakeWebcam) -> None:
    webcam.info = replace(CAMERA, virtual=True)
    webcam.fails = True
    with webcam.camera() as camera:
        until_told(camera, "no program sends")


def test_the_default_is_waited_for_and_then_stays_the_same_device(webcam: FakeWebcam) -> None:
    webcam.info = None
    with webcam.camera(text="default") as camera:
        until_told(camera, "no camera")
        assert not webcam.opened
        webcam.info = CAMERA
        until_running(camera)
        assert (camera.name, camera.device_id) == (CAMERA.name, CAMERA.device_id)
        webcam.others = [CameraInfo("Other", "/dev/video9", "other")]
        webcam.info = None
        until_told(camera, "unplugged")
        time.sleep(0.3)
        assert {device for device, _, _ in webcam.opened} == {"/dev/video0"}


def test_the_default_is_waited_for_even_if_it_appears_without_permission(webcam: FakeWebcam) -> None:
    webcam.info = None
    with webcam.camera(text="default") as camera:
        until_told(camera, "no camera")
        webcam.info = replace(CAMERA, denied=True)
        until_told(camera, "permission denied", "usermod")
        webcam.info = CAMERA
        until_running(camera)


def test_at_the_start_a_wrong_name_and_a_missing_permission_are_errors(webcam: FakeWebcam) -> None:
    with pytest.raises(CameraNotFoundError, match=r"'logitech'.*Fake Cam \(/dev/video0\)"):
        open_webcam("logitech", None, 30, PicturePool(), webcam)
    webcam.info = replace(CAMERA, denied=True)
    with pytest.raises(CameraPermissionError, match="usermod -aG video"):
        open_webcam("default", None, 30, PicturePool(), webcam)
    webcam.info = None
    assert open_webcam("default", None, 30, PicturePool(), webcam).newest(0) is None


def test_torn_jpegs_are_counted_and_skipped_and_many_of_them_told(webcam: FakeWebcam) -> None:
    whole = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].reshape(1, -1)
    webcam.fourcc, webcam.data = "MJPG", whole
    with webcam.camera() as camera:
        assert camera.newest(WAIT) is not None
        webcam.data = whole[:, :100]
        while camera.damaged < 20:
            camera.newest(0.01)
        assert camera.status().state == "lost"
        assert "damaged" in camera.status().detail
        assert camera.reopened == 0
        webcam.data = whole
        frame = None
        while frame is None:
            frame = camera.newest(0.01)
        assert camera.status().state == "running"


def test_frames_that_nobody_takes_are_never_decoded(webcam: FakeWebcam, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = PicturePool()
    with webcam.camera(pool) as camera:
        until(lambda: camera.dropped > 10)
        assert pool.allocated == 0
        assert camera.newest(WAIT) is not None
        assert pool.allocated == 1


@pytest.mark.parametrize("moment", ["opening", "running"])
def test_what_opencv_throws_is_survived(webcam: FakeWebcam, moment: str) -> None:
    webcam.raises = moment == "opening"
    with webcam.camera() as camera:
        if moment == "running":
            until_running(camera)
            webcam.raises = True
        until_told(camera, "error")
        webcam.raises = False
        until_running(camera)


def test_an_error_of_our_own_is_told_and_survived(webcam: FakeWebcam, monkeypatch: pytest.MonkeyPatch) -> None:
    find = webcam.find_again
    monkeypatch.setattr(webcam, "find_again", lambda camera: 1 / 0)
    with webcam.camera() as camera:
        until_told(camera, "division by zero")
        monkeypatch.setattr(webcam, "find_again", find)
        until_running(camera)


def test_elsewhere_opencv_converts_and_bgr_becomes_i420(webcam: FakeWebcam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Windows")
    webcam.info = CameraInfo("Fake Cam", "0", "index-0")
    webcam.fourcc, webcam.data = "NV12", np.full((48, 64, 3), (255, 0, 0), np.uint8)
    devices: list[str | int] = []
    open_capture = webcam.open_capture

    def media_foundation_fails(device: str | int, backend: int, properties: list[int]) -> object:
        devices.append(device)
        return open_capture("0" if backend == cv2.CAP_DSHOW else "none", backend, properties)

    monkeypatch.setattr(webcam, "open_capture", media_foundation_fails)
    with webcam.camera() as camera:
        frame = camera.newest(WAIT)
    assert frame is not None
    assert isinstance(frame.picture, I420)
    assert frame.picture.color == WEBCAM_COLOR
    assert np.abs(frame.picture.u.astype(int) - 240).max() <= 1
    assert cv2.CAP_PROP_CONVERT_RGB not in webcam.settings
    assert devices == [0, 0]
    assert [backend for _, backend, _ in webcam.opened] == [cv2.CAP_MSMF, cv2.CAP_DSHOW]


def test_the_number_in_the_pixels_is_the_index(webcam: FakeWebcam) -> None:
    with webcam.camera() as camera:
        for _ in range(20):
            frame = camera.newest(WAIT)
            assert frame is not None
            assert read_frame_number(frame.picture) == frame.index
