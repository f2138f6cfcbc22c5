"""The threads: order, overlap, bounded hand-offs, and every way a run can end early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtmatte.errors import StageStalledError
from rtmatte.runs import pipeline
from rtmatte.runs.pipeline import Stage, run_pipeline

STAGES = ["decode", "estimate", "composite", "encode"]


def _threads_left() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("rtmatte-")]


def test_every_item_goes_through_every_stage_in_order() -> None:
    out: list[int] = []
    times = run_pipeline(
        range(500),
        "decode",
        [Stage("double", lambda x: 2 * x), Stage("collect", out.append)],
        stall_timeout_s=10,
    )
    assert out == [2 * x for x in range(500)]
    assert list(times) == ["decode", "double", "collect"]


def test_stages_overlap() -> None:
    """Two stages that wait for each other to be busy at once can only both finish if they run side by side."""
    meeting = threading.Barrier(2, timeout=10)
    met: set[str] = set()

    def meet(name: str) -> None:
        if len(met) < 2:
            meeting.wait()
            met.add(name)

    def first(x: int) -> int:
        if x == 1:
            meet("first")
        return x

    def second(x: int) -> int:
        if x == 0:
            meet("second")
        return x

    run_pipeline(range(3), "s", [Stage("a", first), Stage("b", second)], stall_timeout_s=20)
    assert met == {"first", "second"}


def test_a_slow_stage_bounds_what_is_in_flight() -> None:
    taken = 0
    most = 0
    finished = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield number

    def slow(x: int) -> None:
        nonlocal most, finished
        time.sleep(0.002)
        most = max(most, taken - finished)
        finished += 1

    run_pipeline(source(), "s", [Stage("pass", lambda x: x), Stage("slow", slow)], stall_timeout_s=10)
    assert finished == 60
    assert most <= 8


class Boom(Exception):
    pass


@pytest.mark.parametrize("where", STAGES)
@pytest.mark.parametrize("at_frame", [0, 7])
def test_an_error_in_any_stage_reaches_the_caller_as_it_was(where: str, at_frame: int) -> None:
    error = Boom(where)

    def source() -> Iterator[int]:
        for number in range(100):
            if where == "decode" and number == at_frame:
                raise error
            yield number

    def work(name: str) -> Stage:
        def run(x: int) -> int:
            if name == where and x == at_frame:
                raise error
            return x

        return Stage(name, run)

    with pytest.raises(Boom) as caught:
        run_pipeline(source(), "decode", [work(name) for name in STAGES[1:]], stall_timeout_s=10)
    assert caught.value is error
    assert _threads_left() == []


@pytest.mark.parametrize("where", STAGES)
def test_a_stalled_stage_is_named(where: str) -> None:
    released = threading.Event()

    def source() -> Iterator[int]:
        for number in range(10):
            if where == "decode" and number == 3:
                released.wait(30)
            yield number

    def work(name: str) -> Stage:
        def run(x: int) -> int:
            if name == where and x == 3:
                released.wait(30)
            return x

        return Stage(name, run)

    try:
        with pytest.raises(StageStalledError, match=f"The {where} stage made no progress for 0.3 s after 3 frames"):
            run_pipeline(source(), "decode", [work(name) for name in STAGES[1:]], stall_timeout_s=0.3)
    finally:
        released.set()


def test_a_call_that_is_over_by_the_next_look_has_not_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where another stage loads a model and keeps Python's lock for minutes: then nobody can go on, nor look."""
    looked, out, now = threading.Event(), list[int](), 0.0
    monkeypatch.setattr(pipeline, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(pipeline, "_WATCH_INTERVAL_S", 0.5)

    def source() -> Iterator[int]:
        nonlocal now
        yield 0
        now += 600
        looked.clear()
        assert looked.wait(10)
        yield 1

    run_pipeline(
        source(), "decode", [Stage("x", out.append)], stall_timeout_s=60, on_progress=lambda _done: looked.set()
    )
    assert out == [0, 1]


def test_a_source_that_ends_early_ends_the_run() -> None:
    out: list[int] = []
    run_pipeline(iter([1, 2]), "s", [Stage("x", out.append)], stall_timeout_s=10)
    run_pipeline(iter([]), "s", [Stage("x", out.append)], stall_timeout_s=10)
    assert out == [1, 2]


def test_an_interrupt_in_the_caller_ends_all_threads() -> None:
    def interrupt(_done: int) -> None:
        raise KeyboardInterrupt

    def endless() -> Iterator[int]:
        while True:
            yield 0

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(endless(), "s", [Stage("x", lambda x: x)], stall_timeout_s=10, on_progress=interrupt)
    assert _threads_left() == []


def test_progress_ends_with_the_number_of_items() -> None:
    seen: list[int] = []
    run_pipeline(range(20), "s", [Stage("x", lambda x: x)], stall_timeout_s=10, on_progress=seen.append)
    assert seen[-1] == 20
    assert seen == sorted(seen)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 200])
def test_items_that_are_worked_on_at_once_are_taken_and_handed_on_in_order(count: int) -> None:
    taken: list[int] = []
    out: list[int] = []

    def take(x: int) -> int:
        taken.append(x)
        return x + 1

    def work(x: int) -> int:
        time.sleep(0.001 * (x % 3))  # later ones are often ready sooner
        return x

    times = run_pipeline(
        range(count), "s", [Stage("both", work, take=take, at_once=3), Stage("x", out.append)], stall_timeout_s=10
    )
    assert taken == list(range(count))
    assert out == [x + 1 for x in range(count)]
    assert list(times) == ["s", "both", "x"]
    assert _threads_left() == []


def test_a_stage_works_on_as_many_items_at_once_as_it_says() -> None:
    """Three items that wait for each other can only get through together."""
    meeting = threading.Barrier(3, timeout=10)

    def meet(x: int) -> int:
        meeting.wait()
        return x

    run_pipeline(range(9), "s", [Stage("three", meet, at_once=3)], stall_timeout_s=20)


def test_times_and_progress_count_each_item_once_where_several_work_at_once() -> None:
    seen: list[int] = []
    times = run_pipeline(
        range(40),
        "s",
        [Stage("both", lambda x: x, at_once=2)],
        stall_timeout_s=10,
        on_progress=seen.append,
    )
    assert seen[-1] == 40
    assert times["both"].count == times["s"].count == 40


@pytest.mark.parametrize("where", ["take", "work", "after"])
def test_an_error_ends_a_stage_of_several_threads_too(where: str) -> None:
    error = Boom(where)
    held = threading.Event()

    def at(place: str) -> Callable[[int], int]:
        def run(x: int) -> int:
            if place == where and x == 5:
                raise error
            return x

        return run

    def work(x: int) -> int:
        if where == "work" and x == 4:
            held.wait(0.2)  # so that the failing item's neighbours are still under way, or wait for their turn
        return at("work")(x)

    stages = [Stage("both", work, take=at("take"), at_once=3), Stage("after", at("after"))]
    with pytest.raises(Boom) as caught:
        run_pipeline(range(100), "s", stages, stall_timeout_s=10)
    assert caught.value is error
    assert _threads_left() == []


def test_one_of_several_that_hangs_is_a_stall() -> None:
    released = threading.Event()

    def work(x: int) -> int:
        if x == 3:
            released.wait(30)
        return x

    try:
        with pytest.raises(StageStalledError, match="The both stage made no progress for 0.3 s"):
            run_pipeline(range(10), "s", [Stage("both", work, at_once=2)], stall_timeout_s=0.3)
    finally:
        released.set()


@settings(max_examples=60, deadline=None)
@given(
    together=st.integers(1, 5),
    at_once=st.integers(1, 2),
    behind=st.lists(st.integers(0, 12), max_size=30),
)
def test_items_are_worked_on_together_however_they_come(together: int, at_once: int, behind: list[int]) -> None:
    """Item n comes when all but so many of those before it are through: so a stage that waited for more would hang."""
    out: list[int] = []
    sizes: list[int] = []
    moved = threading.Condition()

    def source() -> Iterator[int]:
        for number, allowed in enumerate(behind):
            with moved:
                assert moved.wait_for(lambda number=number, allowed=allowed: len(out) >= number - allowed, 20)
            yield number

    def work(items: list[int]) -> list[int]:
        sizes.append(len(items))
        return [2 * item for item in items]

    def collect(item: int) -> None:
        with moved:
            out.append(item)
            moved.notify_all()

    alone = together == 1
    stage = Stage(
        "both", (lambda x: 2 * x) if alone else work, take=lambda x: x + 1, at_once=at_once, together=together
    )
    times = run_pipeline(source(), "s", [stage, Stage("x", collect)], stall_timeout_s=30)
    assert out == [2 * (number + 1) for number in range(len(behind))]
    assert max(sizes, default=1) <= together
    assert alone or sum(sizes) == len(behind)
    assert times["both"].count == len(behind)
    assert _threads_left() == []


class Gathering:
    """A source and a stage: the first call of the stage has one item, and ends when all the others have come."""

    def __init__(self, count: int, together: int, second: Callable[[], object] = lambda: None) -> None:
        self.calls: list[list[int]] = []
        self.stage = Stage("several", self._work, together=together)
        self._count, self._second = count, second
        self._began, self._gathered = threading.Event(), threading.Event()

    def source(self) -> Iterator[int]:
        yield 0
        assert self._began.wait(20)
        yield from range(1, self._count)
        self._gathered.set()

    def _work(self, items: list[int]) -> list[int]:
        self.calls.append(items)
        if len(self.calls) == 1:
            self._began.set()
            assert self._gathered.wait(20)
        elif len(self.calls) == 2:
            self._second()
        return items


def test_what_waits_is_worked_on_together() -> None:
    gathering, out = Gathering(5, 4), list[int]()
    run_pipeline(gathering.source(), "s", [gathering.stage, Stage("x", out.append)], stall_timeout_s=30)
    assert gathering.calls == [[0], [1, 2, 3, 4]]
    assert out == list(range(5))


@pytest.mark.parametrize("count", [*range(1, 10), 200])
def test_a_clip_may_end_anywhere_in_what_is_worked_on_together(count: int) -> None:
    out: list[int] = []
    stage = Stage("four", lambda items: [2 * item for item in items], together=4)
    run_pipeline(range(count), "s", [stage, Stage("x", out.append)], stall_timeout_s=10)
    assert out == [2 * number for number in range(count)]
    assert _threads_left() == []


@pytest.mark.parametrize("where", ["take", "work", "after"])
@pytest.mark.parametrize("at", [0, 5, 6])
def test_an_error_in_the_middle_of_what_is_worked_on_together_ends_the_run(where: str, at: int) -> None:
    error = Boom(where)

    def at_place(place: str) -> Callable[[int], int]:
        def run(x: int) -> int:
            if place == where and x == at:
                raise error
            return x

        return run

    work, out = at_place("work"), list[int]()
    stages = [
        Stage("four", lambda items: [work(item) for item in items], take=at_place("take"), together=4),
        Stage("after", at_place("after")),
        Stage("x", out.append),
    ]
    with pytest.raises(Boom) as caught:
        run_pipeline(range(100), "s", stages, stall_timeout_s=10)
    assert caught.value is error
    assert out == list(range(len(out)))
    assert len(out) <= at
    assert _threads_left() == []


def test_what_is_worked_on_together_is_bounded() -> None:
    taken = finished = most = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for number in range(60):
            taken += 1
            yield number

    def slow(x: int) -> None:
        nonlocal finished, most
        most = max(most, taken - finished)
        time.sleep(0.002)
        finished += 1

    stages = [Stage("four", lambda items: items, together=4), Stage("slow", slow)]
    run_pipeline(source(), "s", stages, stall_timeout_s=10)
    assert finished == 60
    # Four in either channel and four between them; one in the hands of each of the source and the slow stage.
    assert most <= 3 * 4 + 2


def test_several_together_may_take_as_long_as_each_of_them() -> None:
    """Four items in three times what one may take are no stall; one that hangs is."""
    released = threading.Event()
    gathering = Gathering(5, 4, second=lambda: released.wait(0.9))
    run_pipeline(gathering.source(), "s", [gathering.stage], stall_timeout_s=0.3)
    assert gathering.calls == [[0], [1, 2, 3, 4]]
    try:
        with pytest.raises(StageStalledError, match="The four stage made no progress for 0.3 s"):
            hangs = Stage("four", lambda items: [released.wait(30) for _ in items], together=4)
            run_pipeline(range(1), "s", [hangs], stall_timeout_s=0.3)
    finally:
        released.set()
