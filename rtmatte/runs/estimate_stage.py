"""The stage that asks the model: one frame after the other, several at once, or several in one run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from threading import Semaphore
from typing import Any

from rtmatte.frame import U8, Frame
from rtmatte.matting.batched import Batched
from rtmatte.matting.matter import Matter, seconds_building
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.runs.matting_chain import Matted, MattingChain
from rtmatte.runs.pipeline import Stage
from rtmatte.temporal.sparing import Sparing


def estimate_stage(chain: MattingChain) -> Stage:
    """From frames to `Matted` ones, in order, with the chain's model."""
    matter = chain.matter
    if isinstance(matter, SideBySide):
        return Stage("estimate", chain.answer, take=matter.ask, at_once=matter.frames_at_once)
    apart = partial(seconds_building, matter)
    if isinstance(matter, Batched):
        together = matter.frames_a_run
        if together == 1:
            return Stage("estimate", chain.answer_alone, take=matter.ask, seconds_apart=apart)
        return Stage("estimate", chain.answer_together, take=matter.ask, together=together, seconds_apart=apart)
    return Stage("estimate", chain.estimate, seconds_apart=apart)


def sparing_stage(stage: Stage, sparing: Sparing) -> Stage:
    """An `estimate_stage` past which frames go that are spared, as `Matted.spared`.

    Where it works on several at once or together, it takes twice as many: up to half of them are spared, and wait for
    those before them. No more than before are worked on at once: whoever takes a frame waits until then, since waiting
    is no work and must not be taken for a stall.
    """
    free = Semaphore(stage.at_once)

    def take(frame: Frame) -> _Taken:
        if sparing.spares(frame):
            return _Taken(sparing.small, Matted.spared(frame, sparing.small))
        if stage.together == 1:
            free.acquire()
        return _Taken(sparing.small, question=stage.take(frame) if stage.take is not None else frame)

    def work(taken: _Taken) -> Matted:
        if taken.spared is not None:
            return taken.spared
        try:
            return taken.with_small(stage.work(taken.question))
        finally:
            free.release()

    def work_together(taken: list[_Taken]) -> list[Matted]:
        asked = [one.question for one in taken if one.spared is None]
        answers = iter(stage.work(asked) if asked else [])
        return [one.spared or one.with_small(next(answers)) for one in taken]

    if stage.together > 1:
        return replace(stage, take=take, work=work_together, together=2 * stage.together)
    return replace(stage, take=take, work=work, at_once=2 * stage.at_once if stage.at_once > 1 else 1)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A frame with its `SmallPlanes`: spared, or what the stage took it for."""

    small: U8
    spared: Matted | None = None
    question: Any = None

    def with_small(self, matted: Matted) -> Matted:
        if matted.small is None:
            matted.small = self.small
        return matted


def batch_notices(matter: Matter, asked: int | None) -> list[str]:
    """Why the model got fewer frames in a run than were asked for (None: what suits the device)."""
    if isinstance(matter, Batched):
        if not matter.note:
            return []
        frames = "one frame" if matter.frames_a_run == 1 else f"{matter.frames_a_run} frames"
        return [f"The model got {frames} at a time in the end, not {matter.frames_wanted}: {matter.note}."]
    if asked is None or asked == 1:
        return []
    return [
        f"The model got one frame at a time, not {asked}: it remembers, its graph takes one picture a run, "
        "or --focus looks for people from frame to frame."
    ]
