"""The motion-adaptive mask filter: an average over the past that goes along with what moves.

shrink ──► flow to the frame before ──► the past, warped ──► blend with alpha, each pixel at its own rate
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, U8, Frame
from rtmatte.temporal import kernels
from rtmatte.temporal.motion import Motion, Warp, small_luma
from rtmatte.temporal.smoother import Clock

_RATE_UNEXPLAINED = 0.3
"""Per second and squared code value of luma that the flow doesn't explain: 10 code values halve the past in 23 ms."""
_RATE_DISAGREEING = 55.0
"""Per second and squared difference of alpha: what turns from 0 to 1 is halfway there after a frame."""
_LEAST_IMPORTANCE = 0.05
"""Of the background's motion, against 1.05 for that of the foreground."""


class AdaptiveFilter:
    """A `Smoother` that blends each alpha into the past as it lies in the present picture.

    The past decays at a rate that is each pixel's own: λ = 1/τ + 0.3·r² + 55·d², with r the luma that the flow leaves
    unexplained on the foreground's side and d the difference of alpha from the past. Its share is exp(−λ·Δt), so
    nothing depends on the frame rate. What stands still or moves along the flow is averaged over τ seconds, so edges
    don't shimmer; what the flow can't follow, and what the model insists on, is taken at once, so hands don't trail.
    τ = 0 passes alpha through.

    The past is forgotten at a scene cut, when sizes change, when time goes backwards and after a gap of more than half
    a second. Owned by one thread; allocates only when sizes change; most of the work releases the GIL.

    Raises: `SettingsError` for a negative time constant.
    """

    def __init__(self, time_constant_seconds: float) -> None:
        if not time_constant_seconds >= 0:
            raise SettingsError(f"Expected a time constant of 0 s or more, got {time_constant_seconds!r}.")
        self._time_constant = time_constant_seconds
        self._clock = Clock()
        self._motion = Motion()
        self._warp = Warp()
        self._current: U8 = np.empty((0, 0), np.uint8)
        self._before: U8 = np.empty((0, 0), np.uint8)
        self._state: F32 = np.empty((0, 0), np.float32)
        self._past: F32 = np.empty((0, 0), np.float32)
        self._residual: F32 = np.empty((0, 0), np.float32)
        self._importance: F32 = np.empty((0, 0), np.float32)
        self._empty = True

    def apply(self, frame: Frame, alpha: F32, *, cut: bool = False) -> F32:
        elapsed = self._clock.elapsed(frame.pts_seconds)
        if self._time_constant == 0:
            return alpha
        self._current = small_luma(frame.picture, self._current)
        if self._state.shape != alpha.shape:
            self._state, self._past, self._residual = (np.empty_like(alpha) for _ in range(3))
            self._empty = True
        if self._empty or cut or elapsed is None or self._current.shape != self._before.shape:
            np.copyto(self._state, alpha)
        else:
            self._blend(frame, alpha, elapsed)
        self._empty = False
        self._current, self._before = self._before, self._current
        return self._state

    def reset(self) -> None:
        self._empty = True

    def _blend(self, frame: Frame, alpha: F32, elapsed: float) -> None:
        if self._importance.shape != self._current.shape:
            self._importance = np.empty(self._current.shape, np.float32)
        cv2.resize(alpha, self._importance.shape[::-1], dst=self._importance, interpolation=cv2.INTER_LINEAR)
        np.add(self._importance, _LEAST_IMPORTANCE, out=self._importance)
        self._motion.find(self._current, self._before, self._importance)
        self._warp.warp(self._state, self._motion.flow, frame.picture, self._past)
        cv2.resize(self._motion.residual, alpha.shape[::-1], dst=self._residual, interpolation=cv2.INTER_LINEAR)
        kernels.blend_into_past(
            self._past,
            alpha,
            self._residual,
            math.exp(-elapsed / self._time_constant),
            math.sqrt(elapsed * _RATE_UNEXPLAINED),
            math.sqrt(elapsed * _RATE_DISAGREEING),
            self._state,
        )
