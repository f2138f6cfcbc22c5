"""What is read from V4L2's structures and from sysfs, and how the command lists it."""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rtmatte import v4l2
from rtmatte.capture import v4l2_node
from rtmatte.capture.camera_info import CameraInfo, CameraMode, VirtualOutput
from rtmatte.capture.linux_cameras import LinuxCameras
from rtmatte.capture.v4l2_node import V4l2Node, fourcc_code, fourcc_text
from rtmatte.cli import app

CAPTURE, OUTPUT, META, M2M, STREAMING, DEVICE_CAPS = 0x1, 0x2, 0x800000, 0x8000, 0x4000000, 0x80000000


def capability(driver: str, card: str, caps: int) -> bytes:
    """struct v4l2_capability of a node whose device as a whole can also capture and give metadata."""
    whole = caps | CAPTURE | META | DEVICE_CAPS
    return struct.pack("=16s32s32sIII12x", driver.encode(), card.encode(), b"usb-1", 0x60100, whole, caps | STREAMING)


@dataclass
class FakeNode:
    """A device node that answers the ioctls from these fields."""

    driver: str = "uvcvideo"
    card: str = "Cam"
    caps: int = CAPTURE
    formats: dict[str, dict[tuple[int, int], list[tuple[int, int]]]] = field(default_factory=dict)
    """Format -> size -> frame intervals as numerator, denominator."""
    open_error: int = 0
    busy: bool = False
    requests: list[int] = field(default_factory=list)

    def ioctl(self, _descriptor: int, request: int, data: bytearray) -> int:
        if request == v4l2.QUERYCAP:
            data[:] = capability(self.driver, self.card, self.caps)
        elif request == v4l2_node.REQBUFS:
            if self.busy:
                raise OSError(errno.EBUSY, "busy")
            self.requests.append(struct.unpack_from("=I", data)[0])
        else:
            self._list(request, data)
        return 0

    def _list(self, request: int, data: bytearray) -> None:
        index, code = struct.unpack_from("=II", data)
        try:
            if request == v4l2_node.ENUM_FMT:
                struct.pack_into("=I", data, 44, fourcc_code(list(self.formats)[index]))
                return
            sizes = self.formats[fourcc_text(code)]
            if request == v4l2_node.ENUM_FRAMESIZES:
                struct.pack_into("=III", data, 8, 1, *list(sizes)[index])
            else:
                struct.pack_into("=III", data, 16, 1, *sizes[struct.unpack_from("=II", data, 8)][index])
        except IndexError:
            raise OSError(errno.EINVAL, "end of the list") from None


@dataclass
class Machine:
    """A /sys and /dev in a folder."""

    root: Path
    nodes: dict[str, FakeNode] = field(default_factory=dict)

    def usb(self, number: int, name: str, port: str, serial: str = "S1", place: int = 0, **node: object) -> Path:
        device = self.root / "devices" / "usb1" / port
        interface = device / f"{port}:1.0"
        interface.mkdir(parents=True, exist_ok=True)
        for attribute, text in (("idVendor", "046d"), ("idProduct", "085e"), ("serial", serial)):
            (device / attribute).write_text(text + "\n")
        return self._node(number, name, interface, "usb", place, node)

    def platform(self, number: int, name: str, device: str, **node: object) -> Path:
        return self._node(number, name, self.root / "devices" / "platform" / device, "platform", 0, node)

    def virtual(self, number: int, name: str, **node: object) -> Path:
        return self._node(number, name, None, "", 0, {"driver": "v4l2 loopback", **node})

    def _node(self, number: int, name: str, device: Path | None, bus: str, place: int, node: dict[str, object]) -> Path:
        entry = self.root / "class" / "video4linux" / f"video{number}"
        entry.mkdir(parents=True)
        (entry / "name").write_text(name + "\n")
        (entry / "index").write_text(f"{place}\n")
        if device is not None:
            device.mkdir(parents=True, exist_ok=True)
            (self.root / "bus" / bus).mkdir(parents=True, exist_ok=True)
            if not (device / "subsystem").exists():
                (device / "subsystem").symlink_to(self.root / "bus" / bus)
            (entry / "device").symlink_to(device)
        path = self.root / "dev" / entry.name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        self.nodes[str(path)] = FakeNode(**node)  # type: ignore[arg-type]
        return path

    def unplug(self, path: Path) -> None:
        for leaf in (self.root / "class" / "video4linux" / path.name).iterdir():
            leaf.unlink()
        (self.root / "class" / "video4linux" / path.name).rmdir()
        path.unlink()
        del self.nodes[str(path)]

    def open(self, path: str) -> V4l2Node:
        node = self.nodes.get(path)
        if node is None or node.open_error:
            code = node.open_error if node else errno.ENOENT
            raise OSError(code, os.strerror(code))
        return V4l2Node(path, node.ioctl, os.open)

    def cameras(self) -> LinuxCameras:
        return LinuxCameras(self.root, self.root / "dev", self.open)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_capabilities_are_those_of_the_node_not_of_the_whole_device() -> None:
    metadata = v4l2.parse_capabilities(capability("uvcvideo", "Cam", META))
    assert not metadata.captures
    camera = v4l2.parse_capabilities(capability("uvcvideo", "Cam", CAPTURE))
    assert (camera.driver, camera.card) == ("uvcvideo", "Cam")
    assert camera.captures
    assert not camera.outputs
    assert not camera.converts
    assert v4l2.parse_capabilities(capability("codec", "Scaler", M2M)).converts


def test_old_drivers_without_capabilities_of_the_node_are_read_too() -> None:
    assert v4l2.parse_capabilities(struct.pack("=16s32s32sIII12x", b"old", b"Cam", b"", 0, CAPTURE, 0)).captures


def test_frame_sizes_are_discrete_or_the_ends_of_a_range() -> None:
    discrete = struct.pack("=5I24x", 0, fourcc_code("YUYV"), 1, 640, 480)
    stepwise = struct.pack("=9I8x", 0, fourcc_code("YUYV"), 3, 2, 1280, 2, 1, 720, 1)
    assert v4l2_node.parse_frame_size(discrete) == ((640, 480),)
    assert v4l2_node.parse_frame_size(stepwise) == ((2, 1), (1280, 720))


def test_frame_intervals_become_rates() -> None:
    assert v4l2_node.parse_frame_interval(struct.pack("=7I24x", 0, 0, 640, 480, 1, 1001, 30000)) == (
        True,
        pytest.approx(29.97, abs=1e-3),
    )
    assert v4l2_node.parse_frame_interval(struct.pack("=11I8x", 0, 0, 640, 480, 3, 1, 60, 1, 5, 1, 1)) == (False, 60)
    assert v4l2_node.parse_frame_interval(struct.pack("=7I24x", 0, 0, 640, 480, 1, 0, 0)) == (True, 0)


@pytest.mark.parametrize("text", ["YUYV", "MJPG", "Y10"])
def test_fourcc_goes_both_ways(text: str) -> None:
    assert fourcc_text(fourcc_code(text)) == text


def test_a_camera_is_listed_with_its_modes_and_without_its_metadata_node(machine: Machine) -> None:
    modes = {"YUYV": {(640, 480): [(1, 15), (1, 30)]}, "MJPG": {(1280, 720): [(1, 30)], (640, 480): []}}
    path = machine.usb(0, "Logitech BRIO", "1-3", formats=modes)
    machine.usb(1, "Logitech BRIO", "1-3", place=1, caps=META)
    machine.platform(5, "scaler", "codec.0", caps=CAPTURE | M2M)
    assert machine.cameras().cameras() == [
        CameraInfo(
            "Logitech BRIO",
            str(path),
            "usb-046d:085e-S1-1.0.0@1-3",
            (
                CameraMode("YUYV", (640, 480), (30.0, 15.0)),
                CameraMode("MJPG", (1280, 720), (30.0,)),
                CameraMode("MJPG", (640, 480), ()),
            ),
        )
    ]


def test_nodes_are_in_the_order_of_their_numbers(machine: Machine) -> None:
    for number in (10, 2, 0):
        machine.platform(number, f"cam {number}", f"cam.{number}")
    assert [camera.name for camera in machine.cameras().cameras()] == ["cam 0", "cam 2", "cam 10"]


def test_ids_of_other_buses_and_odd_serial_numbers(machine: Machine) -> None:
    machine.usb(0, "a", "1-1", serial="S 1@x")
    machine.platform(1, "vivid", "vivid.0")
    machine.virtual(2, "Loop", caps=CAPTURE)
    ids = [camera.device_id for camera in machine.cameras().cameras()]
    assert ids == ["usb-046d:085e-S_1_x-1.0.0@1-1", "platform-vivid.0.0", "virtual-video2"]


def test_without_any_video_device_there_are_none(tmp_path: Path) -> None:
    assert LinuxCameras(tmp_path, tmp_path).cameras() == []
    assert LinuxCameras(tmp_path, tmp_path).outputs() == []


def test_a_node_that_goes_away_while_it_is_asked_is_left_out(machine: Machine) -> None:
    machine.usb(0, "a", "1-1", open_error=errno.ENODEV)
    assert machine.cameras().cameras() == []


def test_loopback_devices_are_outputs_and_cameras_as_they_can_be_used_now(machine: Machine) -> None:
    for number, caps in enumerate((OUTPUT, CAPTURE, CAPTURE | OUTPUT, 0)):
        machine.virtual(number, f"Loop {number}", caps=caps)
    devices = machine.cameras()
    dev = machine.root / "dev"
    assert devices.outputs() == [
        VirtualOutput("Loop 0", str(dev / "video0"), accepts=True, delivers=False),
        VirtualOutput("Loop 1", str(dev / "video1"), accepts=False, delivers=True),
        VirtualOutput("Loop 2", str(dev / "video2"), accepts=True, delivers=True),
        VirtualOutput("Loop 3", str(dev / "video3"), accepts=False, delivers=False),
    ]
    assert [(camera.name, camera.virtual) for camera in devices.cameras()] == [("Loop 1", True), ("Loop 2", True)]


def test_a_camera_that_may_not_be_opened_is_listed_once(machine: Machine) -> None:
    machine.usb(0, "a", "1-1", open_error=errno.EACCES)
    machine.usb(1, "a", "1-1", place=1, caps=META, open_error=errno.EACCES)
    assert [(camera.name, camera.denied) for camera in machine.cameras().cameras()] == [("a", True)]


def test_replugged_into_the_same_port_under_another_number(machine: Machine) -> None:
    devices = machine.cameras()
    path = machine.usb(0, "a", "1-1")
    camera = devices.cameras()[0]
    machine.unplug(path)
    assert devices.find_again(camera) is None
    assert devices.fault(camera) == "gone"
    new = machine.usb(3, "a", "1-1")
    assert devices.find_again(camera) == replace(camera, device=str(new))


def test_replugged_into_another_port(machine: Machine) -> None:
    devices = machine.cameras()
    path = machine.usb(0, "a", "1-1")
    camera = devices.cameras()[0]
    machine.unplug(path)
    machine.usb(0, "different", "1-4", serial="S2")
    new = machine.usb(1, "a", "1-2.1")
    found = devices.find_again(camera)
    assert found is not None
    assert found.device == str(new)


def test_a_twin_with_the_same_serial_number_is_not_taken_for_it(machine: Machine) -> None:
    devices = machine.cameras()
    path = machine.usb(0, "a", "1-1")
    machine.usb(2, "a", "1-2")
    camera = devices.cameras()[0]
    assert devices.find_again(camera) == camera
    machine.unplug(path)
    assert devices.find_again(camera) is None


def test_faults_are_told_apart(machine: Machine) -> None:
    path = machine.usb(0, "a", "1-1")
    devices = machine.cameras()
    camera = devices.cameras()[0]
    node = machine.nodes[str(path)]
    assert devices.fault(camera) == "broken"
    assert node.requests == [1, 0]  # a buffer, given back
    node.busy = True
    assert devices.fault(camera) == "busy"
    for code, fault in (
        (errno.EBUSY, "busy"),
        (errno.EACCES, "denied"),
        (errno.ENOENT, "gone"),
        (errno.ENODEV, "gone"),
        (errno.EIO, "broken"),
    ):
        node.open_error = code
        assert devices.fault(camera) == fault


@pytest.fixture
def run(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.setattr("rtmatte.capture.choose_camera.system_devices", machine.cameras)

    def run_it(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["cameras", "list", *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return run_it


def test_the_command_lists_modes_ids_and_outputs(machine: Machine, run: Callable[..., str]) -> None:
    machine.usb(0, "BRIO", "1-3", formats={"MJPG": {(640, 480): [], (1280, 720): [(1, 30), (1, 15)]}})
    machine.usb(2, "Secret", "1-4", open_error=errno.EACCES)
    machine.virtual(10, "Loop", caps=OUTPUT)
    machine.virtual(11, "Stuck", caps=0)
    machine.virtual(12, "Open", caps=CAPTURE | OUTPUT, formats={f"F{n:03}": {(2, 2): []} for n in range(57)})
    machine.virtual(13, "Fed", caps=CAPTURE)
    dev = machine.root / "dev"
    assert run().splitlines() == [
        f"camera: BRIO ({dev}/video0)",
        "  id    usb-046d:085e-S1-1.0.0@1-3",
        "  MJPG  1280x720 at 30, 15 fps; 640x480",
        f"camera: Secret ({dev}/video2): PERMISSION DENIED; run: sudo usermod -aG video $USER",
        "  id    usb-046d:085e-S1-1.0.0@1-4",
        f"virtual camera: Open ({dev}/video12)",
        "  id    virtual-video12",
        "  modes 57 formats, whatever a sender chooses",
        f"virtual camera: Fed ({dev}/video13)",
        "  id    virtual-video13",
        f"virtual output: Loop ({dev}/video10), ready",
        f"virtual output: Stuck ({dev}/video11), STUCK: reload its module "
        "(sudo modprobe -r v4l2loopback, then load it again)",
        f"virtual output: Open ({dev}/video12), ready; no exclusive_caps: browsers don't see it",
        f"virtual output: Fed ({dev}/video13), a program is sending to it",
    ]


def test_the_command_gives_json(machine: Machine, run: Callable[..., str]) -> None:
    machine.usb(0, "BRIO", "1-3", formats={"MJPG": {(640, 480): [(1, 30)]}})
    listed = json.loads(run("--json"))
    assert listed["outputs"] == []
    assert listed["cameras"][0]["device_id"] == "usb-046d:085e-S1-1.0.0@1-3"
    assert listed["cameras"][0]["modes"] == [{"fourcc": "MJPG", "size_wh": [640, 480], "frame_rates": [30.0]}]


def test_the_command_says_so_if_there_is_nothing(run: Callable[..., str]) -> None:
    assert "No camera was found." in run()
