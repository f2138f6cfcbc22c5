"""The stage that asks the model: one frame after the other, or several at once where the model can do that."""

from __future__ import annotations

from rtmatte.matting.side_by_side import SideBySide
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import Stage


def estimate_stage(chain: MattingChain) -> Stage:
    """From frames to `Matted` ones, in order, with the chain's model."""
    matter = chain.matter
    if isinstance(matter, SideBySide):
        return Stage("estimate", chain.answer, take=matter.ask, at_once=matter.frames_at_once)
    return Stage("estimate", chain.estimate)
