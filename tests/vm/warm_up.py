"""Compiles the kernels for the guest's processor beforehand: in there it would take minutes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2

from tests.vm.guest.stamped_picture import Stamp, draw_stamped_picture
from tests.vm.image import MachineImage

_SIZE_WH = (320, 240)
_FRAME_RATE = 15
_TIMEOUT_S = 120


def guest_environment(image: MachineImage, key_model: Path) -> dict[str, str]:
    """Variables for the guest: kernels for any x86-64 processor, from a cache that was filled outside."""
    return {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(image.folder / "numba"),
        "RTMATTE_VM_KEY_MODEL": str(key_model),
    }


def warm_up(image: MachineImage, key_model: Path, folder: Path) -> None:
    """A short live run out here, from a clip of test pictures into nothing, with the guest's settings of numba."""
    clip = folder / "warm_up.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), _FRAME_RATE, _SIZE_WH)
    for number in range(1, 2 * _FRAME_RATE):
        writer.write(draw_stamped_picture(_SIZE_WH, Stamp(number, number)))
    writer.release()
    live = [
        *("rtmatte", "webcam", "--camera", f"file:{clip}", "--size", f"{_SIZE_WH[0]}x{_SIZE_WH[1]}"),
        *("--output", "null", "--background", "#00b140", "--model", str(key_model), "--smoothing", "0"),
        *("--when-slow", "drop", "--no-idle", "--loop", "--seconds", str(_TIMEOUT_S)),
    ]
    _run(image, key_model, "tests.vm.guest.preload")
    _run_until(image, key_model, "showing the picture", *live)


def _run(image: MachineImage, key_model: Path, *module_and_arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *module_and_arguments],
        env={**os.environ, **guest_environment(image, key_model)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _run_until(image: MachineImage, key_model: Path, line_begins: str, *module_and_arguments: str) -> None:
    """Ends the program once it says so: the first picture is there when the last kernel is compiled."""
    said = []
    with subprocess.Popen(
        [sys.executable, "-m", *module_and_arguments],
        env={**os.environ, **guest_environment(image, key_model)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            said.append(line)
            if line.startswith(line_begins):
                running.terminate()
    assert running.returncode == 0, said
    assert any(line.startswith(line_begins) for line in said), said
