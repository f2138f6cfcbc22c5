"""What the frames on one side of a frame say of its alpha: the past, or, gone through backwards, the future."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, U8
from rtmatte.temporal import kernels
from rtmatte.temporal.along import Along
from rtmatte.temporal.motion import Motion

TRUSTS_UP_TO = 20.0
"""In code values of luma: where flow leaves more than that, nothing is carried."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame's alpha, (h, w) float32, the small luma plane of the whole frame, uint8, and when it is shown.

    `cut`: it begins a new shot. `spared`: nobody has estimated its alpha, which is of the others' shape and says
    nothing.
    """

    alpha: F32
    luma: U8
    seconds: float
    cut: bool = False
    spared: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """The mean of what was seen, moved to where things are now, and how many frames' worth it is: (h, w) float32 each,
    a mean in 0..1 and a weight of 0 or more, where a frame of now weighs 1."""

    mean: F32
    weight: F32


class OneWayMean:
    """Goes through the moments of a shot in either direction, and says of each what those before it make of it.

    From moment to moment mean and weight move along optical flow, and the weight, grown by that of the moment just
    passed, is multiplied by exp(−|Δt|/τ)·(1 − (d/d₀)²)·(1 − (r/r₀)²)², each bracket 0 at least: d is the blurred
    absolute difference of alpha and moved mean, r what the flow leaves unexplained of the picture. Two of them, one in
    each direction, and alpha itself make a mean that neither trails nor runs ahead (`both_sides`), at the cost of one
    flow a frame for each direction. τ = 0 trusts nobody else. A moment whose alpha was spared adds nothing, and there d
    is 0. Owned by one thread; allocates when a shape changes.

    Reference: forward-backward smoothing (Rauch, Tung, Striebel, AIAA Journal 1965), with the weights of a bilateral
    filter (C. Tomasi, R. Manduchi, ICCV 1998) along motion.

    Raises: `SettingsError` for a negative time constant, or for a limit that isn't over 0.
    """

    def __init__(
        self, time_constant_seconds: float, *, lets_go_at: float = 1.0, trusts_up_to: float = TRUSTS_UP_TO
    ) -> None:
        """`lets_go_at` is d₀, in alpha; `trusts_up_to` is r₀, in code values of luma."""
        if not time_constant_seconds >= 0:
            raise SettingsError(f"Expected a time constant of 0 s or more, got {time_constant_seconds!r}.")
        for limit in (lets_go_at, trusts_up_to):
            if not limit > 0:
                raise SettingsError(f"Expected to let go at a difference over 0, got {limit!r}.")
        self._time_constant = time_constant_seconds
        self._limits = float(lets_go_at), float(trusts_up_to)
        self._along = Along(Motion())  # at half the small planes' size: clips may take the millisecond
        self._mean, self._weight, self._moved_weight = (np.empty((0, 0), np.float32) for _ in range(3))
        self._luma: U8 = np.empty((0, 0), np.uint8)
        self._seconds: float | None = None

    def pass_by(self, now: Moment) -> Said:
        """What the moments so far make of this one, which joins them. Overwritten by the next call."""
        along, alpha = self._along, now.alpha
        if self._mean.shape != alpha.shape or self._luma.shape != now.luma.shape:
            self._mean, self._weight, self._moved_weight = (np.empty_like(alpha) for _ in range(3))
            self._luma = np.empty_like(now.luma)
            self._seconds = None
        if self._seconds is None or not self._time_constant:
            np.copyto(self._mean, alpha)
            said = Said(self._mean, self._moved_weight)
            self._moved_weight.fill(0)
            self._weight.fill(own_weight(now))
        else:
            share = math.exp(-abs(now.seconds - self._seconds) / self._time_constant)
            along.move(self._mean, self._luma, None if now.spared else alpha, now.luma)
            along.move_too(self._weight, self._moved_weight)
            kernels.pass_by(
                alpha, own_weight(now), along.moved, self._moved_weight, along.difference, along.residual, share,
                *self._limits, self._mean, self._weight,
            )  # fmt: skip
            said = Said(along.moved, self._moved_weight)
        np.copyto(self._luma, now.luma)
        self._seconds = now.seconds
        return said

    def reset(self) -> None:
        """Forgets what it passed: another shot."""
        self._seconds = None


def both_sides(now: Moment, one: Said, other: Said, out: F32) -> None:
    """Writes the mean of alpha and what both sides say, by their weights, into `out`; (h, w) float32 all."""
    kernels.mean_of_three(now.alpha, own_weight(now), one.mean, one.weight, other.mean, other.weight, out)


def own_weight(moment: Moment) -> float:
    """How many frames' worth its alpha is."""
    return 0.0 if moment.spared else 1.0
