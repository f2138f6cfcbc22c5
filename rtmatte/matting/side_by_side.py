"""A net that works on several frames at once, each on a core of its own: what a recorded clip wants.

Measured with the int8 people net at 256x192 on two cores: 20.0 ms a frame by two threads on one frame after the other,
16.3 ms by one thread each on two frames, since these needn't wait for each other in every layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, Frame
from rtmatte.matting.matter import Matter
from rtmatte.matting.question import Question, Questions


class SideBySide:
    """A `Matter` of several equal ones without memory: `frames_at_once` frames can be answered at the same time.

    `ask` is called for frames in order, from one thread at a time; `answer` for each question, from any thread.
    """

    def __init__(self, matters: Sequence[Matter], *, skip_still: bool = False, threads: int | None = None) -> None:
        """With `skip_still`, frames in which nothing has moved share an alpha, as with `SkipsStill`. `threads`: of all
        matters together, for whoever reads `provider`; by default one each.

        Raises: `SettingsError` for none.
        """
        if not matters:
            raise SettingsError("expected one matter at least, got none")
        self.name = matters[0].name
        self.asks = matters[0]
        self.frames_at_once = len(matters)
        device = matters[0].provider.partition(",")[0]
        self.provider = f"{device}, {threads or len(matters)} threads, {self.frames_at_once} frames at once"
        self._questions = Questions(skip_still=skip_still)
        self._matters = tuple(matters)
        self._free: SimpleQueue[Matter] = SimpleQueue()
        for matter in matters:
            self._free.put(matter)

    def ask(self, frame: Frame) -> Question:
        """Takes a frame, whose picture has to stay as it is until the answer."""
        return self._questions.ask(frame)

    def answer(self, question: Question) -> F32:
        """The frame's alpha as by `Matter.estimate`, but in a new array.

        A question that rests waits for the one whose alpha it shares. Raises: what the model raises, there as well.
        """
        if question.rests:
            return question.alpha.result().copy()
        matter = self._free.get()
        try:
            alpha = matter.estimate(question.frame).copy()
        except BaseException as error:
            self._questions.fail(question, error)
            raise
        finally:
            self._free.put(matter)
        return self._questions.answer(question, alpha)

    def estimate(self, frame: Frame) -> F32:
        """As `Matter.estimate`: one frame after the other."""
        return self.answer(self.ask(frame))

    def reset(self) -> None:
        """The model looks at the next frame."""
        self._questions.forget()
