"""Where each shown frame's alpha comes from: the model looks at every frame, or carries its masks on by optical flow.

OwnMasks        camera ──► estimate ──► this frame's alpha              as many frames as the model manages
CarriedMasks    camera ──► flow from the last estimated frame ──► alpha   every frame
                     └──► estimate, in a thread of its own, the newest frame whenever it is free
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from threading import Thread
from typing import Protocol

from rtmatte.frame import F32, I420, Frame, Picture, picture_size_wh
from rtmatte.matting.matter import Matter
from rtmatte.matting.still import rested, small_of
from rtmatte.newest import Newest
from rtmatte.pool import PicturePool
from rtmatte.runs.matting_chain import Matted
from rtmatte.stats import RecentLatency
from rtmatte.temporal.carry import MaskPropagator

_OLDEST_MASK_S = 1.0
"""A mask is carried so far and no farther; a model that needs longer for one frame gets four of its own intervals."""
_JOIN_TIMEOUT_S = 0.5
_FIRST_S = 3.0
"""Loading and a first frame may take so long."""


def patience_s(times: RecentLatency) -> float:
    """How long to wait for a model at work before it counts as hanging, when everything ends: it is in the runtime, in
    which a process that exits meanwhile crashes. `times`: what frames took lately."""
    return 2 * times.percentile_ms(99) / 1e3 if times.count else _FIRST_S


class Masks(Protocol):
    """Alpha for the frames that are shown. Owned by one thread.

    `times` is how long the model takes for a frame; frames on which it rests don't count.
    """

    times: RecentLatency

    def matted(self, frame: Frame) -> Matted | None:
        """The frame with its alpha, (h, w) float32 at the model's resolution; None while there is none fresh enough.

        Raises: whatever the model raises.
        """
        ...

    def reset(self) -> None:
        """Forgets the past: the picture has jumped."""
        ...

    def close(self) -> None:
        """Ends threads, if there are any; the model may be used elsewhere afterwards. May be called twice."""
        ...


class OwnMasks:
    """Each shown frame's own alpha."""

    def __init__(self, matter: Matter) -> None:
        self.times = RecentLatency()
        self._matter = matter

    def matted(self, frame: Frame) -> Matted:
        begun = time.monotonic()
        alpha = self._matter.estimate(frame)
        if not rested(self._matter):
            now = time.monotonic()
            self.times.add(now - begun, now)
        return Matted(frame, alpha, small=small_of(self._matter))

    def reset(self) -> None:
        self._matter.reset()

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class _Question:
    """A copy of a frame for the estimating thread; `fresh`: nothing of the past belongs to it."""

    frame: Frame
    fresh: bool


@dataclass(frozen=True, slots=True)
class _Estimated:
    """What the estimating thread found out about a copy of a frame."""

    frame: Frame
    alpha: F32 | None
    error: Exception | None


class CarriedMasks:
    """The last estimated alpha, warped to the frame that is shown.

    The estimating thread (`rtmatte-estimate`) gets a copy of the newest frame whenever it is free. An answer that is
    too old isn't carried on: a machine that is too slow, or a model that hangs, then shows a card until the next one.
    """

    def __init__(self, matter: Matter, pool: PicturePool) -> None:
        self.times = RecentLatency()
        self._matter = matter
        self._pool = pool
        self._propagator = MaskPropagator()
        self._questions: Newest[_Question] = Newest()
        self._answers: Newest[_Estimated] = Newest()
        self._asked_at: float | None = None
        self._remembered_at: float | None = None
        self._closing = False
        self._fresh = False
        self._forget = False
        self._thread = Thread(target=self._estimate_all, name="rtmatte-estimate", daemon=True)
        self._thread.start()

    def matted(self, frame: Frame) -> Matted | None:
        now = time.monotonic()
        answer = self._answers.take(0)
        if answer is not None:
            self._asked_at = None
            self._learn(answer)
        if self._asked_at is None:
            self._asked_at = now
            self._questions.put(_Question(replace(frame, picture=self._copy(frame.picture)), self._fresh))
            self._fresh = False
        oldest = max(_OLDEST_MASK_S, 4 * self.times.percentile_ms(50) / 1e3)
        if self._remembered_at is None or now - self._remembered_at > oldest:
            return None
        return Matted(frame, self._propagator.propagate(frame.picture))

    def reset(self) -> None:
        """What is being estimated now is of the past as well; its answer isn't used."""
        self._propagator.reset()
        self._remembered_at = None
        self._forget, self._fresh = self._asked_at is not None, True

    def close(self) -> None:
        self._closing = True
        question = self._questions.close()
        # One that hangs is left to the process's end.
        self._thread.join(_JOIN_TIMEOUT_S + patience_s(self.times))
        answer = self._answers.close()
        for unread in (question, answer):
            if unread is not None:
                self._pool.release(unread.frame.picture)

    def _learn(self, answer: _Estimated) -> None:
        forget, self._forget = self._forget, False
        try:
            if forget:
                return
            if answer.error is not None:
                raise answer.error
            assert answer.alpha is not None
            self._propagator.remember(answer.frame.picture, answer.alpha)
            self._remembered_at = float(answer.frame.pts_seconds)
        finally:
            self._pool.release(answer.frame.picture)

    def _copy(self, picture: Picture) -> I420:
        assert isinstance(picture, I420)  # of the camera protocol
        copy = self._pool.acquire(picture_size_wh(picture), picture.color)
        copy.buffer[:] = picture.buffer
        return copy

    def _estimate_all(self) -> None:
        while not self._closing:
            question = self._questions.take(0.5)
            if question is None:
                continue
            begun = time.monotonic()
            alpha: F32 | None = None
            error: Exception | None = None
            try:
                if question.fresh:
                    self._matter.reset()
                # A copy: the matter overwrites its own while the composing thread still reads.
                alpha = self._matter.estimate(question.frame).copy()
            except Exception as failure:  # raised again by `matted`, in the thread that asked
                error = failure
            if not rested(self._matter):
                now = time.monotonic()
                self.times.add(now - begun, now)
            if self._answers.put(_Estimated(question.frame, alpha, error)) is not None:
                self._pool.release(question.frame.picture)  # the run has ended meanwhile
