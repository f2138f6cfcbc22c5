"""A bounded hand-off between two threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Cancelled(Exception):
    """The other side is gone: the run failed or was interrupted."""


class Channel(Generic[T]):
    """A first-in, first-out queue that holds at most `capacity` items.

    `put` waits while it is full, which is what keeps the memory of a run flat and makes the slowest stage set the pace.
    The producer ends it with `close`; anyone ends it at once with `cancel`, which drops what is in it and wakes both
    sides with `Cancelled`.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = Condition()
        self._closed = False
        self._cancelled = False

    def put(self, item: T) -> None:
        """Hands one item over, waiting for room. Raises `Cancelled` once the channel was cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
            if self._cancelled:
                raise Cancelled
            self._items.append(item)
            self._changed.notify_all()

    def take(self, most: int = 1) -> list[T]:
        """Waits for an item and takes it, with those that are there already behind it, `most` in all.

        An empty list if the channel was closed and is empty. Raises `Cancelled` once the channel was cancelled.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or self._items or self._closed)
            if self._cancelled:
                raise Cancelled
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
            return taken

    def __iter__(self) -> Iterator[T]:
        """Items in order until the channel is closed and empty. Raises `Cancelled` once the channel was cancelled."""
        while taken := self.take():
            yield from taken

    def close(self) -> None:
        """No more items will come; those inside are still delivered."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def cancel(self) -> None:
        """Drops everything and wakes both sides."""
        with self._changed:
            self._cancelled = True
            self._items.clear()
            self._changed.notify_all()
