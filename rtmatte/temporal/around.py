"""The filter over time for recorded clips: each alpha averaged with those before and after it, so nothing lags."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32
from rtmatte.temporal import kernels

_MOTION_SIGMA = 1.0
"""In pixels of alpha: whether something moves is asked of a neighbourhood, so that single pixels don't break away."""


class AroundFilter:
    """Averages alpha with its neighbours in time, with weights that fall with distance and with disagreement.

    A neighbour at the distance Δt weighs exp(−|Δt|/τ)·max(0, 1 − (d/d₀)²), d being the blurred absolute difference of
    the two alphas: what agrees is averaged, what disagrees by d₀ or more is motion and left out. Past and future are
    treated alike, so that edges neither trail nor run ahead. τ = 0 passes alpha through. Owned by one thread; allocates
    when the shape changes.

    Reference: C. Tomasi, R. Manduchi, "Bilateral Filtering for Gray and Color Images", ICCV 1998, along time, with
    a parabola in the place of the Gaussian of values.

    Raises: `SettingsError` for a negative time constant, or for a `lets_go_at` that isn't over 0.
    """

    def __init__(self, time_constant_seconds: float, *, lets_go_at: float) -> None:
        if not time_constant_seconds >= 0:
            raise SettingsError(f"Expected a time constant of 0 s or more, got {time_constant_seconds!r}.")
        if not lets_go_at > 0:
            raise SettingsError(f"Expected to let go at a difference over 0, got {lets_go_at!r}.")
        self._time_constant = time_constant_seconds
        self._lets_go_at = lets_go_at
        self._sum: F32 = np.empty((0, 0), np.float32)
        self._weight: F32 = np.empty((0, 0), np.float32)
        self._difference: F32 = np.empty((0, 0), np.float32)

    @property
    def reach_seconds(self) -> float:
        """Neighbours further away than this don't matter: they weigh less than 1/20 of the alpha itself."""
        return 3 * self._time_constant

    def smooth(self, alpha: F32, around: Iterable[tuple[F32, float]]) -> F32:
        """The mean of alpha, (h, w) float32, and its neighbours: alphas of the same shape and their signed distances in
        seconds. The result is the filter's own until the next call."""
        if self._sum.shape != alpha.shape:
            self._sum, self._weight, self._difference = (np.empty_like(alpha) for _ in range(3))
        np.copyto(self._sum, alpha)
        self._weight.fill(1)
        for other, seconds in around:
            if abs(seconds) > self.reach_seconds:
                continue
            cv2.absdiff(alpha, other, dst=self._difference)
            cv2.GaussianBlur(self._difference, (0, 0), _MOTION_SIGMA, dst=self._difference)
            share = math.exp(-abs(seconds) / self._time_constant)
            kernels.add_agreeing(other, self._difference, share, self._lets_go_at, self._sum, self._weight)
        np.divide(self._sum, self._weight, out=self._sum)
        return self._sum
