"""How long nets' pictures take to make: resizing, colours, padding, values. Counted by thread, as processor time is.

Whoever times a matter from outside, however many others it is wrapped in, learns so which part of it wasn't the net.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class _Spent(threading.local):
    seconds = 0.0


_spent = _Spent()


def seconds_preparing() -> float:
    """How long the calling thread has been `preparing` since it began, in seconds."""
    return _spent.seconds


@contextmanager
def preparing() -> Iterator[None]:
    """What is done meanwhile makes a net's picture."""
    begun = time.monotonic()
    try:
        yield
    finally:
        _spent.seconds += time.monotonic() - begun
