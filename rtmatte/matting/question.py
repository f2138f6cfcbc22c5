"""Frames asked about before there is time for an answer: what matters for recorded clips work through."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.still import Stillness


@dataclass(frozen=True, slots=True)
class Question:
    """A frame whose alpha is wanted; `small`: its `SmallPlanes`, where they were made.

    `rests`: nothing has moved since an earlier question, whose alpha it shares.
    """

    frame: Frame
    small: U8 | None
    alpha: Future[F32]
    rests: bool


class Questions:
    """Makes questions of frames, in order, from one thread at a time; they are answered from any thread."""

    def __init__(self, *, skip_still: bool) -> None:
        """With `skip_still`, frames in which nothing has moved share an alpha, as with `SkipsStill`."""
        self._stillness = Stillness() if skip_still else None
        self._last: Future[F32] = Future()

    def ask(self, frame: Frame) -> Question:
        """Takes a frame, whose picture has to stay as it is until the answer."""
        rests = self._stillness is not None and self._stillness.lets_rest(frame)
        if not rests:
            self._last = Future()
        return Question(frame, self._stillness.small if self._stillness is not None else None, self._last, rests)

    def answer(self, question: Question, alpha: F32) -> F32:
        """What the one who asked gets, to write into: `alpha`, which is nobody else's, or a copy where it is shared."""
        question.alpha.set_result(alpha)
        return alpha if self._stillness is None else alpha.copy()

    def fail(self, question: Question, error: BaseException) -> None:
        """All who share the answer get the error, and the next frame is looked at."""
        question.alpha.set_exception(error)
        self.forget()

    def forget(self) -> None:
        """The model looks at the next frame."""
        if self._stillness is not None:
            self._stillness.forget()
