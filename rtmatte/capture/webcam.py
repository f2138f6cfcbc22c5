"""Webcams: captured in a thread of their own, found again after every fault."""

from __future__ import annotations

import time

from rtmatte.capture.camera import CameraStatus
from rtmatte.capture.camera_info import CameraDevices, CameraInfo, Fault
from rtmatte.capture.choose_camera import choose_camera, system_devices
from rtmatte.capture.raw_frame import RawFrame, RawReader
from rtmatte.capture.threaded_camera import ThreadedCamera
from rtmatte.capture.webcam_device import OpenCapture, WebcamDevice, open_with_opencv
from rtmatte.errors import CameraPermissionError
from rtmatte.frame import I420
from rtmatte.pool import PicturePool

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.25
"""Seconds between attempts to open a device: doubled each time. Replugging must show a picture within 2 s."""
_SILENT_SECONDS = 1.0
_SLOW_GRAB_SECONDS = 0.5
"""A grab that fails sooner was refused; later, it waited in vain."""
_DAMAGED_IN_A_ROW = 10

_TOLD: dict[Fault, str] = {
    "gone": "unplugged; waiting for it to come back",
    "denied": "permission denied; trying again (sudo usermod -aG video $USER lets you in for good)",
    "busy": "in use by another program; waiting for it",
    "broken": "gives an error; opening it again",
}


def open_webcam(
    text: str,
    size_wh: tuple[int, int] | None,
    frame_rate: float,
    pool: PicturePool,
    devices: CameraDevices | None = None,
) -> Webcam:
    """The webcam that `text` names; see `choose_camera`, also for what it raises."""
    devices = devices or system_devices()
    return Webcam(text, choose_camera(text, devices), size_wh, frame_rate, pool, devices)


class Webcam(ThreadedCamera[RawFrame]):
    """A `Camera` on an OpenCV device. Bytes are decoded by whoever takes the frame, in that thread.

    `camera` is None while `text` (the default) names nothing: it is looked for again and again. `damaged` counts
    frames that were torn or too short; they are skipped. Frames are stamped right after the grab: the drivers' own
    stamps aren't to be relied on (Linux' vivid gives the future).
    """

    def __init__(
        self,
        text: str,
        camera: CameraInfo | None,
        size_wh: tuple[int, int] | None,
        frame_rate: float,
        pool: PicturePool,
        devices: CameraDevices,
        open_capture: OpenCapture = open_with_opencv,
    ) -> None:
        super().__init__(camera.name if camera else "no camera", camera.device_id if camera else text, pool)
        self.damaged = 0
        self._text = text
        self._camera = camera
        self._asked = size_wh, frame_rate
        self._devices = devices
        self._open_capture = open_capture
        self._reader = RawReader(pool)
        self._damaged_in_a_row = 0
        self._last_frame = time.monotonic()
        self._silent_seconds = _SILENT_SECONDS
        self._tell("opening", f"opening {self.name}" if camera else "looking for a camera")

    def status(self) -> CameraStatus:
        """What it is doing now; also tells of a device that hangs, since the thread that waits for it can't."""
        status = self._status
        if status.state != "running":
            return status
        silent = time.monotonic() - self._last_frame
        if silent > self._silent_seconds:
            return CameraStatus("lost", f"{self.name}: no picture for {silent:.0f} s")
        if self._damaged_in_a_row >= _DAMAGED_IN_A_ROW:
            return CameraStatus("lost", f"{self.name}: only damaged pictures arrive; try another cable or port")
        return status

    def _picture(self, item: RawFrame) -> I420 | None:
        picture = self._reader.read(item)
        self._damaged_in_a_row = 0 if picture else self._damaged_in_a_row + 1
        self.damaged += picture is None
        return picture

    def _discard(self, item: RawFrame) -> None:
        """Bytes are the garbage collector's."""

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closing.is_set():
            captured = self.captured
            self._capture_once()
            pause = _FIRST_PAUSE if self.captured > captured else min(2 * pause, _LONGEST_PAUSE)
            self._closing.wait(pause)

    def _capture_once(self) -> None:
        """Finds the device, opens it and captures until something happens; leaves what happened in `status()`."""
        camera = self._find()
        if camera is None:
            return
        try:
            device = WebcamDevice(camera, *self._asked, self._open_capture)
        except OSError:
            self._tell_lost(self._told(camera, self._devices.fault(camera)))
            return
        try:
            waited = self._capture(device)
        finally:
            device.release()
        if self._closing.is_set():
            return
        fault = self._devices.fault(camera)  # only now: an open device would find itself busy
        silent = fault == "broken" and waited > _SLOW_GRAB_SECONDS
        self._tell_lost("delivers no pictures; opening it again" if silent else self._told(camera, fault))

    def _find(self) -> CameraInfo | None:
        """The camera as it can be opened now. The default, once found, stays the same device."""
        if self._camera is None:
            try:
                self._camera = choose_camera(self._text, self._devices)
            except CameraPermissionError as error:
                self._tell("lost", str(error))
                return None
            if self._camera is None:
                self._tell("lost", "no camera is there; waiting for one")
                return None
            self.name, self.device_id = self._camera.name, self._camera.device_id
            return self._camera
        found = self._devices.find_again(self._camera)
        if found is None:
            self._tell_lost(_TOLD["gone"])
        return found

    def _capture(self, device: WebcamDevice) -> float:
        """Captures until the device fails or the camera is closed; returns how long the last attempt took."""
        running = False
        began = time.monotonic()
        while device.grab():
            captured_ns = time.monotonic_ns()
            raw = device.retrieve()
            if raw is None or self._closing.is_set():
                break
            if not running:
                running = True
                self._come_up(device)
            self._last_frame = began = time.monotonic()
            self._deliver(raw, captured_ns)
        return time.monotonic() - began

    def _come_up(self, device: WebcamDevice) -> None:
        """The first frame since the device was opened is there."""
        self.size_wh = device.size_wh
        self.reopened += self.captured > 0
        self._last_frame = time.monotonic()
        self._silent_seconds = max(_SILENT_SECONDS, 3 / device.frame_rate if device.frame_rate > 0 else 0.0)
        self._tell("running", device.detail)

    @staticmethod
    def _told(camera: CameraInfo, fault: Fault) -> str:
        if camera.virtual and fault == "broken":
            return "no program sends to it; waiting for one"
        return _TOLD[fault]

    def _tell_lost(self, what: str) -> None:
        self._tell("lost", f"{self.name}: {what}")
