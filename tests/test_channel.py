"""The bounded hand-off: order, bound, end, cancellation."""

from __future__ import annotations

import threading
import time

import pytest

from rtmatte.channel import Cancelled, Channel


def test_items_arrive_in_order_and_the_bound_holds() -> None:
    channel: Channel[int] = Channel(3)
    put_so_far = 0

    def produce() -> None:
        nonlocal put_so_far
        for number in range(100):
            channel.put(number)
            put_so_far = number + 1
        channel.close()

    producer = threading.Thread(target=produce)
    producer.start()
    received = []
    for item in channel:
        time.sleep(0.001)
        # What is out is at most: this item, three inside the channel, and one put that is just returning.
        assert put_so_far - len(received) <= 5
        received.append(item)
    producer.join()
    assert received == list(range(100))


def test_close_delivers_what_is_inside() -> None:
    channel: Channel[str] = Channel(2)
    channel.put("a")
    channel.put("b")
    channel.close()
    assert list(channel) == ["a", "b"]


def test_what_is_there_is_taken_together_and_no_more_is_waited_for() -> None:
    channel: Channel[int] = Channel(5)
    for number in range(5):
        channel.put(number)
    assert channel.take(3) == [0, 1, 2]
    assert channel.take(3) == [3, 4]
    channel.put(5)
    channel.close()
    assert channel.take() == [5]
    assert channel.take(3) == channel.take() == []
    channel.cancel()
    with pytest.raises(Cancelled):
        channel.take(3)


@pytest.mark.parametrize("side", ["producer", "consumer"])
def test_cancel_wakes_a_waiting_side(side: str) -> None:
    channel: Channel[int] = Channel(1)
    if side == "producer":
        channel.put(0)
    woken: list[BaseException] = []

    def wait() -> None:
        try:
            if side == "producer":
                channel.put(1)
            else:
                next(iter(channel))
        except Cancelled as error:
            woken.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    channel.cancel()
    thread.join(5)
    assert len(woken) == 1
    with pytest.raises(Cancelled):
        channel.put(2)
