"""Several frames at once: what comes out is what one frame after the other gives."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtmatte
from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import F32, Frame
from rtmatte.matting.load import load_matter
from rtmatte.matting.mirrored import Mirrored
from rtmatte.matting.providers import Device
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.matting.still import SkipsStill
from rtmatte.matting.subject_box import SubjectBox
from tests.clips import FRAME_COUNT, plain
from tests.decoding import decode
from tests.frames import flat_picture, planes
from tests.live_runs import FunctionMatter

_SIZE_WH = (320, 180)


def _frames(values: list[int]) -> list[Frame]:
    """One frame for each grey value."""
    pictures = [flat_picture("i420", _SIZE_WH, (value, 128, 128)) for value in values]
    return [Frame(picture, number, Fraction(1, 30), number) for number, picture in enumerate(pictures)]


def _mean(frame: Frame) -> F32:
    return np.full((12, 20), planes(frame.picture)[0].mean() / 255, np.float32)


def test_it_is_as_one_matter_that_skips_what_is_still() -> None:
    values = [40, 40, 40, 90, 90, 140, 40, 40, 200, 200] * 4
    one, both = FunctionMatter(_mean), [FunctionMatter(_mean) for _ in range(2)]
    skips, beside = SkipsStill(one), SideBySide(both, skip_still=True)
    for frame in _frames(values):
        np.testing.assert_array_equal(beside.estimate(frame), skips.estimate(frame))
    assert sum(matter.calls for matter in both) == one.calls < len(values)


def test_answers_come_at_once_in_any_order_and_those_that_rest_wait_for_theirs() -> None:
    """The first answer is held back until the second one is there, and the third rests on the first's."""
    second_done, resting = threading.Event(), threading.Event()

    def alpha_of(frame: Frame) -> F32:
        if frame.index == 0:
            assert second_done.wait(10)
        return _mean(frame)

    beside = SideBySide([FunctionMatter(alpha_of), FunctionMatter(alpha_of)], skip_still=True)
    moved, still, other = _frames([40, 40, 90])
    with ThreadPoolExecutor(3) as threads:
        questions = [beside.ask(frame) for frame in (moved, still, other)]
        assert [question.rests for question in questions] == [False, True, False]

        def rest() -> F32:
            resting.set()
            return beside.answer(questions[1])

        first, rested = threads.submit(beside.answer, questions[0]), threads.submit(rest)
        assert resting.wait(10)
        np.testing.assert_array_equal(beside.answer(questions[2]), _mean(other))
        assert not first.done()
        assert not rested.done()
        second_done.set()
        np.testing.assert_array_equal(first.result(10), _mean(moved))
        np.testing.assert_array_equal(rested.result(10), _mean(moved))
    first.result()[:] = 0.5
    np.testing.assert_array_equal(rested.result(), _mean(moved), "an array of its own")


def test_an_error_reaches_all_who_share_the_answer_and_the_next_frame_is_looked_at() -> None:
    broken = [True]

    def alpha_of(frame: Frame) -> F32:
        if broken[0]:
            raise ModelOutputError("broken")
        return _mean(frame)

    beside = SideBySide([FunctionMatter(alpha_of)], skip_still=True)
    first, second, third = _frames([40, 40, 40])
    questions = [beside.ask(first), beside.ask(second)]
    for question in questions:
        with pytest.raises(ModelOutputError, match="broken"):
            beside.answer(question)
    broken[0] = False
    np.testing.assert_array_equal(beside.estimate(third), _mean(third))


def test_after_reset_it_looks() -> None:
    matter = FunctionMatter(_mean)
    beside = SideBySide([matter], skip_still=True)
    first, second, third = _frames([40, 40, 40])
    beside.estimate(first)
    beside.estimate(second)
    assert matter.calls == 1
    beside.reset()
    beside.estimate(third)
    assert matter.calls == 2


def test_without_skipping_every_frame_is_estimated() -> None:
    matters = [FunctionMatter(_mean) for _ in range(2)]
    beside = SideBySide(matters)
    for frame in _frames([40] * 6):
        beside.estimate(frame)
        assert beside.ask(frame).small is None
    assert sum(matter.calls for matter in matters) == 6


def test_none_is_too_few() -> None:
    with pytest.raises(SettingsError, match="one matter at least"):
        SideBySide([])


def test_a_net_is_loaded_once_for_all_and_says_so() -> None:
    beside = load_matter("selfie", device="cpu", threads=3, side_by_side=True, skip_still=True)
    assert isinstance(beside, SideBySide)
    assert beside.frames_at_once == 3
    assert beside.provider == "CPUExecutionProvider, 3 threads, 3 frames at once"


@pytest.mark.parametrize(("threads", "at_once", "of_session"), [(2, 2, 1), (4, 4, 1), (6, 4, 3), (8, 4, 5)])
def test_threads_are_shared_out(threads: int, at_once: int, of_session: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's own threads are shared by the callers, each of which is one more."""
    asked = []

    class Counted(OnnxSession):
        def __init__(self, model: bytes, *, device: Device, threads: int, cpu_threads: int, **options: Any) -> None:
            asked.append(cpu_threads)
            super().__init__(model, device=device, threads=threads, cpu_threads=cpu_threads, **options)

    monkeypatch.setattr("rtmatte.matting.load.OnnxSession", Counted)
    beside = load_matter("selfie", device="cpu", threads=threads, side_by_side=True)
    assert isinstance(beside, SideBySide)
    assert beside.frames_at_once == at_once
    assert beside.provider == f"CPUExecutionProvider, {threads} threads, {at_once} frames at once"
    assert asked == [of_session], "the model is loaded once"


def test_what_has_a_memory_or_one_thread_works_on_one_frame() -> None:
    assert not isinstance(load_matter("selfie", device="cpu", threads=1, side_by_side=True), SideBySide)
    near = load_matter("selfie-multiclass-fast", device="cpu", threads=2, side_by_side=True, focus="near")
    assert isinstance(near, SubjectBox)
    assert not isinstance(load_matter("selfie", device="cpu", threads=2), SideBySide)
    assert isinstance(load_matter("selfie", device="cpu", threads=1, both_ways=True), Mirrored)


@pytest.mark.parametrize("both_ways", [False, True])
def test_real_nets_at_once_give_what_one_gives(both_ways: bool) -> None:
    options = {"device": "cpu", "both_ways": both_ways}
    beside = load_matter("selfie-multiclass-int8", threads=3, side_by_side=True, **options)  # type: ignore[arg-type]
    alone = load_matter("selfie-multiclass-int8", threads=1, **options)  # type: ignore[arg-type]
    assert isinstance(beside, SideBySide)
    frames = _frames(list(range(20, 140, 10)))
    rng = np.random.default_rng(3)
    for frame in frames:
        planes(frame.picture)[0][40:140, 100:220] = rng.integers(0, 255, (100, 120))
    with ThreadPoolExecutor(3) as threads:
        answers = list(threads.map(beside.answer, [beside.ask(frame) for frame in frames]))
    for frame, answer in zip(frames, answers, strict=True):
        np.testing.assert_array_equal(answer, alone.estimate(frame))


def test_a_whole_clip_comes_out_the_same_with_any_number_of_threads(tmp_path: Path) -> None:
    clip = plain(tmp_path / "in.mp4")
    results = []
    for threads in (1, 2, 4):
        target = tmp_path / f"{threads}.mkv"
        report = rtmatte.process_video(clip, target, matte=True, threads=threads, device="cpu")
        assert report.frames_out == FRAME_COUNT
        results.append(np.stack(decode(target).luma))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
