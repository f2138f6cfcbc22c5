"""The filter over time for recorded clips: each alpha averaged with those before and after it, so nothing lags."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, U8
from rtmatte.temporal import kernels
from rtmatte.temporal.along import Along
from rtmatte.temporal.motion import Motion

_FALLS_WITH = 1.5
"""Of the time constant: how slowly weights fall with distance in time, up to where they end."""

_ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame's alpha, (h, w) float32, the small luma plane of the whole frame, uint8, and when it is shown."""

    alpha: F32
    luma: U8
    seconds: float


class AroundFilter:
    """Averages alpha with its neighbours in time, each of them first moved along optical flow to where things are now.

    A neighbour at the distance Δt ≤ τ weighs exp(−|Δt| / 1.5τ)·(1 − (d/d₀)²)·(1 − (r/r₀)²)², each bracket 0 at least: d
    is the blurred absolute difference of alpha and moved neighbour, r what the flow leaves unexplained of the picture.
    Past and future are treated alike, so that edges neither trail nor run ahead. τ = 0 passes alpha through. Owned by
    one thread; allocates when a shape changes.

    Reference: C. Tomasi, R. Manduchi, "Bilateral Filtering for Gray and Color Images", ICCV 1998, along time and
    motion, with parabolas in the place of Gaussians of values.

    Raises: `SettingsError` for a negative time constant, or for a limit that isn't over 0.
    """

    def __init__(self, time_constant_seconds: float, *, lets_go_at: float = 0.8, trusts_up_to: float = 20.0) -> None:
        """`lets_go_at` is d₀, in alpha; `trusts_up_to` is r₀, in code values of luma."""
        if not time_constant_seconds >= 0:
            raise SettingsError(f"Expected a time constant of 0 s or more, got {time_constant_seconds!r}.")
        for limit in (lets_go_at, trusts_up_to):
            if not limit > 0:
                raise SettingsError(f"Expected to let go at a difference over 0, got {limit!r}.")
        self._time_constant = time_constant_seconds
        self._limits = float(lets_go_at), float(trusts_up_to)
        self._along = Along(Motion())
        self._sum, self._weight = (np.empty((0, 0), np.float32) for _ in range(2))

    @property
    def reach_seconds(self) -> float:
        """Neighbours further away than this don't count."""
        return self._time_constant + _ROUNDING_S

    def smooth(self, now: Moment, around: Iterable[Moment]) -> F32:
        """The mean of the alpha and those of its neighbours, of the same shapes: (h, w) float32, the filter's own until
        the next call."""
        alpha = now.alpha
        if self._sum.shape != alpha.shape:
            self._sum, self._weight = (np.empty_like(alpha) for _ in range(2))
        np.copyto(self._sum, alpha)
        self._weight.fill(1)
        for other in around:
            distance = abs(other.seconds - now.seconds)
            if distance <= self.reach_seconds and self._time_constant:
                self._add(now, other, math.exp(-distance / (_FALLS_WITH * self._time_constant)))
        np.divide(self._sum, self._weight, out=self._sum)
        return self._sum

    def _add(self, now: Moment, other: Moment, share: float) -> None:
        along = self._along
        along.move(other.alpha, other.luma, now.alpha, now.luma)
        kernels.add_agreeing(
            along.moved, along.difference, along.residual, share, *self._limits, self._sum, self._weight
        )
