"""One webcam, opened with OpenCV: what is asked of it, what it grants, and its bytes."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import cv2

from rtmatte.capture.camera_info import CameraInfo, CameraMode
from rtmatte.capture.raw_frame import BGR, RAW_FORMATS, RawFrame
from rtmatte.capture.v4l2_node import fourcc_code, fourcc_text

DEFAULT_SIZE_WH = (1280, 720)
SELECT_SECONDS = 2
"""How long OpenCV waits for a frame of a V4L2 device before it gives up; it would be 10 s."""

_BEST_FIRST = ("MJPG", "NV12", "YU12", "YUYV", "UYVY", "YV12", "NV21")
"""MJPG first: over USB 2 nothing else fits at 720p and 30 fps."""


class VideoCapture(Protocol):
    """What is used of cv2.VideoCapture."""

    def isOpened(self) -> bool: ...  # noqa: N802

    def get(self, prop: int, /) -> float: ...

    def set(self, prop: int, value: float, /) -> bool: ...

    def grab(self) -> bool: ...

    def retrieve(self) -> tuple[bool, Any]: ...

    def release(self) -> None: ...


OpenCapture: TypeAlias = Callable[[str | int, int, list[int]], VideoCapture]
"""Device, OpenCV's number of the backend, and properties with their values in turn."""


def open_with_opencv(device: str | int, backend: int, properties: list[int]) -> VideoCapture:
    """A cv2.VideoCapture, opened or not; what OpenCV would print is silenced."""
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", str(SELECT_SECONDS))
    # With them Media Foundation takes many seconds to open a camera.
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    return cv2.VideoCapture(device, backend, properties)


class WebcamDevice:
    """An open camera; for one thread. `detail` says what was granted, such as "1280x720 MJPG, 30 fps".

    Raises, on opening: OSError if it can't be opened, whatever the reason.
    """

    def __init__(
        self,
        camera: CameraInfo,
        size_wh: tuple[int, int] | None,
        frame_rate: float,
        open_capture: OpenCapture = open_with_opencv,
    ) -> None:
        width, height = size_wh or DEFAULT_SIZE_WH
        asked = {cv2.CAP_PROP_FOURCC: fourcc_code(best_format(camera.modes))}
        if not camera.virtual:  # there the sender has chosen, and a reader that asks may spoil it
            asked[cv2.CAP_PROP_FRAME_WIDTH] = width
            asked[cv2.CAP_PROP_FRAME_HEIGHT] = height
            asked[cv2.CAP_PROP_FPS] = round(frame_rate)
        self._capture = self._open(camera, [number for pair in asked.items() for number in pair], open_capture)
        self.size_wh = int(self._get(cv2.CAP_PROP_FRAME_WIDTH)), int(self._get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.frame_rate = self._get(cv2.CAP_PROP_FPS)
        granted = fourcc_text(int(self._get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF)
        self._fourcc = BGR
        if platform.system() == "Linux" and granted in RAW_FORMATS:
            self._capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
            self._fourcc = granted
        rate = f", {self.frame_rate:g} fps" if self.frame_rate > 0 else ""
        self.detail = f"{self.size_wh[0]}x{self.size_wh[1]} {granted if granted.isalnum() else ''}".rstrip() + rate

    def _open(self, camera: CameraInfo, properties: list[int], open_capture: OpenCapture) -> VideoCapture:
        device: str | int = int(camera.device) if camera.device.isdecimal() else camera.device
        for backend in _backends(camera):
            try:
                capture = open_capture(device, backend, properties)
            except cv2.error:
                continue
            if capture.isOpened():
                return capture
            capture.release()
        raise OSError(f"{camera.device} could not be opened")

    def _get(self, prop: int) -> float:
        return float(self._capture.get(prop))

    def grab(self) -> bool:
        """Waits for the next frame; False if none came, at once or after some seconds."""
        try:
            return bool(self._capture.grab())
        except cv2.error:
            return False

    def retrieve(self) -> RawFrame | None:
        """The bytes of the frame that was grabbed."""
        try:
            found, data = self._capture.retrieve()
        except cv2.error:
            return None
        if not found:
            return None
        size_wh = (data.shape[1], data.shape[0]) if self._fourcc == BGR else self.size_wh
        return RawFrame(data, self._fourcc, size_wh)

    def release(self) -> None:
        """Closes the device."""
        self._capture.release()


def best_format(modes: tuple[CameraMode, ...]) -> str:
    """The format to ask for, of those on offer; MJPG if nothing is known of them."""
    offered = {mode.fourcc for mode in modes}
    return next((fourcc for fourcc in _BEST_FIRST if fourcc in offered), "MJPG")


def _backends(camera: CameraInfo) -> tuple[int, ...]:
    if camera.backend:
        return (camera.backend,)
    if platform.system() == "Linux":
        return (cv2.CAP_V4L2,)
    return (cv2.CAP_AVFOUNDATION,) if platform.system() == "Darwin" else (cv2.CAP_MSMF, cv2.CAP_DSHOW)
