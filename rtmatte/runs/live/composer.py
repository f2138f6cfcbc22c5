"""From the newest camera frame to a composite, or to the reason why there is none.

newest frame ──► framing ──► masks ──► guard, presence ──► smooth ──► refine ──► composite ──► sender
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeAlias

from rtmatte.capture.camera import Camera
from rtmatte.composite.compositor import Compositor
from rtmatte.errors import ModelError
from rtmatte.frame import I420, ColorTags, Frame
from rtmatte.matting.matter import Matter, device_notices, why_there
from rtmatte.pool import PicturePool
from rtmatte.runs.live.actions import Action
from rtmatte.runs.live.cpu_cap import CpuCap
from rtmatte.runs.live.framing import Framing
from rtmatte.runs.live.guard import Guard
from rtmatte.runs.live.mask_policy import MaskPolicy
from rtmatte.runs.live.masks import CarriedMasks, Masks, OwnMasks, patience_s
from rtmatte.runs.live.presence import Presence
from rtmatte.runs.live.scenery import Scenery
from rtmatte.runs.live.sender import Composite, Sender, ToSend, Withheld
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.settings import LiveSettings
from rtmatte.stats import RecentLatency

OnStage: TypeAlias = Callable[[str, float, float], None]
"""Gets a stage's name ("framing", "smooth", "refine", "composite"), and when it began and ended with a frame, in
seconds of `time.monotonic`."""

PAUSED, AWAY = "One moment", "Be right back"
_WAIT_S = 0.25
_GAP_S = 0.5
"""After so long without a frame the past is forgotten."""
_FAULTS_BEFORE_RELOAD = 3
_RELOAD_AFTER_S = (0.5, 1.0, 2.0, 5.0)
_JOIN_TIMEOUT_S = 0.6


class Composer:
    """Thread `rtmatte-compose`: loads the model, then turns every frame that it gets hold of into what is to be sent.

    Nothing that goes wrong with a frame ends it: the frame is withheld, the fault told by `fault`, the model loaded
    anew after several in a row. Only a model that can't be loaded in the first place ends it, with `error`.
    """

    def __init__(
        self,
        camera: Camera,
        load: Callable[[], Matter],
        scenery: Scenery,
        sender: Sender,
        pool: PicturePool,
        settings: LiveSettings,
        *,
        policy: MaskPolicy,
        size_wh: tuple[int, int],
        color: ColorTags,
        cap: CpuCap,
        on_stage: OnStage | None = None,
    ) -> None:
        self.busy = RecentLatency()
        self.faults = 0
        self.fault = ""
        self.fault_trace = ""
        self.model = self.provider = ""
        self.device_notices: tuple[str, ...] = ()
        self.paused = False
        self.split = False
        self.ended = False
        self.error: BaseException | None = None
        self.actions: SimpleQueue[Action] = SimpleQueue()
        self.policy = policy
        self.masks: Masks | None = None
        self._camera = camera
        self._load = load
        self._scenery = scenery
        self._sender = sender
        self._pool = pool
        self._settings = settings
        self._cap = cap
        self._on_stage = on_stage
        self._framing = Framing(size_wh, color, pool, mirror=settings.mirror)
        self._guard = Guard()
        self._presence = Presence(settings.away_after_s)
        self._compositor = Compositor(scenery.background, light_wrap=settings.light_wrap)
        self._alpha_u8 = pool.acquire_alpha(size_wh)
        self._smoothing = True
        self._matter: Matter | None = None
        self._chain: MattingChain | None = None
        self._last_seconds = 0.0
        self._faults_in_a_row = self._reloads = 0
        self._not_before = 0.0
        self._closing = Event()
        self._thread = Thread(target=self._run, name="rtmatte-compose", daemon=True)
        self._thread.start()

    @property
    def background_name(self) -> str:
        return self._scenery.background.name

    @property
    def provider_reason(self) -> str:
        """Why the model runs where it does, as it is now; "" before it is loaded."""
        return why_there(self._matter) if self._matter is not None else ""

    def close(self) -> None:
        """Ends the thread; a model that hangs in foreign code is left to the process's end. May be called twice."""
        self._closing.set()
        at_work = [self.busy] if self.masks is None else [self.busy, self.masks.times]
        self._thread.join(_JOIN_TIMEOUT_S + max(map(patience_s, at_work)))

    def _run(self) -> None:
        try:
            self._begin(self._load())
            while not self._closing.is_set():
                self._step()
        except BaseException as error:  # carried to the caller, whatever it is
            self.error = error
        finally:
            if self.masks is not None:
                self.masks.close()

    def _begin(self, matter: Matter) -> None:
        self._matter, self.model, self.provider = matter, matter.name, matter.provider
        self.device_notices = device_notices(matter)
        self._chain = MattingChain(matter, self._settings)
        self._use_masks()

    def _use_masks(self) -> None:
        if self.masks is not None:
            self.masks.close()
        assert self._matter is not None
        self.masks = CarriedMasks(self._matter, self._pool) if self.policy.carries else OwnMasks(self._matter)

    def _step(self) -> None:
        self._obey()
        self._cap.pause()  # before the frame is taken, so that none grows old meanwhile
        captured = self._camera.newest(_WAIT_S)
        if captured is None:
            self.ended = self._camera.status().state == "ended"
            return
        if not self._sender.watched:
            self._pool.release(captured.picture)
            self._hand_over(Withheld(self._scenery.card(PAUSED), "idle: nobody is watching"))
            self._closing.wait(_WAIT_S)
            return
        begun = time.monotonic()
        try:
            item = self._item_of(captured)
        except Exception as error:  # whatever fails, the frame is withheld and the run goes on
            item = self._failed(error)
        now = time.monotonic()
        self.busy.add(now - begun, now)
        self._hand_over(item)
        if self.policy.reconsider(self.busy, self.masks, now):
            self._use_masks()

    def _item_of(self, captured: Frame) -> ToSend:
        begun = time.monotonic()
        frame = self._framing.frame(captured)
        self._through("framing", begun)
        seconds = float(frame.pts_seconds)
        if seconds - self._last_seconds > _GAP_S:
            self._forget()
        self._last_seconds = seconds
        reason = self._why_not(time.monotonic())
        item = Withheld(self._scenery.card(PAUSED), reason) if reason else self._composite(frame, seconds)
        if isinstance(item, Withheld):
            self._pool.release(frame.picture)
        return item

    def _why_not(self, now: float) -> str:
        if self.paused:
            return "paused"
        if now < self._not_before:
            return f"the model failed ({self.fault}); it is loaded again in {self._not_before - now:.0f} s"
        if self._faults_in_a_row >= _FAULTS_BEFORE_RELOAD:
            self._reload()
        return ""

    def _composite(self, frame: Frame, seconds: float) -> ToSend:
        assert self.masks is not None
        assert self._chain is not None
        begun = time.monotonic()
        matted = self.masks.matted(frame)
        estimate_seconds = 0.0 if self.policy.carries else time.monotonic() - begun
        if matted is None:
            return Withheld(self._scenery.card(PAUSED), "waiting for the model")
        doubt = self._guard.doubt(matted.alpha)
        if doubt is not None:
            return Withheld(self._scenery.card(PAUSED), doubt)
        if self._presence.look(matted.alpha, seconds):
            return Withheld(self._scenery.card(AWAY), "away: nobody is in the picture")
        begun = time.monotonic()
        if self._smoothing:
            matted = self._chain.smooth(matted)
        begun = self._through("smooth", begun)
        alpha_u8 = self._chain.refine(matted, self._alpha_u8)
        begun = self._through("refine", begun)
        before = self._copy(frame) if self.split else None
        self._chain.clear_edges(matted, alpha_u8)
        self._compositor.composite(frame, alpha_u8)
        self._through("composite", begun)
        self._faults_in_a_row = self._reloads = 0
        return Composite(frame, estimate_seconds, before)

    def _through(self, stage: str, begun: float) -> float:
        """Tells that a stage is through with a frame; returns the time."""
        now = time.monotonic()
        if self._on_stage is not None:
            self._on_stage(stage, begun, now)
        return now

    def _copy(self, frame: Frame) -> I420:
        assert isinstance(frame.picture, I420)
        copy = self._pool.acquire(frame.picture.size_wh, frame.picture.color)
        copy.buffer[:] = frame.picture.buffer
        return copy

    def _hand_over(self, item: ToSend) -> None:
        displaced = self._sender.slot.put(item)
        if isinstance(displaced, Composite):
            self._pool.release(displaced.frame.picture)
            if displaced.before is not None:
                self._pool.release(displaced.before)

    def _failed(self, error: Exception) -> Withheld:
        self.faults += 1
        self._faults_in_a_row += 1
        self.fault = f"{type(error).__name__}: {error}"
        self.fault_trace = "".join(traceback.format_exception(error))
        self._forget()
        if self._faults_in_a_row >= _FAULTS_BEFORE_RELOAD:
            self._not_before = time.monotonic() + _RELOAD_AFTER_S[min(self._reloads, len(_RELOAD_AFTER_S) - 1)]
        return Withheld(self._scenery.card(PAUSED), self.fault)

    def _reload(self) -> None:
        self._reloads += 1
        self._faults_in_a_row = 0
        try:
            self._begin(self._load())
        except ModelError:
            self._faults_in_a_row = _FAULTS_BEFORE_RELOAD - 1
            raise

    def _forget(self) -> None:
        assert self._chain is not None
        assert self.masks is not None
        self.masks.reset()
        self._chain.forget_past()
        self._presence.reset()

    def _obey(self) -> None:
        while True:
            try:
                action = self.actions.get_nowait()
            except Empty:
                return
            match action:
                case "next-background":
                    self._scenery.next()
                    self._compositor.background = self._scenery.background
                case "less-blur" | "more-blur":
                    self._scenery.more_blur(1 if action == "more-blur" else -1)
                    self._compositor.background = self._scenery.background
                case "smoothing":
                    self._smoothing = not self._smoothing
                case "pause":
                    self.paused = not self.paused
                case "mirror":
                    self._framing.mirror = not self._framing.mirror
                    self._forget()
                case "split":
                    self.split = not self.split
            self._sender.set_card(self._scenery.card(PAUSED))
