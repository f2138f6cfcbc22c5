"""Virtual cameras: what every one keeps to, on the fakes; and pyvirtualcam's end of it, on a device in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

import cv2
import numpy as np
import pytest

from rtmatte.color import yuv_of_rgb
from rtmatte.errors import VirtualCameraError
from rtmatte.frame import I420, ColorTags, Frame
from rtmatte.output.fake_virtual_camera import CountingCamera, FakeDevice
from rtmatte.output.live_sink import LiveSink
from rtmatte.output.virtual_camera import VIRTUAL_CAMERA_COLOR, VirtualCamera
from tests.frames import at, noise_picture

SIZE_WH = (64, 48)


def _frame(seed: int = 0, size_wh: tuple[int, int] = SIZE_WH, color: ColorTags = VIRTUAL_CAMERA_COLOR) -> Frame:
    return at(noise_picture("i420", size_wh, color, seed))


def _on_device(device: FakeDevice, size_wh: tuple[int, int] = SIZE_WH) -> VirtualCamera:
    return VirtualCamera(size_wh, 30, backend=device.register(), watch=device)


@pytest.fixture(params=["counting", "pyvirtualcam"])
def opened(request: pytest.FixtureRequest) -> tuple[LiveSink, Callable[[str], None]]:
    """A live sink and what spoils its device."""
    if request.param == "counting":
        counting = CountingCamera(SIZE_WH)
        return counting, lambda fault: setattr(counting, "fault", fault)
    device = FakeDevice()
    return _on_device(device), lambda fault: setattr(device, "fault", fault)


def test_the_contract(opened: tuple[LiveSink, Callable[[str], None]]) -> None:
    sink, spoil = opened
    assert isinstance(sink, LiveSink)
    with sink:
        assert sink.encoder
        assert sink.notices == []
        for number in range(3):
            sink.send(_frame(number), None)
            sink.check()
        assert sink.readers() in (None, 1)
        for wrong in (
            _frame(size_wh=(32, 48)),
            _frame(color=ColorTags(matrix_code=6, full_range=True, range_tagged=True)),
            at(noise_picture("bgr", SIZE_WH)),
        ):
            with pytest.raises(VirtualCameraError, match="[Ee]xpected an I420 picture of"):
                sink.send(wrong, None)
        spoil("unplugged by the test")
        sink.send(_frame(), None)  # like pyvirtualcam, which prints and goes on
        with pytest.raises(VirtualCameraError, match="unplugged by the test"):
            sink.check()


def test_the_device_gets_the_pictures_bytes_as_they_are() -> None:
    device = FakeDevice()
    with _on_device(device) as camera:
        assert camera.encoder == "fake fake device"
        assert device.opened_with["width"], device.opened_with["height"] == SIZE_WH
        for number in range(3):
            frame = _frame(number)
            camera.send(frame)
            assert isinstance(frame.picture, I420)
            assert device.newest is not None
            assert np.array_equal(device.newest, frame.picture.buffer)
        assert device.frames_sent == camera.frames_sent == 3
    assert not device.is_open
    camera.close()  # twice is once


def test_sending_allocates_nothing_of_frame_size() -> None:
    size_wh = (640, 360)
    device, frame = FakeDevice(), _frame(size_wh=size_wh)
    with _on_device(device, size_wh) as camera:
        camera.send(frame)
        tracemalloc.start()
        try:
            for _ in range(10):
                camera.send(frame)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 0.05 * size_wh[0] * size_wh[1]


def test_frames_that_get_lost_are_noticed() -> None:
    device = FakeDevice()
    with _on_device(device) as camera:
        camera.send(_frame())
        device.fault = "for a while"
        camera.send(_frame())
        device.fault = None
        with pytest.raises(VirtualCameraError, match="Expected 2 frames to have arrived, got 1"):
            camera.check()


def test_what_keeps_it_from_opening_is_said() -> None:
    device = FakeDevice()
    device.open_fault = "No camera registered"
    with pytest.raises(VirtualCameraError, match="can't be opened: 'fake' backend: No camera registered") as caught:
        _on_device(device)
    assert caught.value.hint
    with pytest.raises(VirtualCameraError, match="no backend 'nonsense'"):
        VirtualCamera(SIZE_WH, 30, backend="nonsense")
    with pytest.raises(VirtualCameraError, match=r"even width and height, got 65x48\. Ask for --size 64x48"):
        _on_device(device, (65, 48))


def test_the_colors_are_those_that_opencv_reads() -> None:
    """The code values of a colour, read as a program reads a camera, are that colour: at any size."""
    for height in (480, 1080):
        for rgb in ((201, 133, 66), (0, 255, 0), (255, 255, 255), (0, 0, 0), (40, 92, 181)):
            picture = I420.allocate((8, 8), VIRTUAL_CAMERA_COLOR)
            for plane, value in zip(picture.planes, yuv_of_rgb(rgb, VIRTUAL_CAMERA_COLOR, height), strict=True):
                plane.fill(value)
            read = cv2.cvtColor(picture.buffer.reshape(12, 8), cv2.COLOR_YUV2RGB_I420)
            assert np.abs(read.astype(int) - rgb).max() <= 3


def test_the_counting_camera_keeps_no_more_than_asked_and_calls_back() -> None:
    seen: list[int] = []
    camera: AbstractContextManager[CountingCamera] = CountingCamera(
        SIZE_WH, keep=2, on_frame=lambda frame: seen.append(frame.index)
    )
    with camera as counting:
        reused = _frame()
        assert isinstance(reused.picture, I420)
        for number in range(5):
            reused.picture.buffer.fill(number)
            counting.send(Frame(reused.picture, 0, Fraction(1), number))
        assert seen == [0, 1, 2, 3, 4]
        assert [int(picture.y[0, 0]) for picture in counting.kept] == [3, 4]
        counting.send_fault = "the device is gone"
        with pytest.raises(VirtualCameraError, match="the device is gone"):
            counting.send(reused)
        counting.watchers = 0
        assert (counting.frames_sent, counting.readers()) == (5, 0)
    assert counting.closed
