"""The preview in a real window of a virtual X server; the child process is the program, this one the user."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from rtmatte.color import yuv_of_rgb
from rtmatte.errors import SettingsError
from rtmatte.frame import U8
from rtmatte.output.display import display_available
from rtmatte.output.preview import Preview
from rtmatte.output.virtual_camera import VIRTUAL_CAMERA_COLOR
from rtmatte.runs.live.actions import Action
from rtmatte.runs.live.keys import ACTION_OF_KEY, HELP, KEYS

ROOT = Path(__file__).parents[1]
PICTURE_BGR, BEFORE_BGR = (66, 133, 201), (181, 92, 40)


def _yuv(bgr: tuple[int, int, int]) -> tuple[int, int, int]:
    return yuv_of_rgb((bgr[2], bgr[1], bgr[0]), VIRTUAL_CAMERA_COLOR, 180)


CHILD = f"""
import hashlib, time
from rtmatte.frame import I420
from rtmatte.output.preview import Preview
from rtmatte.output.virtual_camera import VIRTUAL_CAMERA_COLOR
from rtmatte.runs.live.keys import ACTION_OF_KEY, HELP

def plain(yuv):
    picture = I420.allocate((320, 180), VIRTUAL_CAMERA_COLOR)
    for plane, value in zip(picture.planes, yuv):
        plane.fill(value)
    return picture

picture, before = plain({_yuv(PICTURE_BGR)}), plain({_yuv(BEFORE_BGR)})
digest = hashlib.sha256(picture.buffer).hexdigest()
window, split, deadline = Preview("rtmatte", HELP), False, time.monotonic() + 60
while not window.closed:
    assert time.monotonic() < deadline
    window.show(picture, before if split else None)
    action = ACTION_OF_KEY.get(window.key() or "")
    if action:
        print(action, flush=True)
    split ^= action == "split"
    window.help_shown ^= action == "help"
    if action == "quit":
        window.close()
    time.sleep(0.02)
window.close()
assert hashlib.sha256(picture.buffer).hexdigest() == digest, "something was drawn into the picture"
print("closed", window.closed, window.key(), flush=True)
"""


@dataclass
class Screen:
    """A virtual X server whose screen can be read."""

    display: str
    folder: Path

    def pixels(self) -> U8:
        """(H, W, 3) uint8 BGR of the whole screen, out of the server's own XWD file."""
        raw = np.fromfile(self.folder / "Xvfb_screen0", np.uint8)
        header = raw[:100].view(">u4")
        start, width, height, line = int(header[0] + header[19] * 12), int(header[4]), int(header[5]), int(header[12])
        return raw[start : start + height * line].reshape(height, line // 4, 4)[:, :width, :3]

    def wait_for(self, what: Callable[[U8], bool]) -> U8:
        deadline = time.monotonic() + 40
        while not what(seen := self.pixels()):
            assert time.monotonic() < deadline, "the screen never showed it"
            time.sleep(0.05)
        return seen

    def press(self, key: str) -> None:
        self._xdotool("search", "--sync", "--onlyvisible", "--name", "^rtmatte$", "windowfocus", "key", key)

    def close_window(self) -> None:
        """What a window manager does when its cross is clicked."""
        window = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", "^rtmatte$"],
            env=os.environ | {"DISPLAY": self.display},
            check=True,
            capture_output=True,
        )
        _ask_to_close(self.display, int(window.stdout.split()[-1]))

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=os.environ | {"DISPLAY": self.display}, check=True, timeout=20)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} isn't installed (apt install xvfb xdotool)")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "640x480x24", "-fbdir", str(tmp_path), "-noreset"],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            number = numbers.readline().strip()
        assert number, "Xvfb didn't start"
        yield Screen(f":{number}", tmp_path)
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def program(screen: Screen) -> Iterator[subprocess.Popen[str]]:
    """The child, its window painted.

    Without a window manager, OpenCV's Qt now and then never paints its window: so did 2 of 30 loops of nothing but
    `cv2.imshow` and `cv2.waitKey`. Those are started again.
    """
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            env=os.environ | {"DISPLAY": screen.display, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 8
        while not (painted := bool(_like(screen.pixels(), PICTURE_BGR).any())) and time.monotonic() < deadline:
            assert child.poll() is None, child.communicate()[1]
            time.sleep(0.05)
        if painted:
            break
        child.kill()
        child.communicate()
    else:
        pytest.fail("the window was never painted")
    yield child
    if child.poll() is None:
        child.kill()
    child.communicate()


class _ClientMessage(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("padding", ctypes.c_long * 24),
    )


def _ask_to_close(display_name: str, window: int) -> None:
    x11 = ctypes.CDLL(ctypes.util.find_library("X11"))  # xdotool needs it too
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(display_name.encode()))
    protocols, delete = (x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    message = _ClientMessage(type=33, window=window, message_type=protocols, format=32)
    message.data[0] = delete
    x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XCloseDisplay(display)


def _like(pixels: U8, bgr: tuple[int, int, int]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    close: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = (np.abs(pixels.astype(int) - bgr) <= 4).all(axis=2)
    return close


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


def test_pictures_split_help_and_keys(screen: Screen, program: subprocess.Popen[str]) -> None:
    seen = screen.wait_for(lambda pixels: bool(_like(pixels, PICTURE_BGR).sum() > 320 * 180 * 0.9))
    assert not _like(seen, BEFORE_BGR).any()
    size = int(_like(seen, PICTURE_BGR).sum())

    screen.press("x")
    assert _line(program.stdout) == "split"
    seen = screen.wait_for(lambda pixels: bool(_like(pixels, BEFORE_BGR).sum() > size * 0.45))
    before, after = np.nonzero(_like(seen, BEFORE_BGR))[1], np.nonzero(_like(seen, PICTURE_BGR))[1]
    assert before.max() < after.min()
    assert abs(len(before) - len(after)) < 0.05 * size

    screen.press("h")
    assert _line(program.stdout) == "help"
    seen = screen.wait_for(lambda pixels: not _like(pixels, PICTURE_BGR).any())
    assert 0.0005 * size < _like(seen, (255, 255, 255)).sum() < 0.3 * size
    screen.press("h")
    assert _line(program.stdout) == "help"
    screen.wait_for(lambda pixels: bool(_like(pixels, PICTURE_BGR).any()))

    for key, action in (("b", "next-background"), ("bracketleft", "less-blur"), ("bracketright", "more-blur")):
        screen.press(key)
        assert _line(program.stdout) == action
    screen.press("q")
    assert _line(program.stdout) == "quit"
    assert _line(program.stdout) == "closed True None"
    assert program.wait(20) == 0
    assert _line(program.stderr) == ""


def test_a_window_closed_by_hand_is_noticed(screen: Screen, program: subprocess.Popen[str]) -> None:
    screen.close_window()
    assert _line(program.stdout) == "closed True None"
    assert program.wait(20) == 0


def test_without_a_display_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems always have one")
    monkeypatch.setenv("DISPLAY", ":4999")
    with pytest.raises(SettingsError, match=r"expected an X server at \$DISPLAY, got :4999\. Leave --preview away"):
        Preview("rtmatte")
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(SettingsError, match=r"got no \$DISPLAY"):
        Preview("rtmatte")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_a_display_is_one_that_takes_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if port >= 6000:
            assert display_available({"DISPLAY": f"127.0.0.1:{port - 6000}.0"})
    assert not display_available({"DISPLAY": f"127.0.0.1:{port - 6000}"})
    for nonsense in ("", "nonsense", ":x", "host:"):
        assert not display_available({"DISPLAY": nonsense})
    assert not display_available({"WAYLAND_DISPLAY": "wayland-0"})


def test_the_keys_are_different_and_in_the_help() -> None:
    from typing import get_args

    assert len(ACTION_OF_KEY) == len(KEYS)
    assert set(ACTION_OF_KEY.values()) == set(get_args(Action))
    assert tuple((key.character, key.help) for key in KEYS) == HELP
