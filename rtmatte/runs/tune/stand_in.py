"""What the live run does with a frame beside the net, on a drawn scene in place of the camera's: for measuring."""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Event, Thread
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from rtmatte.capture.camera import CLOCK
from rtmatte.capture.mjpeg import MjpegDecoder
from rtmatte.composite.blur import BlurBackground
from rtmatte.composite.compositor import Compositor
from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.matter import Matter
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.output.virtual_camera import VIRTUAL_CAMERA_COLOR
from rtmatte.pool import PicturePool
from rtmatte.runs.live.framing import Framing
from rtmatte.runs.matting_chain import Matted, MattingChain
from rtmatte.runs.scene import draw_scene
from rtmatte.settings import LiveSettings
from rtmatte.temporal.carry import MaskPropagator

_PICTURES = 4
_JPEG_OPTIONS = (cv2.IMWRITE_JPEG_QUALITY, 85, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422)
"""About what webcams send."""
_BLUR = 0.5
_SMALL_WH, _SMALL_MASK_HW = (160, 96), (24, 40)
_JOIN_TIMEOUT_S = 5.0


class StandIn:
    """Webcam frames of somebody in a room, and all stages that follow the net. Owned by one thread at a time.

    The person's true alpha takes the place of what the net says, so that edges have their usual work with any net.
    Background is the blurred room, the one with the most work.
    """

    def __init__(self, settings: LiveSettings, size_wh: tuple[int, int]) -> None:
        self.frame_rate = settings.frame_rate_requested
        self._pool = PicturePool()
        self._decoder = MjpegDecoder()
        self._framing = Framing(size_wh, VIRTUAL_CAMERA_COLOR, self._pool, mirror=settings.mirror)
        plain = replace(settings, plate=None, clean_plate=settings.clean_plate or settings.plate is not None)
        self._chain = MattingChain(RecordedAlpha([]), plain)
        self._compositor = Compositor(BlurBackground(_BLUR), light_wrap=settings.light_wrap)
        self._propagator = MaskPropagator()
        self._alpha_u8 = np.empty(size_wh[::-1], np.uint8)
        self._scenes = [(_jpeg(shown_bgr), alpha_u8) for shown_bgr, alpha_u8 in draw_scene(size_wh, _PICTURES)]
        self._small: dict[tuple[int, ...], list[F32]] = {}
        self._count = 0

    def captured(self) -> Frame:
        """The camera's next frame, decoded as a webcam's is when it is taken."""
        picture = self._decoder.decode(self._scenes[self._count % _PICTURES][0], self._pool)
        assert picture is not None
        self._count += 1
        return Frame(picture, round(self._count / self.frame_rate / CLOCK), CLOCK, self._count)

    def framed(self, captured: Frame) -> Frame:
        """The same as the stages want it; `done` takes it back."""
        return self._framing.frame(captured)

    def alpha(self, frame: Frame, shape_hw: tuple[int, ...]) -> F32:
        """The frame's true alpha at a net's resolution, a copy."""
        if shape_hw not in self._small:
            self._small[shape_hw] = [_small_alpha(alpha_u8, shape_hw) for _, alpha_u8 in self._scenes]
        return self._small[shape_hw][frame.index % _PICTURES].copy()

    def finish(self, frame: Frame, alpha: F32) -> None:
        """Smooth, refine, clear edges, composite."""
        matted = self._chain.smooth(Matted(frame, alpha))
        alpha_u8 = self._chain.refine(matted, self._alpha_u8)
        self._chain.clear_edges(matted, alpha_u8)
        self._compositor.composite(frame, alpha_u8)
        self.done(frame)

    def done(self, frame: Frame) -> None:
        """Gives the picture back."""
        self._pool.release(frame.picture)

    def remember(self, shape_hw: tuple[int, ...]) -> None:
        """As where a carried mask has come from the net."""
        frame = self.framed(self.captured())
        self._propagator.remember(frame.picture, self.alpha(frame, shape_hw))
        self.done(frame)

    def show_carried(self, captured: Frame) -> None:
        """All that is done for a frame that the remembered mask is carried to."""
        frame = self.framed(captured)
        self.finish(frame, self._propagator.propagate(frame.picture))

    def show_own(self, captured: Frame, matter: Matter) -> float:
        """All that is done for a frame with its own mask; returns the seconds that the net took."""
        frame = self.framed(captured)
        begun = time.monotonic()
        shape_hw = matter.estimate(frame).shape
        seconds = time.monotonic() - begun
        self.finish(frame, self.alpha(frame, shape_hw))
        return seconds


def compile_stages(settings: LiveSettings) -> None:
    """Runs all of it once on a small picture: kernels are compiled where they weren't yet, as any run needs them."""
    stand_in = StandIn(settings, _SMALL_WH)
    stand_in.remember(_SMALL_MASK_HW)
    for _ in range(2):
        stand_in.show_carried(stand_in.captured())


class Beside:
    """Carried masks on as many frames a second as are wanted, in a thread of its own, while the block lasts.

    `frame_seconds` is what each frame took. An error in the thread is raised at the end of the block.
    """

    def __init__(self, stand_in: StandIn, shape_hw: tuple[int, ...]) -> None:
        self.frame_seconds: list[float] = []
        self._stand_in = stand_in
        self._shape_hw = shape_hw
        self._closing = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="rtmatte-tune-frames", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(_JOIN_TIMEOUT_S)
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            self._stand_in.remember(self._shape_hw)
            due = time.monotonic()
            while not self._closing.wait(max(0.0, due - time.monotonic())):
                captured = self._stand_in.captured()
                begun = time.monotonic()
                self._stand_in.show_carried(captured)
                self.frame_seconds.append(time.monotonic() - begun)
                due = max(due + 1 / self._stand_in.frame_rate, time.monotonic())
        except BaseException as failure:  # carried to the thread that measures
            self._error = failure


def _small_alpha(alpha_u8: U8, shape_hw: tuple[int, ...]) -> F32:
    """With edges as soft as a net's."""
    alpha = cv2.blur(cv2.resize(alpha_u8, shape_hw[::-1], interpolation=cv2.INTER_AREA), (3, 3))
    return np.multiply(alpha, np.float32(1 / 255), dtype=np.float32)


def _jpeg(shown_bgr: U8) -> U8:
    written, data = cv2.imencode(".jpg", shown_bgr, _JPEG_OPTIONS)
    assert written
    return np.asarray(data, np.uint8).reshape(-1)
