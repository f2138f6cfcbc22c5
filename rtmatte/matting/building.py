"""For how long a provider has been building what runs a net: TensorRT makes an engine in the first run of each shape.

That takes minutes, and nothing tells how far it is: whoever looks for stalls leaves this time out.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Building:
    """A clock that runs during first runs, one at a time; its `seconds` can be read from any thread meanwhile."""

    def __init__(self, *, builds: bool) -> None:
        """`builds`: the provider does; the clock stands still otherwise."""
        self._builds = builds
        self._seen: set[Hashable] = set()
        self._now: tuple[float, float | None] = 0.0, None
        """Seconds of those that have ended, and when the present one began: together, for whoever reads both."""

    @property
    def seconds(self) -> float:
        """All of it so far."""
        before_s, begun = self._now
        return before_s if begun is None else before_s + time.monotonic() - begun

    @contextmanager
    def run(self, what: Hashable) -> Iterator[None]:
        """A run meanwhile: a first one if none was of the same, whatever became of that."""
        if not self._builds or what in self._seen:
            yield
            return
        self._seen.add(what)
        self._now = self.seconds, time.monotonic()
        try:
            yield
        finally:
            self._now = self.seconds, None
