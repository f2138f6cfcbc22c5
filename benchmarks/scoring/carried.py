"""Masks carried by optical flow as a live run carries them, with a net that takes a given number of frame intervals."""

from __future__ import annotations

from rtmatte.frame import F32, Frame
from rtmatte.matting.matter import Matter
from rtmatte.temporal.carry import MaskPropagator


class CarriedMatter:
    """A `Matter` whose net is asked for a new frame when it has answered for the one before, `frames` frames later.

    What is shown has masks that are `frames` to 2 `frames` - 1 frames old. The first frames, for which a live run
    shows a card, have their own.
    """

    def __init__(self, matter: Matter, frames: int) -> None:
        self.name, self.provider = matter.name, matter.provider
        self._matter = matter
        self._frames = frames
        self._propagator = MaskPropagator()
        self._asked: tuple[Frame, F32] | None = None

    def estimate(self, frame: Frame) -> F32:
        """The carried alpha, (h, w) float32 at the net's resolution; overwritten by the next call."""
        if self._asked is not None and frame.index - self._asked[0].index >= self._frames:
            asked, alpha = self._asked
            self._propagator.remember(asked.picture, alpha)
            self._asked = None
        if self._asked is None:
            self._asked = frame, self._matter.estimate(frame).copy()
        return self._asked[1] if self._propagator.empty else self._propagator.propagate(frame.picture)

    def reset(self) -> None:
        """Forgets the past."""
        self._matter.reset()
        self._propagator.reset()
        self._asked = None
