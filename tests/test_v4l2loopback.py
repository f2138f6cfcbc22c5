"""What is read from sysfs about v4l2loopback, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtmatte.errors import VirtualCameraError
from rtmatte.output.loopback_watch import candidates
from rtmatte.output.v4l2loopback import LOAD, RELOAD, LoopbackDevice, loopback, problems
from tests.loopback_tree import Node, make_tree

WEBCAM = Node(0, "HD Webcam", None, is_loopback=False)


def _messages(root: Path) -> list[str]:
    return [problem.message for problem in problems(loopback(root))]


def test_a_sound_module_is_read_and_has_no_problem(tmp_path: Path) -> None:
    found = loopback(make_tree(tmp_path, WEBCAM, Node(10, "rtmatte")))
    assert found is not None
    assert (found.version, found.version_text, found.max_buffers) == ((0, 15, 0), "0.15.0", 8)
    assert found.devices == (LoopbackDevice("/dev/video10", "rtmatte", True, "output"),)
    assert problems(found) == []


def test_parameters_belong_to_the_device_they_were_given_for(tmp_path: Path) -> None:
    nodes = Node(11, "B", "capture"), Node(10, "A"), Node(2, "C")
    found = loopback(make_tree(tmp_path, *nodes, exclusive_caps="N,Y,Y", video_nr="11,10,2"))
    assert found is not None
    assert found.devices == (
        LoopbackDevice("/dev/video2", "C", True, "output"),
        LoopbackDevice("/dev/video10", "A", True, "output"),
        LoopbackDevice("/dev/video11", "B", False, "capture"),
    )


def test_without_numbers_they_go_by_order_and_later_devices_are_unknown(tmp_path: Path) -> None:
    nodes = Node(3, "first"), Node(4, "second"), Node(5, "added by hand")
    found = loopback(make_tree(tmp_path, *nodes, exclusive_caps="Y,N", video_nr="-1,-1"))
    assert found is not None
    assert [device.exclusive_caps for device in found.devices] == [True, False, None]


@pytest.mark.parametrize(
    ("version", "faulty"),
    [(None, True), ("0.12.7", True), ("0.13.1", True), ("0.13.2", False), ("0.15.0", False), ("0.13.2-manjaro", False)],
)
def test_the_one_session_fault_goes_by_the_version(tmp_path: Path, version: str | None, faulty: bool) -> None:
    """0.12.7 shows no version at all."""
    root = make_tree(tmp_path, Node(10, "rtmatte", None), version=version)
    assert [("one program's session only" in message) for message in _messages(root)] == [True] * faulty
    if faulty:
        (problem,) = problems(loopback(root))
        assert f"`{RELOAD}`" in problem.hint
        assert "0.13.2" in problem.hint
        assert not problem.is_minor


def test_without_exclusive_caps_there_is_no_session_fault_but_no_chrome_either(tmp_path: Path) -> None:
    root = make_tree(tmp_path, Node(10, "rtmatte", None), version=None, exclusive_caps="N")
    assert _messages(root) == ["/dev/video10 is without exclusive_caps=1: Chrome and others don't list it."]


def test_few_buffers_are_a_minor_matter(tmp_path: Path) -> None:
    (problem,) = problems(loopback(make_tree(tmp_path, Node(10, "rtmatte"), max_buffers="2")))
    assert "2 buffers: expected 4 or more" in problem.message
    assert problem.is_minor


def test_no_module_and_no_device(tmp_path: Path) -> None:
    assert loopback(tmp_path) is None
    (problem,) = problems(None)
    assert problem.message == "The v4l2loopback module isn't loaded."
    assert f"`{LOAD}`" in problem.hint
    (problem,) = problems(loopback(make_tree(tmp_path, WEBCAM)))
    assert problem.message == "v4l2loopback is loaded and has no device."


def test_damaged_files_are_as_if_they_said_nothing(tmp_path: Path) -> None:
    root = make_tree(tmp_path, Node(10, "rtmatte", "?"), version="", exclusive_caps="(null)", max_buffers="many")
    found = loopback(root)
    assert found is not None
    assert (found.version, found.max_buffers) == (None, None)
    assert found.devices == (LoopbackDevice("/dev/video10", "rtmatte", None, None),)


def test_which_devices_are_tried(tmp_path: Path) -> None:
    root = make_tree(tmp_path, WEBCAM, Node(10, "busy", "capture"), Node(11, "free"), Node(12, "free too"))
    assert list(candidates("auto", sysfs=root)) == ["/dev/video11", "/dev/video12", "/dev/video10"]
    assert list(candidates("free too", sysfs=root)) == ["/dev/video12"]
    with pytest.raises(VirtualCameraError, match=r'"OBS": got "busy" \(/dev/video10\), "free"'):
        list(candidates("OBS", sysfs=root))


def test_a_path_is_tried_whatever_sysfs_says(tmp_path: Path) -> None:
    link = tmp_path / "my-camera"
    link.symlink_to("/dev/null")
    assert list(candidates(str(link), sysfs=tmp_path)) == ["/dev/null"]
    with pytest.raises(VirtualCameraError, match=r"No virtual camera here: The v4l2loopback module isn't loaded\."):
        list(candidates("auto", sysfs=tmp_path))
