"""Kernel modules and the devices that they make, as the scenarios need them."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

LOOPBACK = "/dev/video10"
SECOND_LOOPBACK = "/dev/video11"
LOOPBACK_LABELS = ("rtmatte one", "rtmatte two")

Loopback: TypeAlias = Literal["new", "debian12"]

_SYSFS = Path("/sys/class/video4linux")
_QUERY_CAPABILITIES = 0x80685600
_CAPABILITY_BYTES, _DEVICE_CAPABILITIES_AT = 104, 88
_CAPTURE, _OUTPUT = 1, 2


def load_loopback(version: Loopback) -> None:
    """Two virtual cameras as the documentation tells users to make them, as fresh as after a boot."""
    if Path("/sys/module/v4l2loopback").exists():
        # The kernel frees a device a moment after the last program has closed it.
        wait_for(lambda: subprocess.run(["rmmod", "v4l2loopback"], capture_output=True).returncode == 0, "rmmod")
    module = os.environ["RTMATTE_VM_LOOPBACK" if version == "new" else "RTMATTE_VM_DEBIAN12_LOOPBACK"]
    run("modprobe", "videodev")
    run(
        "insmod", module, "devices=2", "video_nr=10,11", "exclusive_caps=1,1", "max_buffers=8",
        f'card_label="{",".join(LOOPBACK_LABELS)}"',
    )  # fmt: skip
    wait_for(Path(SECOND_LOOPBACK).exists, "the loopback devices")


def load_usb_webcams() -> None:
    for module in ("vhci-hcd", "uvcvideo"):
        run("modprobe", module)


def webcam_node(product: str) -> str | None:
    """The /dev/videoN that delivers the pictures of the webcam of that name."""
    for device in sorted(_SYSFS.glob("video*")):
        try:
            name, index = (device / "name").read_text().strip(), (device / "index").read_text().strip()
        except OSError:
            continue  # it was unplugged while it was looked at
        if name.startswith(product) and index == "0" and Path("/dev", device.name).exists():
            return f"/dev/{device.name}"
    return None


def wait_for_webcam(product: str) -> str:
    wait_for(lambda: webcam_node(product) is not None, f"the webcam {product!r}")
    node = webcam_node(product)
    assert node is not None
    return node


def capabilities(device: str) -> set[str]:
    """What the device says it can do now: "capture", "output", both or neither."""
    descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(_CAPABILITY_BYTES)
        fcntl.ioctl(descriptor, _QUERY_CAPABILITIES, answer)
    finally:
        os.close(descriptor)
    (bits,) = struct.unpack_from("<I", answer, _DEVICE_CAPABILITIES_AT)
    return {name for name, bit in (("capture", _CAPTURE), ("output", _OUTPUT)) if bits & bit}


def run(*command: str) -> str:
    """What the command printed; raises with all of it if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}: {done.stdout}"
    return done.stdout


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> float:
    """Until the condition holds; the seconds it took."""
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < timeout_s, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.02)
    return time.monotonic() - begin
