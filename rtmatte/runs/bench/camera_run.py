"""A case on a camera: the program's own live run, watched from outside, into a device that only counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from threading import Event
from types import TracebackType
from typing import Any, Self, cast

from rtmatte.capture.camera import Camera
from rtmatte.capture.open_camera import open_camera
from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.matter import Matter
from rtmatte.matting.preparing import seconds_preparing
from rtmatte.output.fake_virtual_camera import CountingCamera
from rtmatte.pool import PicturePool
from rtmatte.runs.bench.cases import Case
from rtmatte.runs.bench.file_run import Load, Used
from rtmatte.runs.bench.recorder import Recorder
from rtmatte.runs.live.run import run_live
from rtmatte.runs.live.status import LiveStatus
from rtmatte.settings import LiveSettings

STAGES = ("decode", "framing", "resize", "estimate", "smooth", "refine", "composite", "send")
_DEVICE = "a device that counts"
COMPOSING = STAGES[:-1]
"""One thread of the live run does these in turn."""


def run_camera(
    case: Case,
    camera: str,
    background: str,
    load: Load,
    recorder: Recorder,
    should_stop: Callable[[], bool],
) -> Used:
    """Runs until `recorder` has enough or `should_stop()`. The model looks at every frame that is shown: no mask is
    carried on by optical flow, however slow it is.

    Raises: what `run_live` raises.
    """
    settings = LiveSettings(
        camera=camera,
        loop=True,
        size_wh=case.size_wh,
        backgrounds=(background,),
        when_slow="drop",
        idle=False,
    )
    stop = Event()
    watch = _Watch(recorder, stop)

    def open_it(pool: PicturePool) -> Camera:
        opened = open_camera(camera, case.size_wh or (1280, 720), settings.frame_rate_requested, True, pool)
        return cast(Camera, _TimedCamera(opened, watch))

    def on_status(_status: LiveStatus) -> None:
        if should_stop():
            stop.set()

    def load_it() -> Matter:
        matter = load(case.model, device=case.device, threads=case.threads, sample_aspect_ratio=Fraction(1))
        return _TimedMatter(matter, watch)

    status = run_live(
        settings,
        camera=open_it,
        output=partial(_TimedOutput, watch=watch),
        matter=load_it,
        on_status=on_status,
        on_stage=recorder.stage,
        stop=stop,
    )
    return Used(status.size_wh, status.model, status.provider, _DEVICE, device_notices=status.device_notices)


class _Watch:
    """Puts together what is seen of a frame, known by its moment of capture in nanoseconds.

    Decoding, estimating and arriving at the device are seen by the wrappers below; the run tells of the other stages.
    """

    def __init__(self, recorder: Recorder, stop: Event) -> None:
        self.recorder = recorder
        self._stop = stop
        self._estimated: set[int] = set()

    def decoded(self, captured_ns: int, asked_at: float) -> None:
        """From the capture on, if it was being waited for; else from the moment when it was asked for."""
        captured_at = captured_ns / 1e9
        self.recorder.stage("decode", max(asked_at, captured_at), time.monotonic())
        self.recorder.entered(captured_ns, captured_at)

    def estimated(self, captured_ns: int, begin: float, resizing_s: float) -> None:
        self.recorder.estimated(begin, time.monotonic(), resizing_s)
        self._estimated.add(captured_ns)

    def sent(self, captured_ns: int, begin: float) -> None:
        if captured_ns not in self._estimated:
            return  # a card
        self._estimated -= {other for other in list(self._estimated) if other <= captured_ns}
        self.recorder.stage("send", begin, time.monotonic())
        self.recorder.left(captured_ns)
        if self.recorder.enough:
            self._stop.set()


class _TimedCamera:
    """The camera itself, but for `newest`."""

    def __init__(self, camera: Camera, watch: _Watch) -> None:
        self._camera, self._watch = camera, watch

    def newest(self, timeout_s: float) -> Frame | None:
        asked_at = time.monotonic()
        frame = self._camera.newest(timeout_s)
        if frame is not None:
            self._watch.decoded(frame.pts, asked_at)
        return frame

    def __getattr__(self, name: str) -> Any:
        return getattr(self._camera, name)

    def __enter__(self) -> Self:
        self._camera.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._camera.__exit__(kind, error, trace)


class _TimedMatter:
    def __init__(self, matter: Matter, watch: _Watch) -> None:
        self.name, self.provider = matter.name, matter.provider
        self.asks, self._watch = matter, watch

    def estimate(self, frame: Frame) -> F32:
        begin, resized = time.monotonic(), seconds_preparing()
        alpha = self.asks.estimate(frame)
        self._watch.estimated(frame.pts, begin, seconds_preparing() - resized)
        return alpha

    def reset(self) -> None:
        self.asks.reset()


class _TimedOutput(CountingCamera):
    def __init__(self, size_wh: tuple[int, int], *, watch: _Watch) -> None:
        super().__init__(size_wh)
        self._watch = watch

    def send(self, frame: Frame, alpha_u8: U8 | None = None) -> None:
        begin = time.monotonic()
        super().send(frame, alpha_u8)
        self._watch.sent(frame.pts, begin)
