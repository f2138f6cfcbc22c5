"""A webcam in a process of its own, which draws stamped pictures."""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from tests.vm.guest import devices
from tests.vm.guest.progress import tell
from tests.vm.guest.stamped_picture import (
    CLOCK_UNITS_PER_SECOND,
    Picture,
    Stamp,
    draw_stamped_picture,
    to_jpeg,
    to_yuyv,
)
from tests.vm.guest.usb_descriptors import WebcamModel
from tests.vm.guest.usb_webcam import PixelFormat, UsbWebcam

_FORK = multiprocessing.get_context("fork")


def clock() -> int:
    """The guest's time in the stamps' unit, modulo 2**16."""
    return int(time.monotonic() * CLOCK_UNITS_PER_SECOND) & 0xFFFF


class Webcam:
    """Commands go through a pipe, each is answered when it is done. Unplugged at the latest at the end of `with`."""

    def __init__(self, model: WebcamModel | None = None, picture: Picture | None = None) -> None:
        """`picture` of the webcam's default size is sent instead of stamped ones."""
        self.model = model or WebcamModel()
        self._commands, other_end = _FORK.Pipe()
        self._process = _FORK.Process(target=_serve, args=(self.model, other_end, picture), name="webcam", daemon=True)
        self._process.start()

    def plug(self) -> str:
        """The /dev/videoN that appeared."""
        self._command("plug")
        node = devices.wait_for_webcam(self.model.product)
        tell(f"{self.model.product} is plugged in as {node}")
        return node

    def unplug(self) -> None:
        """Returns when its node is gone."""
        self._command("unplug")
        devices.wait_for(lambda: devices.webcam_node(self.model.product) is None, "the webcam to go")
        tell(f"{self.model.product} is unplugged")

    def fall_silent(self) -> None:
        self._command("silence")

    def speak_again(self) -> None:
        self._command("sound")

    def frames_sent(self) -> int:
        return self._command("count")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        devices.wait_for(lambda: devices.webcam_node(self.model.product) is None, "the webcam to go")

    def _command(self, word: str) -> int:
        self._commands.send(word)
        assert self._commands.poll(60), f"expected the webcam to {word}"
        answer: int = self._commands.recv()
        return answer


def _serve(model: WebcamModel, commands: Connection, picture: Picture | None) -> None:
    """Until it is killed, which closes the camera's end of the cable."""

    def draw(number: int, size_wh: tuple[int, int], pixel_format: PixelFormat) -> bytes:
        # From 1 on: a word of zeros only isn't told from a dark picture.
        drawn = draw_stamped_picture(size_wh, Stamp(number % 0xFFFE + 1, clock())) if picture is None else picture
        return to_yuyv(drawn) if pixel_format == "YUYV" else to_jpeg(drawn)

    webcam = UsbWebcam(model, draw)
    while True:
        word = commands.recv()
        if word == "plug":
            webcam.plug()
        elif word == "unplug":
            webcam.unplug()
        elif word in ("silence", "sound"):
            webcam.silent = word == "silence"
        commands.send(webcam.frames_sent)
