"""How good the mattes of a candidate are to be expected: figures of benchmarks/quality.py over seven whole clips.

Mean absolute difference from the exact alpha, MAD x1e3, smaller is better, with edges refined and the mask filter on.
A test compares them with the results that are kept in benchmarks/results/quality.
"""

from __future__ import annotations

from itertools import pairwise

MAD = {
    "selfie-multiclass": 8.1,
    "selfie-multiclass-fp16": 8.1,
    "selfie-multiclass-int8": 8.0,
    "people": 8.0,
    "selfie-multiclass-fast": 8.7,
    "selfie": 16.8,
    "selfie-square": 23.6,
    "u2netp": 64.6,
}
"""Each frame with its own mask."""

FRAME_MS = 1e3 / 30
"""How far apart the frames of the fastest clips are, by which carried masks lose most."""
CARRIED = ((0, 8.0), (1, 9.2), (2, 12.0), (4, 18.5), (8, 25.4))
"""(Frames that the model takes, MAD) of selfie-multiclass-int8 with carried masks; 0: with own masks."""

_STEP = 0.5
"""Smaller differences than this say nothing on seven clips: then the candidate with less work is taken."""


def expected_mad(model: str, *, carried: bool, estimate_ms: float) -> float:
    """MAD x1e3 of a model whose masks come `estimate_ms` late, if they are carried; an unknown model's own counts 0.

    What carrying costs is taken for the same with every model.
    """
    return MAD.get(model, 0.0) + (carried_loss(estimate_ms) if carried else 0.0)


def carried_loss(estimate_ms: float) -> float:
    """What carried masks add to MAD x1e3 if the model takes so long; straight lines between what was measured."""
    frames = max(0.0, estimate_ms / FRAME_MS)
    points = list(pairwise(CARRIED))
    (low, low_mad), (high, high_mad) = next((pair for pair in points if frames <= pair[1][0]), points[-1])
    return low_mad + (frames - low) / (high - low) * (high_mad - low_mad) - CARRIED[0][1]


def grade(mad: float) -> int:
    """MAD in steps of what the figures can tell; smaller is better."""
    return round(mad / _STEP)
