"""Is anybody there?"""

from __future__ import annotations

import numpy as np

from rtmatte.frame import F32

_GONE_BELOW, _BACK_ABOVE = 0.01, 0.02
"""Shares of the picture. Apart, so that somebody at the edge doesn't make it flicker."""


class Presence:
    """Away once alpha has been empty for `away_after_s`; back with the first frame that shows somebody.

    `away_after_s` None: never away. Owned by one thread.
    """

    def __init__(self, away_after_s: float | None) -> None:
        self._away_after = away_after_s
        self._seen_at: float | None = None
        self.away = False

    def look(self, alpha: F32, seconds: float) -> bool:
        """Whether everybody is away, at this time of the frame."""
        if self._away_after is None:
            return False
        covered = float(alpha.mean(dtype=np.float64))
        if self._seen_at is None or covered > (_BACK_ABOVE if self.away else _GONE_BELOW):
            self._seen_at, self.away = seconds, False
        elif seconds - self._seen_at >= self._away_after:
            self.away = True
        return self.away

    def reset(self) -> None:
        """The waiting begins anew."""
        self._seen_at, self.away = None, False
