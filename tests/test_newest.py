"""The hand-off in which only the newest item counts."""

from __future__ import annotations

import threading

from rtmatte.newest import Newest


def test_a_newer_item_takes_the_place_of_one_that_nobody_took() -> None:
    slot: Newest[int] = Newest()
    assert slot.take(0) is None
    assert slot.put(1) is None
    assert slot.put(2) == 1
    assert slot.put(3) == 2
    assert slot.take(0) == 3
    assert slot.take(0) is None
    assert slot.replaced == 2


def test_closing_wakes_the_consumer_and_hands_back_what_is_inside_and_what_comes_later() -> None:
    slot: Newest[int] = Newest()
    got: list[int | None] = []
    consumer = threading.Thread(target=lambda: got.append(slot.take(30)))
    consumer.start()
    slot.close()
    consumer.join(10)
    assert got == [None]
    assert slot.put(4) == 4
    assert slot.take(0) is None
    other: Newest[int] = Newest()
    other.put(5)
    assert other.close() == 5


def test_no_item_is_lost_or_doubled_between_threads() -> None:
    slot: Newest[int] = Newest()
    displaced: list[int] = []
    taken: list[int] = []

    def produce() -> None:
        displaced.extend(old for number in range(5000) if (old := slot.put(number)) is not None)

    producer = threading.Thread(target=produce)
    producer.start()
    while producer.is_alive():
        if (item := slot.take(0.001)) is not None:
            taken.append(item)
    producer.join()
    if (item := slot.take(0)) is not None:
        taken.append(item)
    assert taken == sorted(taken)
    assert sorted(taken + displaced) == list(range(5000))
    assert slot.replaced == len(displaced)
