"""`rtmatte webcam` from the emulated webcam to a real v4l2loopback device, and what viewers see there meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.vm.guest import devices
from tests.vm.guest.command import finished
from tests.vm.guest.evidence import summary
from tests.vm.guest.live_run import LiveRun, live_arguments
from tests.vm.guest.progress import tell
from tests.vm.guest.stamped_picture import Stamp
from tests.vm.guest.usb_descriptors import WebcamModel
from tests.vm.guest.viewers import Library, Seen, Viewer
from tests.vm.guest.webcam_process import Webcam, clock

BACKGROUND_BGR = (64, 177, 0)
_CAMERA = WebcamModel().product
_LIBRARIES: tuple[Library, ...] = ("opencv", "pyav", "opencv")


def three_starts() -> dict[str, Any]:
    """One run after the other on the same devices, each seen by a viewer and ended with Ctrl-C."""
    _load()
    runs = []
    with Webcam() as webcam:
        webcam.plug()
        for library in _LIBRARIES:
            with LiveRun(_CAMERA) as run:
                run.wait_for_first_card()
                with Viewer(library, devices.LOOPBACK) as viewer:
                    viewer.watch(_stamps(12), "twelve stamps")
                exit_code, seconds_to_end = run.interrupt()
            runs.append(
                {
                    "library": library,
                    **summary(viewer.seen),
                    "exit_code": exit_code,
                    "seconds_to_end": seconds_to_end,
                    "loopback_afterwards": sorted(devices.capabilities(devices.LOOPBACK)),
                    "status": run.status(),
                }
            )
    return {"runs": runs}


def unplug_and_replug() -> dict[str, Any]:
    """The cable is pulled while it runs, another webcam takes the old /dev/videoN, then the first one comes back."""
    _load()
    with Webcam() as webcam, Webcam(WebcamModel("another webcam", "0002")) as another:
        first_node = webcam.plug()
        with LiveRun(_CAMERA) as run:
            run.wait_for_first_card()
            with Viewer("opencv", devices.LOOPBACK) as viewer:
                before = viewer.watch(_stamps(5), "pictures of the webcam")
                webcam.unplug()
                unplugged = viewer.watch(_cards_last(5), "cards after the cable was pulled")
                lost = run.wait_until(camera_state="lost")
                another_node = another.plug()
                replugged_at = clock()
                second_node = webcam.plug()
                plugged_at = clock()
                replugged = viewer.watch(_stamps(5), "pictures after the webcam came back")
                status = run.wait_until(camera_state="running")
            exit_code, _ = run.interrupt()
    return {
        "before": summary(before),
        "unplugged": summary(unplugged),
        "replugged": summary(replugged),
        "most_room_pixels": max(seen.room_pixels for seen in viewer.seen),
        "told": lost["camera_detail"],
        "reopened": status["reopened"],
        "nodes": {"first": first_node, "another": another_node, "second": second_node},
        "seconds_from_plugging_to_picture": _first_stamp_after(replugged, replugged_at),
        "seconds_from_node_to_picture": _first_stamp_after(replugged, plugged_at),
        "exit_code": exit_code,
    }


def silent_webcam() -> dict[str, Any]:
    """It stays plugged in and sends nothing, then goes on."""
    _load()
    with Webcam() as webcam:
        webcam.plug()
        with LiveRun(_CAMERA) as run:
            run.wait_for_first_card()
            with Viewer("opencv", devices.LOOPBACK) as viewer:
                viewer.watch(_stamps(3), "pictures of the webcam")
                webcam.fall_silent()
                silent = viewer.watch(_cards_last(5), "cards while it is silent")
                lost = run.wait_until(camera_state="lost")
                webcam.speak_again()
                again = viewer.watch(_stamps(3), "pictures again")
            exit_code, _ = run.interrupt()
    return {
        "silent": summary(silent),
        "again": summary(again),
        "most_room_pixels": max(seen.room_pixels for seen in viewer.seen),
        "told": lost["camera_detail"],
        "exit_code": exit_code,
    }


def busy_webcam() -> dict[str, Any]:
    """Another program streams from it first, and lets go of it later."""
    _load()
    with Webcam() as webcam:
        node = webcam.plug()
        with Viewer("opencv", node) as other_program:
            other_program.watch_frames(3)
            with LiveRun(_CAMERA) as run:
                lost = run.wait_until(camera_state="lost")
                run.wait_for_first_card()
                with Viewer("opencv", devices.LOOPBACK) as viewer:
                    busy = viewer.watch_frames(5)
                    other_program.close()
                    free = viewer.watch(_stamps(3), "pictures once the other program has ended")
                exit_code, _ = run.interrupt()
    return {"busy": summary(busy), "free": summary(free), "told": lost["camera_detail"], "exit_code": exit_code}


def forbidden_and_missing_webcams() -> dict[str, Any]:
    """A webcam that this user may not open; a name that fits none; then none at all, until one is plugged in."""
    _load()
    with Webcam() as webcam:
        node = webcam.plug()
        Path(node).chmod(0)
        Path(devices.LOOPBACK).chmod(0o666)
        _open_the_way_to_python()
        with LiveRun(_CAMERA, as_nobody=True) as forbidden:
            forbidden_exit_code = forbidden.wait_for_end()
        with LiveRun("no such webcam") as missing:
            missing_exit_code = missing.wait_for_end()
        webcam.unplug()
        with LiveRun("default") as run:
            nothing = run.wait_until(camera_state="lost")
            run.wait_for_first_card()
            with Viewer("opencv", devices.LOOPBACK) as viewer:
                cards = viewer.watch_frames(5)
                webcam.plug()
                plugged = viewer.watch(_stamps(3), "pictures of the webcam that was plugged in")
            exit_code, _ = run.interrupt()
    return {
        "forbidden": {"exit_code": forbidden_exit_code, "said": forbidden.said},
        "missing": {"exit_code": missing_exit_code, "said": missing.said},
        "none": {"told": nothing["camera_detail"], **summary(cards)},
        "plugged": summary(plugged),
        "exit_code": exit_code,
    }


def output_faults() -> dict[str, Any]:
    """Nobody watches, somebody does again; the module can't go while it is used; its node is made anew."""
    _load()
    with Webcam() as webcam:
        webcam.plug()
        with LiveRun(_CAMERA) as run:
            run.wait_for_first_card()
            with Viewer("opencv", devices.LOOPBACK) as viewer:
                viewer.watch(_stamps(3), "pictures")
            unwatched = run.wait_until(watched=False, showing="idle: nobody is watching")
            with Viewer("opencv", devices.LOOPBACK) as viewer:
                viewer.watch(_stamps(3), "pictures for the second viewer")
            unloading = subprocess.run(["rmmod", "v4l2loopback"], capture_output=True, text=True)
            number = Path(devices.LOOPBACK).stat().st_rdev
            Path(devices.LOOPBACK).unlink()
            devices.wait_for(lambda: run.status()["output_faults"] > 0, "the lost device to be noticed")
            lost = run.status()
            os.mknod(devices.LOOPBACK, 0o20660, number)
            run.wait_until(output_problem="")
            with Viewer("opencv", devices.LOOPBACK) as viewer:
                back = viewer.watch(_stamps(3), "pictures on the new node")
            exit_code, _ = run.interrupt()
    return {
        "unwatched": unwatched,
        "rmmod_exit_code": unloading.returncode,
        "told": lost["output_problem"],
        "back": summary(back),
        "exit_code": exit_code,
    }


def all_is_well() -> dict[str, Any]:
    """What `rtmatte cameras list` and `rtmatte doctor` say with a webcam and two unused loopback devices."""
    _load()
    with Webcam() as webcam:
        node = webcam.plug()
        listed = finished("cameras", "list")
        doctor = finished("doctor", "--call")
    return {"node": node, "listed": listed, "doctor": doctor}


def whole_way() -> dict[str, Any]:
    """The command as a user starts it, in a Python of its own, with a shipped model and a portrait before the webcam.

    Emulated, the net takes eight seconds for a frame, and cards are shown between its pictures: few of them a second,
    so that the viewer keeps up and misses no picture. The last that it saw is left in /out.
    """
    _load()
    portrait = cv2.imread(os.environ["RTMATTE_VM_PORTRAIT"])
    assert portrait is not None
    with Webcam(picture=portrait.astype(np.uint8)) as webcam:
        webcam.plug()
        command = [sys.executable, "-m", "rtmatte", *live_arguments(_CAMERA, "selfie", frame_rate=5), "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        devices.wait_for(lambda: "capture" in devices.capabilities(devices.LOOPBACK), "a first picture", 120)
        with Viewer("opencv", devices.LOOPBACK) as viewer:
            seen = viewer.watch(_colored(BACKGROUND_BGR, 3), "three pictures that are no cards", 180)
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=60)
    tell(said)
    cv2.imwrite("/out/whole_way.png", seen[-1].picture)
    return {
        "exit_code": process.returncode,
        "said": said,
        "status": json.loads(printed),
    }


def _load() -> None:
    devices.load_loopback("new")
    devices.load_usb_webcams()


def _stamps(count: int) -> Callable[[list[Seen]], bool]:
    return lambda seen: len({picture.reading for picture in seen if isinstance(picture.reading, Stamp)}) >= count


def _cards_last(count: int) -> Callable[[list[Seen]], bool]:
    return lambda seen: len(seen) >= count and all(picture.reading is None for picture in seen[-count:])


def _colored(color: tuple[int, int, int], count: int) -> Callable[[list[Seen]], bool]:
    """So many pictures whose corner has that colour: cards are darker."""

    def enough(seen: list[Seen]) -> bool:
        corners = [picture.picture[2, 2].astype(int) for picture in seen]
        return sum(bool(np.abs(corner - color).max() < 12) for corner in corners) >= count

    return enough


def _first_stamp_after(seen: list[Seen], moment: int) -> float:
    """Seconds from the moment to the arrival of the first picture captured after it."""
    first = next(
        picture for picture in seen if isinstance(picture.reading, Stamp) and picture.reading.captured >= moment
    )
    return round((first.arrived - moment) / 100, 2)


def _open_the_way_to_python() -> None:
    """Nobody may read the interpreter and the checkout, wherever they are: only this guest's overlay changes."""
    for place in (sys.prefix, sys.base_prefix, str(Path.cwd()), os.environ["RTMATTE_VM_KEY_MODEL"]):
        for folder in Path(place).parents:
            folder.chmod(folder.stat().st_mode | 0o055)
