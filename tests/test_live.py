"""The live run as a whole: whose mask a frame gets, how fresh it is, and what a user can do to it."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtmatte.capture.synthetic import draw_test_pattern, read_frame_number
from rtmatte.errors import (
    CameraNotFoundError,
    OutputWriteError,
    SettingsError,
    UnknownModelError,
    VirtualCameraError,
)
from rtmatte.frame import F32, I420, U8, Frame
from rtmatte.matting.load import load_matter
from rtmatte.output.fake_virtual_camera import CountingCamera
from rtmatte.runs.live.run import run_live
from rtmatte.runs.live.status import LiveStatus
from rtmatte.settings import LiveSettings
from tests.live_runs import FunctionMatter, live, nobody, upper_half

_STAMP_BITS = 40


def _stamp_block(bit: int, plane: U8) -> U8:
    row, column = divmod(bit, 10)
    height, width = plane.shape[0] // 2 // 4, plane.shape[1] // 10
    return plane[row * height : (row + 1) * height, column * width : (column + 1) * width]


def draw_stamp(picture: I420, _number: int) -> None:
    """Writes the time, in microseconds, into the upper half."""
    picture.buffer.fill(128)
    microseconds = time.monotonic_ns() // 1000
    for bit in range(_STAMP_BITS):
        _stamp_block(bit, picture.y).fill(200 if microseconds >> bit & 1 else 40)


def read_stamp(picture: I420) -> int:
    return sum(int(_stamp_block(bit, picture.y)[1:-1, 1:-1].mean() > 120) << bit for bit in range(_STAMP_BITS))


def test_the_time_in_the_pixels_is_the_time_that_is_reported() -> None:
    latencies_ms: list[float] = []
    apart_ms: list[float] = []

    def look(frame: Frame) -> None:
        assert isinstance(frame.picture, I420)
        if (frame.picture.y[: 96 // 2] == frame.picture.y[0, 0]).all() or frame.pts == 0:
            return
        written = read_stamp(frame.picture)
        now = time.monotonic_ns()
        if now // 1000 - written < 10_000_000:  # a card has no stamp
            latencies_ms.append(now / 1e6 - written / 1e3)
            apart_ms.append(frame.pts / 1e6 - written / 1e3)

    with live(lambda: FunctionMatter(upper_half), look=look, draw=draw_stamp, camera_rate=40) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.sent >= 60)
        status = run.statuses[-1]
    assert len(latencies_ms) >= 50
    # The camera takes the time right after drawing; what was sent carries the time of its own picture, not of another.
    assert min(apart_ms) >= -0.002
    assert np.percentile(apart_ms, 90) < 1000 / 40
    # Reported from pts to the device's having it, read here just before that: both within one run's own spread.
    assert np.percentile(latencies_ms, 1) * 0.9 <= status.latency_ms_p50 <= max(latencies_ms) * 1.1
    assert status.latency_ms_p50 <= status.latency_ms_p95 <= status.latency_ms_p99


class StripAt:
    """A bright strip whose place tells the frame's number, and a mask that finds it by looking at the number."""

    def draw(self, picture: I420, number: int) -> None:
        draw_test_pattern(picture, number)
        picture.y[48:72] = 20
        picture.y[48:72, 20 * (number % 8) : 20 * (number % 8) + 20] = 230

    def alpha_of(self, frame: Frame) -> F32:
        assert isinstance(frame.picture, I420)
        alpha = np.zeros((96, 160), np.float32)
        alpha[:24] = 1
        place = 20 * (read_frame_number(frame.picture) % 8)
        alpha[48:72, place : place + 20] = 1
        return alpha


def test_each_mask_is_used_with_its_own_frame_and_only_fresh_frames_are_shown() -> None:
    """A model slower than the camera: frames are dropped, and the mask cuts out just where its own frame's strip is."""
    strip, numbers, wrong = StripAt(), list[int](), list[int]()

    def slowly(frame: Frame) -> F32:
        time.sleep(0.04)
        return strip.alpha_of(frame)

    def look(frame: Frame) -> None:
        picture = frame.picture
        assert isinstance(picture, I420)
        row = picture.y[60].astype(int)
        bright = np.flatnonzero(row > 200)
        if frame.pts and bright.size:
            number = read_frame_number(picture)
            numbers.append(number)
            if not (bright.min() == 20 * (number % 8) and bright.size == 20 and (row > 60).all()):
                wrong.append(number)

    with live(lambda: FunctionMatter(slowly), look=look, draw=strip.draw, camera_rate=90) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.sent >= 25)
    status = run.result
    assert status is not None
    assert len(numbers) >= 25
    assert not wrong
    assert numbers == sorted(set(numbers))
    assert status.dropped > 20
    # Every captured frame is accounted for: sent, or dropped for a newer one, or in one of the few hands at the end.
    assert 0 <= status.captured - status.dropped - status.sent <= 6 + status.replaced


def _draw_disc(picture: I420, number: int) -> None:
    """A textured disc that moves right by two pixels a frame over a textured floor, the number in the corner."""
    rng = np.random.default_rng(3)
    floor = cv2.GaussianBlur(rng.integers(30, 110, (96, 160)).astype(np.uint8), (0, 0), 2)
    texture = cv2.GaussianBlur(rng.integers(150, 255, (96, 320)).astype(np.uint8), (0, 0), 2)
    rows, columns = np.mgrid[:96, :160]
    inside = (rows - 60) ** 2 + (columns - _disc_x(number)) ** 2 < 24**2
    shift = 160 - _disc_x(number)
    picture.y[:] = np.where(inside, texture[:, shift : shift + 160], floor)
    picture.u.fill(90)
    picture.v.fill(160)
    for bit in range(8):
        picture.y[:12, 20 * bit : 20 * bit + 20] = 200 if number >> bit & 1 else 40


def _disc_x(number: int) -> int:
    return 30 + 2 * (number % 50)


def _number_of(picture: I420) -> int:
    return sum(int(picture.y[3:9, 20 * bit + 4 : 20 * bit + 16].mean() > 120) << bit for bit in range(8))


def test_carried_masks_show_every_frame_and_follow_what_moves() -> None:
    def slowly(frame: Frame) -> F32:
        assert isinstance(frame.picture, I420)
        time.sleep(0.1)
        rows, columns = np.mgrid[:96, :160]
        alpha = ((rows - 60) ** 2 + (columns - _disc_x(_number_of(frame.picture))) ** 2 < 24**2).astype(np.float32)
        alpha[:14] = 1
        return alpha

    numbers, errors = list[int](), list[float]()

    def look(frame: Frame) -> None:
        picture = frame.picture
        assert isinstance(picture, I420)
        shown = (np.abs(picture.u.astype(int) - 90) < 6)[8:] & (np.abs(picture.v.astype(int) - 160) < 6)[8:]
        if frame.pts and shown.any() and _number_of(picture) % 50 not in (0, 1, 2, 3, 4, 5, 6, 7, 8):  # after the jump
            numbers.append(_number_of(picture))
            rows, columns = np.mgrid[8:48, :80]
            truth = (2 * rows - 60) ** 2 + (2 * columns - _disc_x(numbers[-1])) ** 2 < 24**2
            errors.append(float(np.count_nonzero(shown != truth)) / np.count_nonzero(truth))

    with live(lambda: FunctionMatter(slowly), look=look, draw=_draw_disc, camera_rate=30, when_slow="propagate") as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.sent >= 90)
    status = run.result
    assert status is not None
    assert status.masks == "carried"
    assert status.sent > 5 * (status.seconds / 0.1) / 4, "more frames than the model managed"
    # Held still instead of carried on, the mask would be off by four pixels and more: a fifth of the disc's area.
    assert np.median(errors) < 0.12


def test_auto_carries_masks_only_if_the_model_is_too_slow() -> None:
    for seconds, masks in ((0.0, "own"), (0.09, "carried")):

        def slowly(_frame: Frame, seconds: float = seconds) -> F32:
            time.sleep(seconds)
            return upper_half(_frame)

        with live(lambda: FunctionMatter(slowly), camera_rate=20, when_slow="auto", frame_rate_requested=20) as run:
            run.script().frames(100_000)
            run.wait_status(lambda status: status.sent >= 25)
            run.wait_status(lambda status: status.masks == masks)  # noqa: B023


def test_nobody_there_brings_a_card_and_somebody_takes_it_away() -> None:
    somebody = threading.Event()
    somebody.set()
    with live(
        lambda: FunctionMatter(lambda frame: upper_half(frame) if somebody.is_set() else nobody(frame)),
        away_after_s=0.5,
    ) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        somebody.clear()
        run.wait_status(lambda status: status.showing.startswith("away"))
        somebody.set()
        run.wait_status(lambda status: status.showing == "picture")


def test_it_rests_while_nobody_reads_the_device() -> None:
    model = FunctionMatter(upper_half)
    with live(lambda: model) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        run.output.watchers = 0
        run.wait_status(lambda status: status.showing.startswith("idle"))
        calls = model.calls
        run.wait_sent(3)
        assert model.calls <= calls + 1
        run.output.watchers = 2
        run.wait_status(lambda status: status.showing == "picture")


@pytest.mark.parametrize("setting", [{"idle": False}, {}], ids=["told not to", "the system doesn't tell"])
def test_it_does_not_rest_otherwise(setting: dict[str, Any]) -> None:
    with live(lambda: FunctionMatter(upper_half), **setting) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture")
        run.output.watchers = 0 if setting else None
        run.wait_status(lambda status: status.seconds > 3)
        assert run.statuses[-1].watched
        assert all(status.showing == "picture" for status in run.statuses[-10:])


def test_a_stop_is_quick_even_with_a_model_that_hangs() -> None:
    released, hanging = threading.Event(), threading.Event()

    def hang(frame: Frame) -> F32:
        hanging.set()
        assert released.wait(20)
        return nobody(frame)

    try:
        with live(lambda: FunctionMatter(hang)) as run:
            run.script().frames(100_000)
            run.wait(hanging.is_set)
            run.stop.set()
            run.wait(lambda: run.result is not None)
            assert not released.is_set()
    finally:
        released.set()


@pytest.mark.parametrize("when_slow", ["drop", "propagate"])
def test_the_end_waits_for_a_model_that_is_slow_but_works(when_slow: str) -> None:
    """A process that exits while its threads are in the runtime crashes there."""
    begun: list[int] = []

    def slow(frame: Frame) -> F32:
        begun.append(frame.index)
        time.sleep(1.2)
        return nobody(frame)

    with live(lambda: FunctionMatter(slow), when_slow=when_slow) as run:
        run.script().frames(100_000)
        run.wait(lambda: len(begun) == 2)
        run.stop.set()
        run.wait(lambda: run.result is not None)
        names = {thread.name for thread in threading.enumerate()}
    assert not names & {"rtmatte-compose", "rtmatte-estimate"}


def test_the_end_of_the_camera_is_the_end_of_the_run() -> None:
    with live(lambda: FunctionMatter(upper_half), camera_rate=None) as run:
        camera = run.script()
        camera.frames(20)
        camera.end()
        run.wait(lambda: run.result is not None)
    assert run.result is not None
    assert run.result.captured == 20
    assert run.result.dropped == 0
    assert run.result.camera_state == "ended"


def test_buffers_go_round_and_memory_stays() -> None:
    with live(lambda: FunctionMatter(upper_half), camera_rate=200) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.sent >= 300)
        assert run.pool is not None
        assert run.pool.allocated <= 12


def test_statistics_for_machines(tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    port = _free_port()
    stats = tmp_path / "stats.jsonl"
    with live(lambda: FunctionMatter(upper_half), stats=stats, metrics_port=port) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.seconds > 2.5 and status.showing == "picture")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            page = answer.read().decode()
    lines = [json.loads(line) for line in stats.read_text().splitlines()]
    assert len(lines) >= 3
    assert all(line["camera"] == "scripted camera" and line["unix_seconds"] > 1e9 for line in lines)
    assert [line["sent"] for line in lines] == sorted(line["sent"] for line in lines)
    values = dict(line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("rtmatte_"))
    assert float(values["rtmatte_sent_total"]) > 0
    assert float(values["rtmatte_showing_picture"]) == 1
    assert float(values["rtmatte_faults_total"]) == 0


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run_shortly(**arguments: Any) -> LiveStatus:
    stop = threading.Event()
    settings = LiveSettings(**({"camera": "pattern", "output": "null"} | arguments.pop("settings", {})))
    return run_live(settings, on_status=lambda status: stop.set() if status.sent > 3 else None, stop=stop, **arguments)


def test_what_is_wrong_from_the_start_is_raised(tmp_path: Path) -> None:
    def no_device(_size_wh: tuple[int, int]) -> CountingCamera:
        raise VirtualCameraError("no virtual camera")

    with pytest.raises(VirtualCameraError, match="no virtual camera"):
        _run_shortly(output=no_device)
    with pytest.raises(UnknownModelError):
        _run_shortly(settings={"model": "nope"})
    with pytest.raises(CameraNotFoundError):
        _run_shortly(settings={"camera": "a camera that nobody has"})
    with pytest.raises(OutputWriteError):
        _run_shortly(settings={"stats": tmp_path / "nowhere" / "stats.jsonl"})
    with pytest.raises(SettingsError, match="neither a file"):
        _run_shortly(settings={"backgrounds": ("no-such.jpg",)})


def test_the_real_thing_without_devices() -> None:
    """A pattern camera, a shipped model, blur, no device: the whole way with nothing replaced but the hardware."""
    status = _run_shortly(settings={"size_wh": (320, 240), "away_after_s": None}, matter=lambda: load_matter("u2netp"))
    assert status.camera == "test pattern"
    assert status.model == "u2netp"
    assert status.output == "null"
    assert status.faults == 0
    assert set(status.as_dict()) >= {"sent", "latency_ms_p95", "memory_bytes"}
    json.dumps(status.as_dict())


def test_what_the_keys_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each action through the composer's queue, as the preview's keys put them there."""
    from rtmatte.runs.live import run as run_module

    composers: list[Any] = []
    original = run_module.Composer

    def spy(*args: Any, **kwargs: Any) -> Any:
        composers.append(original(*args, **kwargs))
        return composers[-1]

    monkeypatch.setattr(run_module, "Composer", spy)
    sides: list[tuple[float, float]] = []

    def look(frame: Frame) -> None:
        assert isinstance(frame.picture, I420)
        u = frame.picture.u
        sides.append((float(u[:, :20].mean()), float(u[:, -20:].mean())))

    def draw(picture: I420, _number: int) -> None:
        picture.buffer.fill(128)
        picture.u[:, :40] = 60

    def left_quarter(_frame: Frame) -> F32:
        alpha = np.ones((24, 40), np.float32)
        alpha[12:] = 0
        return alpha

    with live(lambda: FunctionMatter(left_quarter), look=look, draw=draw, backgrounds=("#808080", "blur:0.5")) as run:
        run.script().frames(100_000)
        run.wait_status(lambda status: status.showing == "picture" and status.background == "#808080")
        run.wait(lambda: sides[-1][0] < sides[-1][1])
        composer = composers[0]
        composer.actions.put("mirror")
        run.wait(lambda: sides[-1][0] > sides[-1][1])
        composer.actions.put("next-background")
        run.wait_status(lambda status: status.background == "blur:0.5")
        composer.actions.put("more-blur")
        run.wait_status(lambda status: status.background == "blur:0.6")
        for _ in range(9):
            composer.actions.put("less-blur")
        run.wait_status(lambda status: status.background == "blur:0.1")
        composer.actions.put("next-background")
        run.wait_status(lambda status: status.background == "#808080")
        composer.actions.put("pause")
        run.wait_status(lambda status: status.showing == "paused" and status.paused)
        composer.actions.put("pause")
        run.wait_status(lambda status: status.showing == "picture")
        composer.actions.put("smoothing")
        composer.actions.put("split")
        run.wait(lambda: composer.split)
        run.wait_status(lambda status: status.showing == "picture")


def test_the_users_own_safe_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "away.png"), np.full((50, 80, 3), (0, 0, 255), np.uint8))
    reds: list[bool] = []

    def look(frame: Frame) -> None:
        assert isinstance(frame.picture, I420)
        reds.append(bool((frame.picture.v > 200).all()))

    released = threading.Event()

    def load() -> FunctionMatter:
        assert released.wait(20)
        return FunctionMatter(nobody)

    try:
        with live(load, look=look, safe_frame=tmp_path / "away.png") as run:
            run.wait_sent(3)
            assert all(reds)
            run.script().frames(100_000)
            released.set()
            run.wait(lambda: not reds[-1])
    finally:
        released.set()
