"""A decision in words: the same for the table, the live run's line and JSON."""

from __future__ import annotations

from rtmatte.runs.live.mask_policy import TOO_SLOW
from rtmatte.runs.tune.candidates import Candidate
from rtmatte.runs.tune.decide import Row, Target


def masks_of(candidate: Candidate) -> str:
    """`own` or `carried`."""
    return "carried" if candidate.carried else "own"


def name_of(candidate: Candidate) -> str:
    """Such as `selfie with 2 threads and own masks`."""
    threads = f"{candidate.threads} thread{'s' * (candidate.threads > 1)}"
    return f"{candidate.model} with {threads} and {masks_of(candidate)} masks"


def summary(taken: Candidate, chosen: Row | None, target: Target) -> str:
    """What is taken, and why unless nothing was measured: then `chosen`, its row, is None."""
    text = name_of(taken)
    if chosen is None or chosen.measured is None:
        return text
    text += f", {chosen.measured.frame_ms:.0f} ms a frame of {TOO_SLOW * 1e3 / target.frame_rate:.0f}"
    if target.met_by(chosen.measured):
        return f"{text}; the best that keeps up"
    return f"{text}; nothing keeps up with {target.frame_rate:g} fps here"


def verdict(row: Row, chosen: Row | None, target: Target) -> str:
    """Why this row was taken or not."""
    if row.measured is None:
        return row.reason
    holds = target.holds(row.measured)
    if row == chosen:
        return "chosen" if target.met_by(row.measured) else f"chosen: nearest, {holds:.0f} fps"
    if not target.met_by(row.measured):
        return f"too slow: {holds:.0f} fps"
    if chosen is not None and row.quality > chosen.quality:
        return "worse matte"
    return "as good, more work"


def target_line(target: Target) -> str:
    """What is wanted."""
    cores = "" if target.cores is None else f" with {target.cores:g} cores' processor time"
    return f"{target.frame_rate:g} fps{cores}"


def when(kept: bool, seconds: float) -> str:
    """When it was measured."""
    return "measured before" if kept else f"measured in {seconds:.1f} s"
