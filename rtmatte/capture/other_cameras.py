"""Cameras of macOS and Windows, which OpenCV only knows by index."""

from __future__ import annotations

import platform
from dataclasses import replace

from rtmatte.capture.camera_info import CameraInfo, Fault, VirtualOutput

_VIRTUAL_NAMES = ("obs virtual camera", "obs-camera", "unity video capture")
_AVFOUNDATION, _MEDIA_FOUNDATION, _DIRECTSHOW = 1200, 1400, 700  # OpenCV's numbers


class OtherCameras:
    """Names come from the package cv2-enumerate-cameras if it is installed (extra `camera`); else none are known.

    On Windows Media Foundation is asked first; DirectShow adds what only it knows: most virtual cameras.
    """

    def __init__(self, system: str | None = None) -> None:
        self._backends = (
            (_AVFOUNDATION,) if (system or platform.system()) == "Darwin" else (_MEDIA_FOUNDATION, _DIRECTSHOW)
        )

    def cameras(self) -> list[CameraInfo]:
        """All there are now; empty without that package."""
        try:
            from cv2_enumerate_cameras import enumerate_cameras
        except ImportError:
            return []
        found: list[CameraInfo] = []
        for backend in self._backends:
            names = {camera.name for camera in found}
            found += [
                CameraInfo(
                    camera.name,
                    str(camera.index),
                    f"{camera.name}-{camera.path or camera.index}",
                    virtual=camera.name.lower().startswith(_VIRTUAL_NAMES),
                    backend=backend,
                )
                for camera in enumerate_cameras(backend)
                if camera.name not in names
            ]
        return found

    def outputs(self) -> list[VirtualOutput]:
        """The system doesn't tell."""
        return []

    def find_again(self, camera: CameraInfo) -> CameraInfo | None:
        """By its id; where no names are known, whatever has its index now."""
        cameras = self.cameras()
        if not cameras:
            return camera
        same = [found for found in cameras if found.device_id == camera.device_id]
        return replace(camera, device=same[0].device, backend=same[0].backend) if same else None

    def fault(self, camera: CameraInfo) -> Fault:
        """Only whether it is there is known."""
        return "broken" if self.find_again(camera) else "gone"
