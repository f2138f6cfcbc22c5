"""Is this matte to be trusted? If not, the frame isn't shown: an alpha that is 1 everywhere is the raw room."""

from __future__ import annotations

import numpy as np

from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32

_MOST_FOREGROUND = 0.97
"""More of the picture than this is never one person before a room, however near."""
_MOST_UNCERTAIN = 0.6
"""More than this between 0.2 and 0.8, and the model has no idea."""
_GOOD_FRAMES = 5
"""After a doubtful frame, so many good ones in a row, so that the output doesn't flicker between picture and card."""


class Guard:
    """Looks at alpha at the model's resolution, before anything is composited with it. Owned by one thread."""

    def __init__(self) -> None:
        self._good = _GOOD_FRAMES

    def doubt(self, alpha: F32) -> str | None:
        """Why this alpha can't be shown, in a line for the user; None if it can.

        Raises: `ModelOutputError` for what isn't (h, w) float32 alpha in [0, 1].
        """
        if alpha.ndim != 2 or not alpha.size or alpha.dtype != np.float32:
            raise ModelOutputError(f"Expected alpha as (h, w) float32, got {alpha.dtype} {alpha.shape}.")
        covered = float(alpha.mean(dtype=np.float64))
        if not np.isfinite(covered):
            raise ModelOutputError("Expected alpha in [0, 1], got NaN or infinity.")
        uncertain = np.count_nonzero((alpha > 0.2) & (alpha < 0.8)) / alpha.size
        if covered > _MOST_FOREGROUND:
            self._good = 0
            return f"the model takes {covered:.0%} of the picture for foreground"
        if uncertain > _MOST_UNCERTAIN:
            self._good = 0
            return f"the model is unsure about {uncertain:.0%} of the picture"
        self._good += 1
        return None if self._good >= _GOOD_FRAMES else "the model has just recovered"
