"""estimate ──► smooth ──► refine: from a frame to its alpha at frame size, the same for every run and benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.matter import Matter
from rtmatte.refine.choose import make_refiner
from rtmatte.refine.refiner import shape_hw
from rtmatte.refine.upscale import Upscale
from rtmatte.temporal.exponential import ExponentialFilter
from rtmatte.temporal.scene_cut import SceneCutDetector

_LETS_GO_AT = 0.5
"""From this difference between alpha and its average on, it is motion; see docs/design.md for the figures."""


@dataclass(slots=True)
class Matted:
    """A frame with its alpha, (h, w) float32 at the matter's resolution, on their way between stages."""

    frame: Frame
    alpha: F32


class MattingChain:
    """The three stages with their state. Each stage may run in a thread of its own, frames in order.

    `estimate` hands on a copy, since the matter overwrites its own array while the next stage still reads.
    """

    def __init__(self, matter: Matter, *, smoothing_s: float, refiner: str) -> None:
        """`smoothing_s` is the mask filter's time constant in seconds, `refiner` a name of `rtmatte.refine.choose`."""
        self.matter = matter
        self.refiner = make_refiner(refiner)
        self._quantizing = Upscale()
        self._smoother = ExponentialFilter(smoothing_s, lets_go_at=_LETS_GO_AT)
        self._cuts = SceneCutDetector()

    def estimate(self, frame: Frame) -> Matted:
        """Alpha as the model sees it."""
        return Matted(frame, self.matter.estimate(frame).copy())

    def smooth(self, matted: Matted) -> Matted:
        """Alpha over time, in place."""
        cut = self._cuts.is_cut(matted.frame.picture)
        np.copyto(matted.alpha, self._smoother.apply(matted.alpha, matted.frame.pts_seconds, cut=cut))
        return matted

    def refine(self, matted: Matted, out_u8: U8 | None = None) -> U8:
        """Alpha at frame size: (H, W) uint8, 255 = foreground; `out_u8` or a buffer that the next call overwrites."""
        # At frame size already, as recorded mattes are, there is nothing to find out.
        complete = matted.alpha.shape == shape_hw(matted.frame.picture)
        return (self._quantizing if complete else self.refiner).refine(matted.frame, matted.alpha, out_u8)

    def alpha_of(self, frame: Frame) -> U8:
        """All three in a row; the result is overwritten by the next call."""
        return self.refine(self.smooth(self.estimate(frame)))

    def reset(self) -> None:
        """Forgets the past of every stage."""
        self.matter.reset()
        self.forget_past()

    def forget_past(self) -> None:
        """Forgets the past of all stages but the model's."""
        self._smoother.reset()
        self.refiner.reset()
