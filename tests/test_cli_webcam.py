"""`rtmatte webcam` as a user meets it; every run is a real process, without a device."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import clips
from tests.test_cli import ROOT, rtmatte

_SHORT = ["--output", "null", "--size", "320x240", "--background", "#00b140", "--model", "selfie"]


def test_a_pattern_into_nothing() -> None:
    done = rtmatte("webcam", "--camera", "pattern", *_SHORT, "--seconds", "4", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert status["captured"] > 10
    assert status["sent"] + status["cards"] > 10
    assert status["size_wh"] == [320, 240]
    assert "test pattern" in done.stderr
    assert "\r" not in done.stderr, "no terminal, no line that is written over"


def test_a_file_ends_the_run_and_the_report_says_what_happened(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "in.mp4", frame_count=40)
    done = rtmatte("webcam", "--camera", f"file:{clip}", *_SHORT, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert re.search(r"captured 40, dropped \d+", done.stderr), done.stderr
    assert re.search(r"selfie on CPUExecutionProvider, .* \(the CPU was asked for\)", done.stderr), done.stderr
    assert done.stdout == ""
    quiet = rtmatte("webcam", "--camera", f"file:{clip}", *_SHORT, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_in_good_order(which: signal.Signals, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "rtmatte", "webcam", "--camera", "pattern", *_SHORT],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        # A parent that ignores Ctrl-C, as CI's may, would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert running.stderr is not None
    line = ""
    while not line.startswith("showing"):
        line = running.stderr.readline()
        assert line, "ended by itself"
    time.sleep(0.3)
    running.send_signal(which)
    stdout, stderr = running.communicate(timeout=20)
    assert running.returncode == 0, stderr
    assert "frames and" in stderr, "the report"
    assert stdout == ""


def test_a_device_that_is_not_here_is_told_before_cameras_are_looked_for() -> None:
    device = "directml" if sys.platform == "darwin" else "coreml"
    done = rtmatte("webcam", "--camera", "nobody's", "--output", "/dev/video87", "--device", device)
    assert done.returncode == 5, done.stderr
    assert {"coreml": "Core ML", "directml": "DirectML"}[device] in done.stderr
    assert "nobody's" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--camera", "a camera that nobody has", "--output", "null"], 3, "a camera that nobody has"),
        (["--camera", "file:nowhere.mp4", "--output", "null"], 3, "nowhere.mp4"),
        (["--camera", "pattern", "--output", "/dev/video87"], 4, "modprobe|OBS"),
        (["--camera", "pattern", "--output", "null", "--size", "wide"], 2, "1280x720"),
        (["--camera", "pattern", "--output", "null", "--size", "641x480"], 2, "even"),
        (["--camera", "pattern", "--output", "null", "--background", "none"], 2, "transparent"),
        (["--camera", "pattern", "--output", "null", "--model", "nope"], 5, "u2netp"),
        (["--camera", "pattern", "--output", "null", "--safe-frame", "nowhere.png"], 3, "nowhere.png"),
        (["--camera", "pattern", "--output", "null", "--stats", "no/where.jsonl"], 4, "where.jsonl"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line_or_two(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    done = rtmatte("webcam", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4
