"""A net that answers several frames by one run: for recorded clips on a device that isn't the processor's cores.

Telling a GPU what to do and sending it one small picture may take longer than its work. How many frames a run gets
depends on what waits, so an answer mustn't: it is what the net says of the frame alone. Tests hold that for the nets
that ship: on a processor bit for bit, but for selfie-multiclass, where the runtime orders one sum otherwise (2.4e-7; in
int8 that seldom tips a pixel, by a step of 0.005). Of any other it is found out before the first frame (see
`ImageNet.estimate_batch`).

A run of several that fails, for want of a GPU's memory as a rule, is done again with half as many, and so is all that
comes after it: others may need that memory for as long as the clip lasts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import F32, Frame
from rtmatte.matting.matter import Matter
from rtmatte.matting.question import Question, Questions


@runtime_checkable
class TakesBatches(Matter, Protocol):
    """A `Matter` without memory that can look at several frames in one run.

    `batch_note`: why it looks at one at a time all the same, or nothing.
    """

    @property
    def batch_note(self) -> str: ...

    def estimate_batch(self, frames: Iterable[Frame], most: int) -> list[F32]:
        """Alpha of each frame, as by `estimate`, in new arrays; `most` in one run.

        Raises: as `estimate`; `ModelOutputError` also where only a run of several fails. They can be asked again.
        """
        ...


class Batched:
    """A `Matter` that answers up to `frames_a_run` frames by one run of a net. Owned by one thread.

    `ask` is called for frames in order, `answer` for the questions in order, as many of them as there are. Where runs
    of several fail `frames_a_run` becomes less than the `frames_wanted`, and `note` says why.
    """

    def __init__(self, net: TakesBatches, frames_a_run: int, *, skip_still: bool = False) -> None:
        """With `skip_still`, frames in which nothing has moved share an alpha, as with `SkipsStill`.

        Raises: `SettingsError` for less than one frame.
        """
        if frames_a_run < 1:
            raise SettingsError(f"expected one frame a run at least, got {frames_a_run}")
        self.name = net.name
        self.asks = net
        self.frames_wanted = frames_a_run
        self._settle_on(frames_a_run, "")
        self._questions = Questions(skip_still=skip_still)

    def ask(self, frame: Frame) -> Question:
        """Takes a frame, whose picture has to stay as it is until the answer."""
        return self._questions.ask(frame)

    def answer(self, questions: Sequence[Question]) -> list[F32]:
        """Each frame's alpha, as by `Matter.estimate`, but in new arrays.

        Raises: what the model raises, for all who share an answer; of runs that fail, only those of one frame.
        """
        asked = [question for question in questions if not question.rests]
        try:
            alphas = self._alphas([question.frame for question in asked])
        except BaseException as error:
            for question in asked:
                self._questions.fail(question, error)
            raise
        given = iter([self._questions.answer(one, alpha) for one, alpha in zip(asked, alphas, strict=True)])
        return [question.alpha.result().copy() if question.rests else next(given) for question in questions]

    def _alphas(self, frames: Sequence[Frame]) -> list[F32]:
        while True:
            try:
                alphas = self.asks.estimate_batch(frames, self.frames_a_run)
            except ModelOutputError as error:
                if self.frames_a_run == 1:
                    raise
                self._settle_on(self.frames_a_run // 2, " ".join(error.message.split()).rstrip("."))
                continue
            if self.frames_a_run > 1 and self.asks.batch_note:
                self._settle_on(1, self.asks.batch_note)
            return alphas

    def _settle_on(self, frames_a_run: int, note: str) -> None:
        several = f", {frames_a_run} frames a run" if frames_a_run > 1 else ""
        self.frames_a_run, self.note, self.provider = frames_a_run, note, f"{self.asks.provider}{several}"

    def estimate(self, frame: Frame) -> F32:
        """As `Matter.estimate`: a run for this frame."""
        return self.answer([self.ask(frame)])[0]

    def reset(self) -> None:
        """The model looks at the next frame."""
        self._questions.forget()
