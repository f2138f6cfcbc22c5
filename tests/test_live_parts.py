"""The small parts of the live run: what each decides, on made-up numbers and clocks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import I420, ColorTags, Frame
from rtmatte.machine import resident_bytes, usable_cores
from rtmatte.pool import PicturePool
from rtmatte.runs.live.cpu_cap import CpuCap
from rtmatte.runs.live.framing import Framing
from rtmatte.runs.live.guard import Guard
from rtmatte.runs.live.keys import ACTION_OF_KEY, HELP
from rtmatte.runs.live.mask_policy import MaskPolicy
from rtmatte.runs.live.presence import Presence
from rtmatte.settings import LiveSettings
from rtmatte.stats import LatencyHistogram, RecentLatency
from tests.frames import BT601, BT709, TIME_BASE, copy_of, noise_picture

FULL = ColorTags(matrix_code=6, full_range=True, range_tagged=True)


def mask(covered: float, uncertain: float = 0.0) -> np.ndarray:
    alpha = np.zeros(1000, np.float32)
    alpha[: round(1000 * covered)] = 1
    alpha[: round(1000 * uncertain)] = 0.5
    return alpha.reshape(25, 40)


@pytest.mark.parametrize("alpha", [mask(0), mask(0.3), mask(0.9), mask(0.5, 0.5)])
def test_usual_masks_are_trusted_at_once(alpha: np.ndarray) -> None:
    assert Guard().doubt(alpha) is None


@pytest.mark.parametrize(("alpha", "says"), [(mask(1), "100%"), (mask(0.98), "98%"), (mask(0.5, 0.7), "unsure")])
def test_a_doubtful_mask_is_doubted_until_five_good_ones_came(alpha: np.ndarray, says: str) -> None:
    guard = Guard()
    assert guard.doubt(mask(0.3)) is None
    assert says in (guard.doubt(alpha) or "")
    assert [guard.doubt(mask(0.3)) is None for _ in range(6)] == [False] * 4 + [True] * 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_alpha_is_an_error(value: float) -> None:
    alpha = mask(0.3)
    alpha[3, 3] = value
    with pytest.raises(ModelOutputError):
        Guard().doubt(alpha)


def test_away_after_the_time_and_back_at_once() -> None:
    presence = Presence(2.0)
    seen = [presence.look(mask(covered), seconds) for covered, seconds in [(0.3, 0), (0, 1), (0, 1.9), (0, 2.1)]]
    assert seen == [False, False, False, True]
    assert presence.look(mask(0.015), 2.2), "a hand at the edge is nobody yet"
    assert not presence.look(mask(0.03), 2.3)
    assert not presence.look(mask(0.015), 4), "and somebody at the edge is still somebody"
    assert not presence.look(mask(0), 5.9)
    assert presence.look(mask(0), 6.1)
    presence.reset()
    assert not presence.look(mask(0), 100)
    assert not Presence(None).look(mask(0), 1e9)


def test_the_processor_cap_sleeps_off_what_was_used_too_much() -> None:
    now = used = 0.0
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    cores = usable_cores()
    cap = CpuCap(50, clock=lambda: now, used=lambda: used, sleep=sleep)
    begun = now
    for _ in range(200):  # works on all cores as hard as it may
        now += 0.01
        used += 0.01 * cores
        cap.pause()
    assert used / (now - begun) / cores == pytest.approx(0.5, rel=0.02)
    before = len(slept)
    for _ in range(20):  # a rest
        now += 0.1
        cap.pause()
    assert len(slept) == before
    for _ in range(100):
        now += 0.01
        used += 0.01 * cores
        cap.pause()
    assert sum(slept[before:]) > 0.8, "what was saved by resting isn't spent in one burst"


def test_the_processor_cap_bounds_threads() -> None:
    assert CpuCap(None).threads(None) is None
    assert CpuCap(None).threads(7) == 7
    assert CpuCap(100).threads(None) == usable_cores()
    assert CpuCap(5).threads(64) == max(1, usable_cores() // 20)


def busy(milliseconds: float, count: int = 20) -> RecentLatency:
    times = RecentLatency()
    for _ in range(count):
        times.add(milliseconds / 1e3, 0.0)
    return times


def test_auto_changes_to_carried_masks_and_back_with_hysteresis() -> None:
    policy = MaskPolicy("auto", 25)  # 40 ms a frame
    assert not policy.carries
    assert not policy.reconsider(busy(30), SimpleNamespace(times=busy(20)), 0)
    assert not policy.reconsider(busy(90, count=3), SimpleNamespace(times=busy(80)), 1), "too few to tell"
    assert policy.reconsider(busy(60), SimpleNamespace(times=busy(50)), 2)
    assert policy.carries
    assert not policy.reconsider(busy(3), SimpleNamespace(times=busy(5)), 11), "too soon"
    assert not policy.reconsider(busy(3), SimpleNamespace(times=busy(25)), 30), "not fast enough"
    assert policy.reconsider(busy(3), SimpleNamespace(times=busy(10)), 30)
    assert not policy.carries


@pytest.mark.parametrize(("choice", "carries"), [("drop", False), ("propagate", True)])
def test_the_users_choice_stays(choice: str, carries: bool) -> None:
    policy = MaskPolicy(choice, 25)  # type: ignore[arg-type]
    for milliseconds in (1, 500):
        assert not policy.reconsider(busy(milliseconds), SimpleNamespace(times=busy(milliseconds)), 100)
        assert policy.carries is carries


def test_a_run_may_begin_with_carried_masks_and_go_back_as_soon_as_it_can() -> None:
    policy = MaskPolicy("auto", 25)
    policy.begin(carries=True)
    assert policy.carries
    assert policy.reconsider(busy(3), SimpleNamespace(times=busy(10)), 1)
    assert not policy.carries
    for choice, carries in (("drop", False), ("propagate", True)):
        told = MaskPolicy(choice, 25)  # type: ignore[arg-type]
        told.begin(carries=not carries)
        assert told.carries is carries, "what the user says goes"


def test_frames_of_the_right_form_pass_untouched() -> None:
    picture = noise_picture("i420", (64, 36), BT601)
    framed = Framing((64, 36), BT601, PicturePool(), mirror=False).frame(Frame(picture, 5, TIME_BASE, 7))
    assert isinstance(framed.picture, I420)
    assert isinstance(picture, I420)
    assert framed.picture.buffer is picture.buffer
    assert (framed.pts, framed.index) == (5, 7)


def test_the_range_of_a_camera_is_converted_exactly() -> None:
    picture = noise_picture("i420", (64, 36), FULL)
    before = copy_of(picture)
    framed = Framing((64, 36), BT601, PicturePool(), mirror=False).frame(Frame(picture, 0, TIME_BASE, 0)).picture
    assert isinstance(framed, I420)
    assert isinstance(before, I420)
    assert framed.color == BT601
    assert np.abs(framed.y - (16 + before.y.astype(float) * 219 / 255)).max() <= 0.51
    for got, was in ((framed.u, before.u), (framed.v, before.v)):
        assert np.abs(got - (128 + (was - 128.0) * 224 / 255)).max() <= 0.51


@pytest.mark.parametrize("size_wh", [(32, 24), (200, 100), (37, 91)])
@pytest.mark.parametrize("color", [BT601, BT709, FULL])
def test_another_size_fills_the_output_and_buffers_go_back(size_wh: tuple[int, int], color: ColorTags) -> None:
    pool = PicturePool()
    framing = Framing((64, 36), BT601, pool, mirror=True)
    for _ in range(5):
        picture = pool.acquire(size_wh, color)
        for plane, value in zip(picture.planes, (100, 128, 128), strict=True):
            plane.fill(value)
        framed = framing.frame(Frame(picture, 0, TIME_BASE, 0)).picture
        assert isinstance(framed, I420)
        assert framed.size_wh == (64, 36)
        assert framed.color == BT601
        assert np.ptp(framed.y.astype(int)) == 0
        pool.release(framed)
    assert pool.allocated <= 8


def test_mirroring_swaps_left_and_right_of_every_plane() -> None:
    picture = noise_picture("i420", (64, 36), BT601)
    before = copy_of(picture)
    framed = Framing((64, 36), BT601, PicturePool(), mirror=True).frame(Frame(picture, 0, TIME_BASE, 0)).picture
    assert isinstance(framed, I420)
    assert isinstance(before, I420)
    for got, was in zip(framed.planes, before.planes, strict=True):
        assert np.array_equal(got, was[:, ::-1])


def test_recent_latencies_forget_and_histograms_add_up() -> None:
    recent = RecentLatency(window_seconds=5)
    for second in range(10):
        recent.add(1.0, second)
    for second in range(10, 20):
        recent.add(0.01, second)
    recent.add(0.01, 21)
    assert recent.percentile_ms(99) == pytest.approx(10, rel=0.02)
    one, other = LatencyHistogram(), LatencyHistogram()
    one.add(0.001)
    other.add(0.1)
    both = one + other
    assert (both.count, both.total_seconds) == (2, pytest.approx(0.101))
    assert both.percentile_ms(50) == pytest.approx(1, rel=0.02)
    assert both.percentile_ms(100) == pytest.approx(100, rel=0.02)


def test_keys_are_told_apart_and_helped_with() -> None:
    assert len(ACTION_OF_KEY) == len(HELP) == 9
    assert ACTION_OF_KEY["q"] == "quit"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"backgrounds": ()}, "--background"),
        ({"backgrounds": ("blur", "none")}, "can't be transparent"),
        ({"size_wh": (641, 480)}, "641x480"),
        ({"size_wh": (8, 8)}, "--size"),
        ({"when_slow": "wait"}, "--when-slow: expected one of auto, drop, propagate, got 'wait'"),
        ({"max_cpu_percent": 0}, "--max-cpu: expected 5 to 100, got 0"),
    ],
)
def test_settings_out_of_range_are_told(fields: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        LiveSettings(**fields)  # type: ignore[arg-type]


def test_the_process_knows_its_memory() -> None:
    before = resident_bytes()
    assert before is not None
    held = np.ones(400_000_000, np.uint8)
    after = resident_bytes()
    assert after is not None
    assert after - before > 200_000_000
    del held
