"""A hand-off in which only the newest item counts: the live run's, where a late frame is worth nothing."""

from __future__ import annotations

from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """Holds at most one item: a newer one takes the place of one that nobody took. Never blocks the producer.

    `replaced` counts the items that were put and never taken. Thread-safe.
    """

    def __init__(self) -> None:
        self._item: T | None = None
        self._changed = Condition()
        self._closed = False
        self.replaced = 0

    def put(self, item: T) -> T | None:
        """Leaves `item` for the consumer; the item that it displaced, if there was one, goes back to the producer.

        Once closed, `item` itself comes back.
        """
        with self._changed:
            if self._closed:
                return item
            displaced, self._item = self._item, item
            if displaced is not None:
                self.replaced += 1
            self._changed.notify_all()
            return displaced

    def take(self, timeout_s: float) -> T | None:
        """The item, waiting at most so long for one; None if there was none or the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            return item

    def close(self) -> T | None:
        """Wakes the consumer for good; an item that is still inside goes to the caller."""
        with self._changed:
            self._closed = True
            item, self._item = self._item, None
            self._changed.notify_all()
            return item
