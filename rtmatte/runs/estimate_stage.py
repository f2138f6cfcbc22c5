"""The stage that asks the model: one frame after the other, several at once, or several in one run."""

from __future__ import annotations

from functools import partial

from rtmatte.matting.batched import Batched
from rtmatte.matting.matter import Matter, seconds_building
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import Stage


def estimate_stage(chain: MattingChain) -> Stage:
    """From frames to `Matted` ones, in order, with the chain's model."""
    matter = chain.matter
    if isinstance(matter, SideBySide):
        return Stage("estimate", chain.answer, take=matter.ask, at_once=matter.frames_at_once)
    apart = partial(seconds_building, matter)
    if isinstance(matter, Batched):
        together = matter.frames_a_run
        return Stage("estimate", chain.answer_together, take=matter.ask, together=together, seconds_apart=apart)
    return Stage("estimate", chain.estimate, seconds_apart=apart)


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
