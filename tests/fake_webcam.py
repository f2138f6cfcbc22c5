"""A webcam made of nothing: what it does to cv2.VideoCapture and to the system's list of devices is set by a test."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from rtmatte.capture.camera_info import CameraInfo, Fault, VirtualOutput
from rtmatte.capture.synthetic import TAGS_BT709, draw_test_pattern
from rtmatte.capture.v4l2_node import fourcc_code
from rtmatte.capture.webcam import Webcam
from rtmatte.frame import I420
from rtmatte.pool import PicturePool

CAMERA = CameraInfo("Fake Cam", "/dev/video0", "usb-1:2-3-1.0.0@1-1")


@dataclass
class FakeWebcam:
    """The device, its driver and the operating system's knowledge of it; all fields may be changed at any time."""

    info: CameraInfo | None = CAMERA
    """As it is plugged in now; None: it isn't."""
    others: list[CameraInfo] = field(default_factory=list)
    fault_now: Fault | None = None
    """Why it can't be opened, if it can't."""
    fails: bool = False
    """Grabs fail at once, although it is there."""
    fourcc: str = "YU12"
    size_wh: tuple[int, int] = (64, 48)
    data: np.ndarray | None = None
    """What is delivered; None: the test pattern of the next number, as YU12."""
    raises: bool = False
    """OpenCV throws instead of answering."""
    hang: threading.Event = field(default_factory=threading.Event)
    """Set: works. Clear: grabs wait for it."""
    interval_s: float = 0.005
    opened: list[tuple[str | int, int, dict[int, int]]] = field(default_factory=list)
    settings: dict[int, float] = field(default_factory=dict)
    grabs: int = 0
    delivered: int = 0
    released: int = 0

    def __post_init__(self) -> None:
        self.hang.set()

    def open_capture(self, device: str | int, backend: int, properties: list[int]) -> FakeCapture:
        self.opened.append((device, backend, dict(zip(properties[::2], properties[1::2], strict=True))))
        if self.raises:
            raise cv2.error("thrown while opening")
        return FakeCapture(self, self.info is not None and self.fault_now is None and device == self.info.device)

    def cameras(self) -> list[CameraInfo]:
        return [*self.others, *([self.info] if self.info else [])]

    def outputs(self) -> list[VirtualOutput]:
        return []

    def find_again(self, camera: CameraInfo) -> CameraInfo | None:
        same = [found for found in self.cameras() if found.device_id == camera.device_id]
        return replace(camera, device=same[0].device) if same else None

    def fault(self, camera: CameraInfo) -> Fault:
        return self.fault_now or ("broken" if self.find_again(camera) else "gone")

    def camera(self, pool: PicturePool | None = None, text: str = "fake") -> Webcam:
        """A `Webcam` on it that hasn't been entered."""
        known = self.info if text != "default" else None
        return Webcam(text, known, (64, 48), 30.0, pool or PicturePool(), self, self.open_capture)


class FakeCapture:
    """What is used of cv2.VideoCapture. As the real one, it goes on claiming to be open after an unplug."""

    def __init__(self, webcam: FakeWebcam, is_open: bool) -> None:
        self._webcam = webcam
        self._open = is_open
        self._plugged = webcam.info

    def isOpened(self) -> bool:  # noqa: N802
        return self._open

    def get(self, prop: int) -> float:
        width, height = self._webcam.size_wh
        return {
            cv2.CAP_PROP_FRAME_WIDTH: float(width),
            cv2.CAP_PROP_FRAME_HEIGHT: float(height),
            cv2.CAP_PROP_FPS: 30.0,
            cv2.CAP_PROP_FOURCC: float(fourcc_code(self._webcam.fourcc)),
        }[prop]

    def set(self, prop: int, value: float) -> bool:
        self._webcam.settings[prop] = value
        return True

    def grab(self) -> bool:
        self._webcam.grabs += 1
        if self._webcam.raises:
            raise cv2.error("thrown while grabbing")
        if self._webcam.fails or self._webcam.info is not self._plugged:
            return False
        threading.Event().wait(self._webcam.interval_s)
        return self._webcam.hang.wait()

    def retrieve(self) -> tuple[bool, np.ndarray]:
        if self._webcam.data is not None:
            return True, self._webcam.data
        picture = I420.allocate(self._webcam.size_wh, TAGS_BT709)
        draw_test_pattern(picture, self._webcam.delivered)
        self._webcam.delivered += 1
        return True, picture.buffer.reshape(-1, self._webcam.size_wh[0])

    def release(self) -> None:
        self._webcam.released += 1
