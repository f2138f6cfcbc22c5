"""The exponential mask filter: a running average of alpha whose memory is measured in seconds, not in frames."""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32

_GAP_SECONDS = 0.5


class ExponentialFilter:
    """Blends each alpha into its state with the weight 1 − exp(−Δt/τ), Δt being the time since the frame before.

    So a step in alpha is followed to 63 % after τ seconds at any frame rate. τ = 0 passes alpha through. The past is
    forgotten at a scene cut, when the shape changes, when time goes backwards and after a gap of more than
    `gap_seconds`. Owned by one thread; allocates only when the shape changes.

    Reference: first-order low-pass, discretised exactly for a signal that is constant between frames.

    Raises: `SettingsError` for a negative time constant.
    """

    def __init__(self, time_constant_seconds: float, *, gap_seconds: float = _GAP_SECONDS) -> None:
        if not time_constant_seconds >= 0:
            raise SettingsError(f"Expected a time constant of 0 s or more, got {time_constant_seconds!r}.")
        self._time_constant = time_constant_seconds
        self._gap = gap_seconds
        self._state: F32 | None = None
        self._last_seconds = 0.0

    def apply(self, alpha: F32, pts_seconds: Fraction | float, *, cut: bool = False) -> F32:
        """The smoothed alpha of the frame at that time: (h, w) float32, owned by the filter until the next call."""
        seconds = float(pts_seconds)
        elapsed = seconds - self._last_seconds
        self._last_seconds = seconds
        if self._time_constant == 0:
            return alpha
        if self._state is None or self._state.shape != alpha.shape:
            self._state = alpha.copy()
        elif cut or not 0 <= elapsed <= self._gap:
            np.copyto(self._state, alpha)
        else:
            weight = -math.expm1(-elapsed / self._time_constant)
            cv2.addWeighted(alpha, weight, self._state, 1 - weight, 0, dst=self._state)
        return self._state

    def reset(self) -> None:
        """Forgets the past."""
        self._state = None
