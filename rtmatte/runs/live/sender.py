"""The one thread that the virtual camera hears: composites as they come, and a card whenever there are none.

Only two things can reach the device: a `Composite`, which only the composer makes, and a card. So whatever breaks
upstream (a model that loads, fails or hangs, a camera that is gone), what is shown is never the room.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import TypeAlias

from rtmatte.capture.camera import CLOCK
from rtmatte.errors import VirtualCameraError
from rtmatte.frame import I420, Frame
from rtmatte.newest import Newest
from rtmatte.output.live_sink import LiveSink
from rtmatte.pool import PicturePool
from rtmatte.stats import LatencyHistogram, RecentLatency

NO_PICTURE = "no picture"
_CARD_AFTER_S = 0.5
"""Without a composite for so long, or for three of the latest intervals if those are longer, the card is shown."""
_LONGEST_INTERVAL_S = 2.0
"""A longer pause between two composites isn't a slow machine's interval but a fault."""
_CHECK_INTERVAL_S = 1.0
_IDLE_INTERVAL_S = 0.5
_REOPEN_AFTER_S = (0.2, 0.5, 1.0, 2.0)
_JOIN_TIMEOUT_S = 0.6


@dataclass(frozen=True, slots=True)
class Composite:
    """A finished frame, its picture of the pool; `before` is a copy of what was captured, if somebody wants to see it.

    `estimate_seconds` is what the model took for just this frame: 0 where its mask was carried on.
    """

    frame: Frame
    estimate_seconds: float
    before: I420 | None = None


@dataclass(frozen=True, slots=True)
class Withheld:
    """No composite: `card` is shown from now on, `reason` is for the user."""

    card: I420
    reason: str


ToSend: TypeAlias = Composite | Withheld


@dataclass(frozen=True, slots=True)
class Sent:
    """A copy of what was sent, for the preview; pictures of the pool."""

    picture: I420
    before: I420 | None


class Sender:
    """Owns the virtual camera from the first card to the last. Thread `rtmatte-send`.

    `slot` takes what is to be sent; an item that another one displaces there goes back to the composer. `previews`
    holds the newest sent picture while `preview` is set. Counters: `sent` composites, `cards`, `output_faults`.
    `problem` says what is wrong with the device while something is, else "". `withheld` is why a card is shown, ""
    while composites are. `watched`: False while the system says that nobody reads the device.

    Raises: what `open_output` raises. Later faults of the device are told by `problem`; it is opened again and again.
    """

    def __init__(
        self,
        open_output: Callable[[], LiveSink],
        card: I420,
        pool: PicturePool,
        *,
        frame_rate: float,
        preview: bool,
        may_idle: bool,
    ) -> None:
        self.slot: Newest[ToSend] = Newest()
        self.previews: Newest[Sent] = Newest()
        self.latency = LatencyHistogram()
        self.recent_latency = RecentLatency()
        self.recent_overhead = RecentLatency()
        self.sent = self.cards = self.output_faults = 0
        self.problem = ""
        self.withheld = "starting"
        self.watched = True
        self.error: BaseException | None = None
        self._open_output = open_output
        self._output: LiveSink | None = open_output()
        self.device = self._output.encoder
        self._card = card
        self._pool = pool
        self._interval = 1 / frame_rate
        self._preview = preview
        self._may_idle = may_idle
        self._composite_at = 0.0
        self._composite_interval = 0.0
        self._checked_at = time.monotonic()
        self._closing = Event()
        self._thread = Thread(target=self._run, name="rtmatte-send", daemon=True)
        self._thread.start()

    def set_card(self, card: I420) -> None:
        """The card for when nothing comes; shown from the next one on."""
        self._card = card

    def close(self) -> None:
        """Sends the card once more, so that what stays on the device is not the person, and frees it."""
        self._closing.set()
        self._give_back(self.slot.close())
        self._thread.join(_JOIN_TIMEOUT_S)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._step()
            self._write(self._card, 0)
        except BaseException as error:  # carried to the caller, whatever it is
            self.error = error
        finally:
            if self._output is not None:
                self._output.__exit__(None, None, None)

    def _step(self) -> None:
        if self._output is None:
            self._reopen()
            return
        item = self.slot.take(self._interval if self.watched else _IDLE_INTERVAL_S)
        now = time.monotonic()
        if isinstance(item, Composite):
            self._send_composite(item, now)
        else:
            if item is not None:
                self._card, self.withheld = item.card, item.reason
            elif not self.withheld:
                if now - self._composite_at < max(_CARD_AFTER_S, 3 * self._composite_interval):
                    return
                self.withheld = NO_PICTURE
            self.cards += self._write(self._card, time.monotonic_ns())
            self._show_preview(self._card, None)
        if now - self._checked_at >= _CHECK_INTERVAL_S:
            self._checked_at = now
            self._check()

    def _send_composite(self, item: Composite, now: float) -> None:
        assert isinstance(item.frame.picture, I420)
        if self._write(item.frame.picture, item.frame.pts):
            seconds = (time.monotonic_ns() - item.frame.pts) / 1e9
            self.latency.add(seconds)
            self.recent_latency.add(seconds, now)
            self.recent_overhead.add(max(seconds - item.estimate_seconds, 0.0), now)
            self.sent += 1
        # After "no picture" too: a machine that is this slow would otherwise go on showing card and picture by turns.
        interval = now - self._composite_at if self.withheld in ("", NO_PICTURE) else 0.0
        self._composite_interval = interval if interval <= _LONGEST_INTERVAL_S else 0.0
        self._composite_at, self.withheld = now, ""
        self._show_preview(item.frame.picture, item.before)
        self._give_back(item)

    def _write(self, picture: I420, pts: int) -> bool:
        """Whether the device took it."""
        if self._output is None:
            return False
        try:
            self._output.send(Frame(picture, pts, CLOCK, self.sent + self.cards), None)
        except VirtualCameraError as error:
            self._lose(error)
            return False
        return True

    def _check(self) -> None:
        if self._output is None:
            return
        try:
            self._output.check()
        except VirtualCameraError as error:
            self._lose(error)
            return
        readers = self._output.readers() if self._may_idle else None
        self.watched = readers != 0

    def _lose(self, error: VirtualCameraError) -> None:
        self.output_faults += 1
        self.problem = str(error)
        assert self._output is not None
        self._output.__exit__(None, None, None)
        self._output = None
        self._failures = 0

    def _reopen(self) -> None:
        self._closing.wait(_REOPEN_AFTER_S[min(self._failures, len(_REOPEN_AFTER_S) - 1)])
        self._give_back(self.slot.take(0))  # nothing old goes out when the device is back
        if self._closing.is_set():
            return
        try:
            self._output = self._open_output()
        except VirtualCameraError as error:
            self._failures += 1
            self.problem = str(error)
        else:
            self.problem, self.withheld, self.watched = "", "the virtual camera is back", True

    def _show_preview(self, picture: I420, before: I420 | None) -> None:
        if not self._preview:
            return
        copy = self._pool.acquire(picture.size_wh, picture.color)
        copy.buffer[:] = picture.buffer
        displaced = self.previews.put(Sent(copy, before))
        if displaced is not None:
            self.release_preview(displaced)

    def release_preview(self, shown: Sent) -> None:
        """Gives the pictures of a preview back to the pool."""
        for picture in (shown.picture, shown.before):
            if picture is not None:
                self._pool.release(picture)

    def _give_back(self, item: ToSend | None) -> None:
        if isinstance(item, Composite):
            self._pool.release(item.frame.picture)
