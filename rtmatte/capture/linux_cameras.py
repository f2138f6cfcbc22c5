"""Cameras as Linux knows them: names and places from sysfs, abilities from the device nodes."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rtmatte.capture.camera_info import CameraInfo, CameraMode, Fault, VirtualOutput
from rtmatte.capture.v4l2_node import V4l2Node
from rtmatte.v4l2 import LOOPBACK_DRIVER, Capabilities, read_sysfs


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    device: str
    device_id: str
    place: int
    """Among the nodes of its device: 0 is the camera itself, 1 often its metadata."""


class LinuxCameras:
    """Reads /sys/class/video4linux and asks each node what it is."""

    def __init__(
        self, sysfs: Path = Path("/sys"), dev: Path = Path("/dev"), open_node: Callable[[str], V4l2Node] = V4l2Node
    ) -> None:
        self._class = sysfs / "class" / "video4linux"
        self._dev = dev
        self._open_node = open_node
        self._twins: set[str] = set()
        """Ids seen beside another of the same model and serial number: never taken for it."""

    def cameras(self) -> list[CameraInfo]:
        """All nodes that deliver pictures now; of those that may not be opened, the first of each device."""
        found = []
        for node in self._nodes():
            info = CameraInfo(node.name, node.device, node.device_id)
            try:
                capabilities, modes = self._ask(node.device)
            except PermissionError:
                if node.place == 0:
                    found.append(replace(info, denied=True))
            except OSError:
                continue  # it went away while it was asked
            else:
                if capabilities.captures and not capabilities.converts:
                    virtual = capabilities.driver == LOOPBACK_DRIVER
                    found.append(replace(info, name=node.name or capabilities.card, modes=modes, virtual=virtual))
        return found

    def outputs(self) -> list[VirtualOutput]:
        """The devices of v4l2loopback."""
        found = []
        for node in self._nodes():
            try:
                with self._open_node(node.device) as opened:
                    capabilities = opened.capabilities()
            except OSError:
                continue
            if capabilities.driver == LOOPBACK_DRIVER:
                found.append(VirtualOutput(node.name, node.device, capabilities.outputs, capabilities.captures))
        return found

    def find_again(self, camera: CameraInfo) -> CameraInfo | None:
        """By its id; plugged into another port, by what is before the @ of it, unless that is another of its kind."""
        model = camera.device_id.split("@")[0] + "@"
        alike = [node for node in self._nodes() if f"{node.device_id}@".startswith(model)]
        same = [node for node in alike if node.device_id == camera.device_id]
        if same:
            self._twins.update(node.device_id for node in alike if node not in same)
        else:
            same = [node for node in alike if node.device_id not in self._twins]
        return replace(camera, device=same[0].device) if same else None

    def fault(self, camera: CameraInfo) -> Fault:
        """Why this one couldn't be opened or read."""
        try:
            with self._open_node(camera.device) as node:
                node.capabilities()
                return "busy" if node.is_busy() else "broken"
        except OSError as error:
            if error.errno == errno.EBUSY:
                return "busy"
            if error.errno in (errno.EACCES, errno.EPERM):
                return "denied"
            return "gone" if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO) else "broken"

    def _ask(self, device: str) -> tuple[Capabilities, tuple[CameraMode, ...]]:
        with self._open_node(device) as node:
            capabilities = node.capabilities()
            return capabilities, node.modes(capabilities.multi_planar) if capabilities.captures else ()

    def _nodes(self) -> Iterator[_Node]:
        """Every video node, by its number."""
        entries = self._class.iterdir() if self._class.is_dir() else iter(())
        numbered = [(int(found[1]), entry) for entry in entries if (found := re.fullmatch(r"video(\d+)", entry.name))]
        for _, entry in sorted(numbered):
            place = int(read_sysfs(entry / "index") or 0)
            device_id = _device_id(entry, place)
            yield _Node(read_sysfs(entry / "name"), str(self._dev / entry.name), device_id, place)


def _device_id(entry: Path, place: int) -> str:
    """`usb-VENDOR:PRODUCT-SERIAL-INTERFACE.PLACE@PORT` for USB, else the bus and the place on it.

    Cheap webcams share their serial number or have none: that is what the port is for.
    """
    device = (entry / "device").resolve()
    vendor, product = read_sysfs(device.parent / "idVendor"), read_sysfs(device.parent / "idProduct")
    if vendor and product:
        serial = re.sub(r"[\s@]+", "_", read_sysfs(device.parent / "serial"))
        port, _, interface = device.name.partition(":")
        return f"usb-{vendor}:{product}-{serial}-{interface}.{place}@{port}"
    if (entry / "device" / "subsystem").exists():
        return f"{(entry / 'device' / 'subsystem').resolve().name}-{device.name}.{place}"
    return f"virtual-{entry.name}"
