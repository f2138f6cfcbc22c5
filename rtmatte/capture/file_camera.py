"""A video file as a camera: `file:talk.mp4`."""

from __future__ import annotations

import contextlib
import threading
import time
from fractions import Fraction
from pathlib import Path

from rtmatte.capture.raw_frame import WEBCAM_COLOR
from rtmatte.capture.threaded_camera import PictureCamera
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.channel import Cancelled, Channel
from rtmatte.color import recolor
from rtmatte.frame import I420
from rtmatte.pool import PicturePool

_PREFETCHED = 3
_USUAL_STEP = Fraction(1, 25)
_DECODE_AFTER_S = 0.02
"""At most so long, and half an interval, after a frame was delivered the next one may be decoded."""
_LATE_SECONDS = 0.25
"""Further behind than this the file goes on from where it is, instead of catching up in a burst."""


class FileCamera(PictureCamera):
    """Plays a file by its own time stamps, as a camera would: nobody is waited for, frames nobody takes are dropped.

    A second thread, `rtmatte-camera-decode`, decodes a few frames ahead, so that frames come on time and the loop has
    no seam, and in the colours in which webcams deliver. The granted size is the file's own, whatever was asked for.

    Raises, on making it: what `VideoFileSource` raises.
    """

    def __init__(self, path: str | Path, loop: bool, pool: PicturePool) -> None:
        self.path = Path(path)
        super().__init__(self.path.name, f"file:{self.path}", pool)
        self._loop = loop
        self._first: VideoFileSource | None = self._opened()
        self.size_wh = self._first.format.size_wh
        self._frame_rate = self._first.format.frame_rate_reported
        self._failure: Exception | None = None

    def close(self) -> None:
        """Ends both threads and closes the file; may be called twice."""
        super().close()
        if self._first is not None:
            self._first.close()

    def _run(self) -> None:
        assert self.size_wh is not None
        rate = f", {float(self._frame_rate):.4g} fps" if self._frame_rate else ""
        self._tell("running", f"{self.size_wh[0]}x{self.size_wh[1]} from {self.name}{rate}")
        prefetched: Channel[tuple[I420, Fraction]] = Channel(_PREFETCHED)
        decoder = threading.Thread(target=self._decode, args=(prefetched,), name="rtmatte-camera-decode", daemon=True)
        decoder.start()
        try:
            self._play(prefetched)
        finally:
            prefetched.cancel()
            decoder.join()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if not self._closing.is_set():
            self._tell("ended", f"{self.name} is through")

    def _play(self, prefetched: Channel[tuple[I420, Fraction]]) -> None:
        """Delivers every picture when it is due."""
        began: float | None = None
        last = Fraction(0)
        for picture, seconds in prefetched:
            began = time.monotonic() if began is None else began
            wait = began + float(seconds) - time.monotonic()
            if wait < -_LATE_SECONDS:
                began -= wait
            if self._closing.wait(max(0.0, wait)):
                self._discard(picture)
                return
            self._deliver(picture)
            # Taking the next one makes room for the decoder, whose work would slow down what is now done with this one.
            self._closing.wait(min(float(seconds - last) / 2, _DECODE_AFTER_S) if wait > 0 else 0)
            last = seconds

    def _decode(self, prefetched: Channel[tuple[I420, Fraction]]) -> None:
        """Puts every picture and the second at which it is due, counted from the first of all, once or for ever."""
        start = Fraction(0)
        with contextlib.suppress(Cancelled):
            try:
                source, self._first = self._first or self._opened(), None
                with source:
                    start = self._decode_once(source, prefetched, start)
                    while self._loop:
                        source.rewind()
                        start = self._decode_once(source, prefetched, start)
            except Cancelled:
                raise
            except Exception as error:  # told and tried again by the thread that plays
                self._failure = error
            prefetched.close()

    def _decode_once(
        self, source: VideoFileSource, prefetched: Channel[tuple[I420, Fraction]], start: Fraction
    ) -> Fraction:
        """One pass that begins at second `start`; returns where the next one begins."""
        step = 1 / source.format.frame_rate_reported if source.format.frame_rate_reported else _USUAL_STEP
        first: Fraction | None = None
        end = start + step
        for frame in source:
            assert isinstance(frame.picture, I420)
            picture = I420.over(frame.picture.buffer, frame.picture.size_wh, WEBCAM_COLOR)
            recolor(picture, frame.picture.color, frame.picture.size_wh[1])
            first = frame.pts_seconds if first is None else first
            due = start + frame.pts_seconds - first
            end = due + (frame.duration * frame.time_base if frame.duration else step)
            prefetched.put((picture, due))
        return end

    def _opened(self) -> VideoFileSource:
        # On one core, since a camera's decoding must not delay, in bursts, what is done with the frame before.
        return VideoFileSource(self.path, pool=self._pool, threads=1)
