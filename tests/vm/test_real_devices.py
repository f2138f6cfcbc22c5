"""`rtmatte webcam` on devices as real as a test can have them: the kernel's own v4l2loopback, and its driver for USB
webcams with one that a program plugs and unplugs. The scenarios ran in a guest (see conftest.py); here they are judged.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from tests.vm.conftest import FindingsOf, Outcome

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

BACKGROUND_BGR = (64, 177, 0)
COLOR_TOLERANCE = 6
CTRL_C_SECONDS = 10
"""A second outside; the guest is ten to forty times slower."""


def _near(color: list[int], expected: tuple[int, int, int]) -> bool:
    return all(abs(got - wanted) <= COLOR_TOLERANCE for got, wanted in zip(color, expected, strict=True))


def _assert_sound(seen: dict[str, Any], stamps: int) -> None:
    """Whole pictures in order, and not a pixel of the room."""
    assert seen["distinct"] >= stamps
    assert seen["in_order"]
    assert seen["torn"] == 0
    assert seen["most_room_pixels"] == 0


@pytest.mark.parametrize("library", ["opencv", "pyav"])
def test_viewers_read_the_emulated_webcam(findings_of: FindingsOf, library: str) -> None:
    """Else the other tests would prove nothing: the room is there, and stamps are legible."""
    seen = findings_of("webcam_alone")[library]
    assert seen["stamped"] == seen["pictures"] >= 10
    assert seen["in_order"]
    assert seen["most_room_pixels"] > 300 * 200 / 2


@pytest.mark.parametrize("start", range(3), ids=["first start, OpenCV", "second start, PyAV", "third start, OpenCV"])
def test_viewers_see_whole_pictures_in_order_on_the_new_background(findings_of: FindingsOf, start: int) -> None:
    run = findings_of("three_starts")["runs"][start]
    _assert_sound(run, 12)
    assert any(_near(color, BACKGROUND_BGR) for color in run["backgrounds"])
    assert run["status"]["faults"] == run["status"]["output_faults"] == 0


@pytest.mark.parametrize("start", range(3))
def test_ctrl_c_ends_it_and_frees_the_device(findings_of: FindingsOf, start: int) -> None:
    run = findings_of("three_starts")["runs"][start]
    assert run["exit_code"] == 0
    assert run["seconds_to_end"] < CTRL_C_SECONDS
    assert run["loopback_afterwards"] == ["output"]


def test_an_unplugged_webcam_is_covered_by_cards_and_found_again_elsewhere(findings_of: FindingsOf) -> None:
    found = findings_of("unplug_and_replug")
    assert "unplugged" in found["told"]
    assert found["most_room_pixels"] == 0
    assert found["nodes"]["another"] == found["nodes"]["first"] != found["nodes"]["second"]
    assert found["reopened"] == 1
    _assert_sound(found["replugged"], 5)
    assert found["exit_code"] == 0


def test_a_webcam_that_falls_silent_is_covered_by_cards(findings_of: FindingsOf) -> None:
    found = findings_of("silent_webcam")
    assert "no picture" in found["told"]
    assert found["most_room_pixels"] == 0
    _assert_sound(found["again"], 3)
    assert found["exit_code"] == 0


def test_a_busy_webcam_is_waited_for(findings_of: FindingsOf) -> None:
    found = findings_of("busy_webcam")
    assert "in use by another program" in found["told"]
    assert found["busy"]["without_stamp"] == found["busy"]["pictures"]
    _assert_sound(found["free"], 3)
    assert found["exit_code"] == 0


def test_a_forbidden_webcam_ends_it_with_the_command_that_helps(findings_of: FindingsOf) -> None:
    forbidden = findings_of("forbidden_and_missing_webcams")["forbidden"]
    assert forbidden["exit_code"] == 3
    assert "permission denied" in forbidden["said"]
    assert "usermod -aG video" in forbidden["said"]


def test_a_name_that_fits_no_webcam_ends_it_with_those_that_there_are(findings_of: FindingsOf) -> None:
    missing = findings_of("forbidden_and_missing_webcams")["missing"]
    assert missing["exit_code"] == 3
    assert "rtmatte test webcam" in missing["said"]


def test_without_any_webcam_it_waits_for_one(findings_of: FindingsOf) -> None:
    found = findings_of("forbidden_and_missing_webcams")
    assert "no camera" in found["none"]["told"]
    assert found["none"]["without_stamp"] == found["none"]["pictures"]
    _assert_sound(found["plugged"], 3)


def test_the_health_check_tells_of_viewers_that_go_and_of_a_lost_device(findings_of: FindingsOf) -> None:
    found = findings_of("output_faults")
    assert found["unwatched"]["watched"] is False
    assert found["rmmod_exit_code"] != 0
    assert "/dev/video10" in found["told"]
    _assert_sound(found["back"], 3)
    assert found["exit_code"] == 0


def test_cameras_list_shows_modes_and_virtual_outputs(findings_of: FindingsOf) -> None:
    found = findings_of("all_is_well")
    listed = found["listed"]["said"]
    assert f"rtmatte test webcam ({found['node']})" in listed
    assert "MJPG  320x240 at 15, 10, 5 fps; 160x120 at 15, 10, 5 fps" in listed
    assert "rtmatte one (/dev/video10), ready" in listed
    assert "rtmatte two (/dev/video11), ready" in listed
    assert found["listed"]["exit_code"] == 0


def test_doctor_is_content_with_a_sound_loopback(findings_of: FindingsOf) -> None:
    doctor = findings_of("all_is_well")["doctor"]
    assert doctor["exit_code"] == 0
    assert "0.15.0" in doctor["said"]
    assert "rtmatte test webcam" in doctor["said"]


def test_doctor_names_the_fault_of_debian_12s_loopback(findings_of: FindingsOf) -> None:
    """First that the fault is there: the second of two producers finds a device that takes nothing any more."""
    found = findings_of("debian12_fault")
    assert found["capabilities_fresh"] == ["output"]
    assert found["first_producer"] == "sent"
    assert found["capabilities_after_it"] == []
    assert found["second_producer"] != "sent"
    assert found["doctor"]["exit_code"] != 0
    assert "one program's session only" in found["doctor"]["said"]
    assert "sudo modprobe -r v4l2loopback" in found["doctor"]["said"]


def test_a_user_s_command_with_a_shipped_model(findings_of: FindingsOf, machine_outcome: Outcome) -> None:
    """The portrait stays, the wall behind it is gone."""
    found = findings_of("whole_way")
    assert found["exit_code"] == 0
    assert found["status"]["model"] == "selfie"
    assert found["status"]["faults"] == 0
    shown = cv2.imread(str(machine_outcome.folder / "whole_way.png"))
    portrait = cv2.imread(str(machine_outcome.folder / "portrait.png"))
    assert shown is not None
    assert portrait is not None
    is_background = np.abs(shown.astype(int) - BACKGROUND_BGR).max(axis=2) < 20
    assert 0.2 < is_background.mean() < 0.8
    face = np.s_[40:110, 110:170]
    assert np.abs(shown[face].astype(int) - portrait[face]).mean() < 15
