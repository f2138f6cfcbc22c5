"""Programs that look at a virtual camera, as a video call would: one with OpenCV, one with PyAV.

Each runs in a process of its own, since PyAV waits for ever when no more frames come: it can only be killed.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import TracebackType
from typing import Literal, Self, TypeAlias

import numpy as np

from tests.vm.guest.progress import tell
from tests.vm.guest.stamped_picture import Picture, Reading, background_bgr, count_room_pixels, read_stamp
from tests.vm.guest.webcam_process import clock

Library: TypeAlias = Literal["opencv", "pyav"]

_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Seen:
    """What was told from one BGR picture: see `stamped_picture`. `arrived` is in the stamps' unit of time."""

    picture: Picture = field(repr=False)
    reading: Reading
    room_pixels: int
    background: tuple[int, int, int]
    arrived: int


class Viewer:
    """Looks at a device from `with` to its end and remembers everything it saw in `seen`."""

    def __init__(self, library: Library, device: str) -> None:
        self.seen: list[Seen] = []
        self._incoming, outgoing = _FORK.Pipe(duplex=False)
        self._process = _FORK.Process(target=_look, args=(library, device, outgoing), name=library, daemon=True)

    def watch(self, enough: Callable[[list[Seen]], bool], what: str, timeout_s: float = 60) -> list[Seen]:
        """What was seen from now on until it was enough; fails if that doesn't happen in time."""
        self._catch_up()
        before = len(self.seen)
        deadline = time.monotonic() + timeout_s
        while not enough(self.seen[before:]):
            last = self.seen[-3:]
            assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s to see {what}; {len(self.seen)} seen, {last}"
            assert self._process.is_alive(), f"the viewer ended before it saw {what}"
            self._incoming.poll(0.1)
            self._catch_up()
        tell(f"{self._process.name} saw {what}; {len(self.seen) - before} pictures")
        return self.seen[before:]

    def watch_frames(self, count: int, timeout_s: float = 60) -> list[Seen]:
        return self.watch(lambda seen: len(seen) >= count, f"{count} pictures", timeout_s)

    def close(self) -> None:
        """As if its window was closed: the device is free again."""
        self._process.kill()
        self._process.join()

    def _catch_up(self) -> None:
        while self._incoming.poll():
            try:
                self.seen.append(self._incoming.recv())
            except EOFError:  # told by `watch`, which sees that the process has ended
                return

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _look(library: Library, device: str, outgoing: Connection) -> None:
    """Reads in a thread of its own: a reader that is late by all of v4l2loopback's buffers gets them out of order."""
    arrived: SimpleQueue[tuple[Picture, int] | None] = SimpleQueue()

    def read() -> None:
        try:
            for picture in _pictures_opencv(device) if library == "opencv" else _pictures_pyav(device):
                arrived.put((picture, clock()))
        finally:
            arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (item := arrived.get()) is not None:
        picture, moment = item
        outgoing.send(Seen(picture, read_stamp(picture), count_room_pixels(picture), background_bgr(picture), moment))


def _pictures_opencv(device: str) -> Iterator[Picture]:
    """Goes on after a failed read, as a call would."""
    import cv2

    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    assert capture.isOpened(), f"OpenCV can't open {device}"
    while True:
        got, picture = capture.read()
        if got:
            yield picture.astype(np.uint8, copy=False)
        else:
            time.sleep(0.1)


def _pictures_pyav(device: str) -> Iterator[Picture]:
    import av

    with av.open(device, format="v4l2") as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="bgr24").astype(np.uint8, copy=False)
