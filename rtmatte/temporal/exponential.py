"""The exponential mask filter: a running average of alpha whose memory is measured in seconds, not in frames.

It can be made to let go where something moves, so that still edges don't shimmer and hands don't trail.
"""

from __future__ import annotations

import math
from fractions import Fraction

import cv2
import numpy as np

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, U8
from rtmatte.temporal import byte_kernels, kernels
from rtmatte.temporal.byte_kernels import REACH, ROWS, TILE
from rtmatte.temporal.memory import GAP_SECONDS, Memory

_MOTION_SIGMA = 1.0
"""In pixels of alpha: whether something moves is asked of a neighbourhood, so that single pixels don't break away."""


class ExponentialFilter:
    """Blends each alpha into its state with the weight 1 − exp(−Δt/τ), Δt being the time since the frame before.

    So a step in alpha is followed to 63 % after τ seconds at any frame rate. With `lets_go_at` d₀ the weight grows with
    disagreement, w + (1 − w)·min(1, (d / d₀)²), d being the blurred absolute difference between alpha and its average:
    what agrees with its past is averaged, what disagrees by d₀ or more is motion and taken as it is. τ = 0 passes alpha
    through. The past is forgotten at a scene cut, when the shape changes, when time goes backwards and after a gap of
    more than `gap_seconds`. Owned by one thread; allocates only when the shape changes.

    Reference: first-order low-pass, discretised exactly for a signal that is constant between frames; the adaptive
    weight is the idea of the one-euro filter (Casiez et al., CHI 2012) with disagreement in the place of speed.

    Raises: `SettingsError` for a negative time constant, or for a `lets_go_at` that isn't over 0.
    """

    def __init__(
        self, time_constant_seconds: float, *, lets_go_at: float | None = None, gap_seconds: float = GAP_SECONDS
    ) -> None:
        self._memory = Memory(time_constant_seconds, gap_seconds)
        if lets_go_at is not None and not lets_go_at > 0:
            raise SettingsError(f"Expected to let go at a difference over 0, got {lets_go_at!r}.")
        self._lets_go_at = lets_go_at
        self._state: F32 | None = None
        self._difference: F32 = np.empty((0, 0), np.float32)
        self._bytes: _Bytes | None = None

    def apply(self, alpha: F32, pts_seconds: Fraction | float, *, cut: bool = False) -> F32:
        """The smoothed alpha of the frame at that time: (h, w) float32, owned by the filter until the next call."""
        weight = self._memory.weight(pts_seconds, cut=cut)
        if self._memory.time_constant_seconds == 0:
            return alpha
        if self._state is None or self._state.shape != alpha.shape:
            self._state = alpha.copy()
            self._difference = np.empty_like(self._state)
        elif weight is None:
            np.copyto(self._state, alpha)
        elif self._lets_go_at is None:
            cv2.addWeighted(alpha, weight, self._state, 1 - weight, 0, dst=self._state)
        else:
            cv2.absdiff(alpha, self._state, dst=self._difference)
            cv2.GaussianBlur(self._difference, (0, 0), _MOTION_SIGMA, dst=self._difference)
            kernels.follow(self._state, alpha, self._difference, weight, self._lets_go_at)
        return self._state

    def apply_to_bytes(self, alpha_u8: U8, pts_seconds: Fraction | float, *, cut: bool = False) -> None:
        """As `apply`, within a code value, in place: (H, W) uint8, 255 = 1. For alpha of the frame's size.

        Both have a past of their own; only one of them is used for a clip.
        """
        weight = self._memory.weight(pts_seconds, cut=cut)
        if self._memory.time_constant_seconds == 0:
            return
        if self._bytes is None or self._bytes.shown.shape != alpha_u8.shape:
            self._bytes = _Bytes(alpha_u8.shape)
            weight = None
        b = self._bytes
        if weight is None:
            np.copyto(b.shown, alpha_u8)
            b.fraction.fill(128)
        else:
            lets_go_at = math.inf if self._lets_go_at is None else self._lets_go_at
            byte_kernels.follow_bytes(
                alpha_u8, b.shown, b.fraction, b.window, b.restless, b.scratch, weight, lets_go_at
            )

    def reset(self) -> None:
        """Forgets the past; keeps the buffers."""
        self._memory.forget()


class _Bytes:
    """The past of an alpha in bytes, and scratch, as `follow_bytes` wants them."""

    def __init__(self, shape_hw: tuple[int, ...]) -> None:
        tiles, width = math.ceil(shape_hw[1] / TILE), shape_hw[1] + 2 * REACH
        self.shown: U8 = np.empty(shape_hw, np.uint8)
        self.fraction: U8 = np.empty(shape_hw, np.uint8)
        self.window = np.empty((ROWS, width), np.uint16)
        self.restless: U8 = np.empty((ROWS + 1, tiles), np.uint8)
        self.scratch = np.empty((2, width), np.uint16)
