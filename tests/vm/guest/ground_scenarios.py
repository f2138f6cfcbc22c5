"""What the other scenarios stand on: the emulated webcam and both builds of v4l2loopback, without rtmatte's own run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvirtualcam

from tests.vm.guest import devices
from tests.vm.guest.command import finished
from tests.vm.guest.evidence import summary
from tests.vm.guest.viewers import Viewer
from tests.vm.guest.webcam_process import Webcam


def webcam_alone() -> dict[str, Any]:
    """Pictures of the webcam itself: what a viewer tells from them is what the webcam sent."""
    found = {}
    devices.load_usb_webcams()
    with Webcam() as webcam:
        node = webcam.plug()
        for library in ("opencv", "pyav"):
            with Viewer(library, node) as viewer:
                found[library] = summary(viewer.watch_frames(10))
    return found


def debian12_fault() -> dict[str, Any]:
    """Two producers in turn on Debian 12's own v4l2loopback, and what `rtmatte doctor` says of it."""
    devices.load_loopback("debian12")
    fresh = sorted(devices.capabilities(devices.LOOPBACK))
    first = _send_one_frame()
    used = sorted(devices.capabilities(devices.LOOPBACK))
    second = _send_one_frame()
    doctor = finished("doctor", "--call")
    return {
        "capabilities_fresh": fresh,
        "first_producer": first,
        "capabilities_after_it": used,
        "second_producer": second,
        "doctor": doctor,
    }


def _send_one_frame() -> str:
    try:
        with pyvirtualcam.Camera(320, 240, 10, device=devices.LOOPBACK) as camera:
            camera.send(np.zeros((240, 320, 3), np.uint8))
    except RuntimeError as error:
        return str(error)
    return "sent"
