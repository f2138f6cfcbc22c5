"""The health check of a v4l2loopback device by injected faults, who has it open, and why it can't be written to.

On the real driver the same is shown by the tests in tests/vm.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rtmatte import v4l2
from rtmatte.errors import VirtualCameraError
from rtmatte.output import loopback_descriptor, loopback_watch
from rtmatte.output.loopback_descriptor import OutputFormat
from rtmatte.output.loopback_watch import LoopbackWatch, refuse_unusable
from rtmatte.output.openers import Opener, openers
from rtmatte.v4l2 import Capabilities
from tests.loopback_tree import Node, make_tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="v4l2loopback is Linux' virtual camera")

SIZE_WH = (640, 360)
OUTPUT, CAPTURE, NEITHER = (
    Capabilities("v4l2 loopback", "rtmatte", captures, outputs, converts=False, multi_planar=False)
    for captures, outputs in ((False, True), (True, False), (False, False))
)


class Driver:
    """Stands in for the ioctls; what it answers may be changed while it is watched."""

    def __init__(self) -> None:
        self.format: OutputFormat | OSError = OutputFormat(SIZE_WH, "YU12")
        self.flags = select.POLLOUT
        self.streamed: bool | None = None
        self.capabilities = OUTPUT
        self.openers: tuple[list[Opener], bool] = ([], True)

    def output_format(self, descriptor: int) -> OutputFormat:
        if isinstance(self.format, OSError):
            raise self.format
        return self.format


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setattr(loopback_descriptor, "output_format", made.output_format)
    monkeypatch.setattr(v4l2, "capabilities", lambda descriptor: made.capabilities)
    monkeypatch.setattr(loopback_descriptor, "events", lambda descriptor: made.flags)
    monkeypatch.setattr(loopback_descriptor, "is_streamed_from", lambda descriptor: made.streamed)
    monkeypatch.setattr(loopback_watch, "openers", lambda path: made.openers)
    return made


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A file instead of the device's node."""
    (tmp_path / "dev").mkdir()
    made = tmp_path / "dev" / "video10"
    made.touch()
    return made


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "sys", Node(10, "rtmatte", "capture"))


def _vanish(driver: Driver, node: Path, sysfs: Path) -> None:
    driver.flags = select.POLLERR


def _answer_no_device(driver: Driver, node: Path, sysfs: Path) -> None:
    driver.format = OSError(errno.ENODEV, "No such device")


def _lose_the_node(driver: Driver, node: Path, sysfs: Path) -> None:
    node.unlink()


def _replace_the_node(driver: Driver, node: Path, sysfs: Path) -> None:
    replacement = node.with_name("new")
    replacement.touch()
    replacement.rename(node)


def _change_the_format(driver: Driver, node: Path, sysfs: Path) -> None:
    driver.format = OutputFormat((320, 240), "YUYV")


def _take_no_frames(driver: Driver, node: Path, sysfs: Path) -> None:
    (sysfs / "class" / "video4linux" / "video10" / "state").write_text("output\n")


FAULTS: list[tuple[Callable[[Driver, Path, Path], None], str]] = [
    (_vanish, r"is gone\. Load it again with `sudo modprobe"),
    (_answer_no_device, "is gone"),
    (_lose_the_node, "is gone"),
    (_replace_the_node, "was made anew"),
    (_change_the_format, r"insists on 320x240 YUYV: expected 640x360 YU12\. .*--size 320x240"),
    (_take_no_frames, "takes no frames"),
]


@pytest.mark.parametrize(("spoil", "says"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_each_fault_is_noticed_by_the_next_check(
    driver: Driver, node: Path, sysfs: Path, spoil: Callable[[Driver, Path, Path], None], says: str
) -> None:
    watch = LoopbackWatch(str(node), SIZE_WH, 99, sysfs=sysfs)
    watch.check(0)
    watch.check(1000)
    spoil(driver, node, sysfs)
    with pytest.raises(VirtualCameraError, match=says):
        watch.check(1001)


def test_before_the_first_frame_and_on_old_drivers_the_state_says_nothing(
    driver: Driver, node: Path, tmp_path: Path
) -> None:
    watch = LoopbackWatch(str(node), SIZE_WH, 99, sysfs=make_tree(tmp_path / "new", Node(10, "rtmatte", "output")))
    watch.check(0)
    with pytest.raises(VirtualCameraError, match="since 1 frames were sent"):
        watch.check(1)
    LoopbackWatch(str(node), SIZE_WH, 99, sysfs=make_tree(tmp_path / "old", Node(10, "rtmatte", None))).check(1)


def test_another_size_than_was_asked_for_is_refused_at_once(driver: Driver, node: Path, sysfs: Path) -> None:
    driver.format = OutputFormat((1280, 720), "YU12")
    with pytest.raises(VirtualCameraError, match=r"insists on 1280x720 YU12: expected 640x360.*keep_format=0"):
        LoopbackWatch(str(node), SIZE_WH, 99, sysfs=sysfs)


def test_who_watches_is_the_drivers_word_or_else_who_has_it_open(driver: Driver, node: Path, sysfs: Path) -> None:
    watch = LoopbackWatch(str(node), SIZE_WH, 99, sysfs=sysfs)
    chrome, producer = Opener(7, "chrome", only_writes=False), Opener(8, "obs", only_writes=True)
    driver.openers = ([chrome, chrome, producer], False)
    assert watch.readers() == 2
    driver.openers = ([producer], True)
    assert watch.readers() == 0
    driver.openers = ([producer], False)
    assert watch.readers() is None  # somebody else's program may watch
    driver.openers = ([chrome], True)
    for driver.streamed in (False, True):
        assert watch.readers() == int(driver.streamed)


def test_processes_are_looked_through_when_the_modules_openers_change(
    driver: Driver, node: Path, sysfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, now = [0], [0.0]

    def look(path: str) -> tuple[list[Opener], bool]:
        looks[0] += 1
        return driver.openers

    monkeypatch.setattr(loopback_watch, "openers", look)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    module_openers = sysfs / "module" / "v4l2loopback" / "refcnt"
    watch = LoopbackWatch(str(node), SIZE_WH, 99, sysfs=sysfs)
    module_openers.write_text("1\n")
    driver.openers = ([Opener(7, "chrome", only_writes=False)], True)
    assert watch.readers() == 0  # nobody but us, whatever the processes look like
    assert looks == [0]
    module_openers.write_text("2\n")
    assert [watch.readers() for _ in range(5)] == [1] * 5
    assert looks == [1]
    module_openers.write_text("3\n")
    driver.openers = ([Opener(7, "chrome", only_writes=False)] * 2, True)
    assert watch.readers() == 2
    driver.openers = ([], True)
    now[0] += 9
    assert watch.readers() == 2
    now[0] += 2
    assert watch.readers() == 0
    assert looks == [3]


def test_what_makes_a_device_unusable(driver: Driver, node: Path, sysfs: Path) -> None:
    refuse_unusable(str(node), sysfs=sysfs)

    driver.capabilities = CAPTURE
    driver.openers = ([Opener(8, "obs", only_writes=True), Opener(7, "chrome", only_writes=False)], True)
    with pytest.raises(VirtualCameraError, match=r"is busy: obs \(process 8\) has it\. Stop that program"):
        refuse_unusable(str(node), sysfs=sysfs)
    driver.openers = ([], False)
    with pytest.raises(VirtualCameraError, match="is busy: another program has it"):
        refuse_unusable(str(node), sysfs=sysfs)

    # Without exclusive caps a second producer would get in, and both pictures would alternate.
    driver.capabilities, driver.openers = OUTPUT, ([Opener(8, "obs", only_writes=True)], True)
    with pytest.raises(VirtualCameraError, match="is busy: obs"):
        refuse_unusable(str(node), sysfs=sysfs)

    driver.capabilities, driver.openers = NEITHER, ([], True)
    with pytest.raises(VirtualCameraError, match=r"is used up: .*serves one session only\. `sudo modprobe -r"):
        refuse_unusable(str(node), sysfs=sysfs)

    driver.capabilities = replace(CAPTURE, driver="uvcvideo")
    with pytest.raises(VirtualCameraError, match="expected the driver 'v4l2 loopback', got 'uvcvideo'"):
        refuse_unusable(str(node), sysfs=sysfs)


def _open_descriptors() -> set[str]:
    return {link.name for link in Path("/proc/self/fd").iterdir()}


def test_what_is_no_device_at_all_is_said_and_left_closed(tmp_path: Path) -> None:
    before = _open_descriptors()
    with pytest.raises(VirtualCameraError, match="/dev/null is not a video device"):
        refuse_unusable("/dev/null")
    with pytest.raises(VirtualCameraError, match="does not exist"):
        refuse_unusable(str(tmp_path / "video99"))
    if os.geteuid() != 0:
        (tmp_path / "closed").touch(mode=0)
        with pytest.raises(VirtualCameraError, match="usermod -aG video"):
            refuse_unusable(str(tmp_path / "closed"))
    assert _open_descriptors() == before


def test_openers_are_read_from_proc(tmp_path: Path) -> None:
    def process(pid: int, name: str, *files: tuple[str, int]) -> None:
        folder = tmp_path / str(pid)
        (folder / "fd").mkdir(parents=True)
        (folder / "fdinfo").mkdir()
        (folder / "comm").write_text(f"{name}\n")
        for number, (path, flags) in enumerate(files):
            (folder / "fd" / str(number)).symlink_to(path)
            (folder / "fdinfo" / str(number)).write_text(f"pos:\t0\nflags:\t0{flags:o}\nmnt_id:\t26\n")

    process(100, "bash", ("/dev/pts/0", os.O_RDWR))
    process(101, "obs", ("/dev/null", os.O_RDWR), ("/dev/video10", os.O_WRONLY | os.O_SYNC))
    process(102, "chrome", ("/dev/video10", os.O_RDWR | os.O_NONBLOCK), ("/dev/video1", os.O_RDWR))
    process(os.getpid(), "this", ("/dev/video10", os.O_WRONLY))
    (tmp_path / "meminfo").touch()
    (tmp_path / "103").mkdir()  # has just ended
    found, complete = openers("/dev/video10", tmp_path)
    assert sorted(found, key=lambda opener: opener.pid) == [
        Opener(101, "obs", only_writes=True),
        Opener(102, "chrome", only_writes=False),
    ]
    assert complete
    assert str(found[0]).endswith(f"(process {found[0].pid})")


@pytest.mark.parametrize(("user", "complete"), [(0, True), (999, True), (1000, False), (65534, True)])
def test_closed_processes_count_if_they_are_peoples(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, user: int, complete: bool
) -> None:
    if os.geteuid() == 0:
        (tmp_path / "100").mkdir()
        os.chown(tmp_path / "100", user, user)
    else:
        pytest.skip("only root can give files to others")
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if str(path).endswith("/fd"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert openers("/dev/video10", tmp_path) == ([], complete)


def test_a_real_process_is_found_by_what_it_holds(tmp_path: Path) -> None:
    import subprocess

    held = tmp_path / "device"
    held.touch()
    code = "import sys; f = open(sys.argv[1], 'wb'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(held)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        (opener,), _ = openers(str(held))
        assert (opener.pid, opener.only_writes) == (child.pid, True)
    assert openers(str(held))[0] == []


def test_what_the_driver_answers_is_read_at_the_right_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are those of v4l2loopback 0.15.0 on x86-64: QUERYCAP, G_FMT, and its event."""
    asked: list[int] = []

    def ioctl(descriptor: int, request: int, argument: bytearray) -> None:
        asked.append(request)
        if request == 0x80685600:
            argument[:13] = b"v4l2 loopback"
            argument[16:23] = b"rtmatte"
            struct.pack_into("<II", argument, 84, 0x85200002, 0x05200002)
        elif request == 0xC0D05604:
            assert struct.unpack_from("<I", argument) == (2,)
            struct.pack_into("<6I", argument, 8, 640, 360, 842093913, 1, 640, 345600)
        elif request == 0x80885659:
            struct.pack_into("<I", argument, 0, 283115521)
            struct.pack_into("<I", argument, 8, 1)

    if struct.calcsize("P") != 8:
        pytest.skip("the bytes are of a 64-bit system")
    monkeypatch.setattr(v4l2, "ioctl", ioctl)
    monkeypatch.setattr(loopback_descriptor, "events", lambda descriptor: select.POLLPRI)
    assert v4l2.capabilities(3, ioctl) == OUTPUT
    assert str(loopback_descriptor.output_format(3)) == "640x360 YU12"
    assert loopback_descriptor.is_streamed_from(3) is True
    assert asked == [0x80685600, 0xC0D05604, 0x4020565A, 0x80885659, 0x4020565B]
    monkeypatch.setattr(loopback_descriptor, "events", lambda descriptor: 0)
    assert loopback_descriptor.is_streamed_from(3) is None


def test_a_driver_without_the_event_cannot_tell() -> None:
    with Path("/dev/null").open("rb") as nothing:
        assert loopback_descriptor.is_streamed_from(nothing.fileno()) is None
