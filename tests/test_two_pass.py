"""Two passes over a clip: what is remembered, how it is averaged, and the run as a whole."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from rtmatte.capture.source import Source
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import ModelOutputError, OutputWriteError, SettingsError
from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.pool import PicturePool
from rtmatte.runs.offline import process_video
from rtmatte.runs.progress import Progress
from rtmatte.runs.two_pass import FirstPass
from rtmatte.settings import VideoSettings
from rtmatte.temporal.one_way import Moment, OneWayMean, Said, both_sides
from rtmatte.temporal.remembered import RememberedFuture, RememberedMoments
from tests import clips
from tests.frames import flat_picture, noise_picture, planes

SHAPE = (24, 32)
LUMA = planes(noise_picture("i420", (64, 48)))[0]


def flat(value: float) -> F32:
    return np.full(SHAPE, value, np.float32)


def frame(index: int) -> Frame:
    return Frame(noise_picture("i420", (64, 48)), index, Fraction(1, 25), index)


def looked_through(
    values: list[float | None], cuts: tuple[int, ...] = (), time_constant_seconds: float = 0.15
) -> FirstPass:
    """As after a first pass in which the model said these values (None: wasn't asked), and the way back."""
    settings = VideoSettings(two_pass=True, smoothing_s=time_constant_seconds)
    seen = FirstPass(RecordedAlpha([], name="net"), settings)
    for index, value in enumerate(values):
        alpha = None if value is None else flat(value)
        seen.moments.append(alpha, LUMA, index / 25, cut=index in cuts)
    if seen.goes_back:
        seen.go_back(lambda _frames: None)
    return seen


def seen(
    values: Sequence[float | None], cuts: tuple[int, ...] = (), time_constant_seconds: float = 0.15
) -> list[float]:
    """The mean of what the second pass gives for each frame."""
    with closing(looked_through(list(values), cuts, time_constant_seconds)) as first:
        look = first.second_matter()
        return [float(look.estimate(frame(index)).mean()) for index in range(len(values))]


def test_what_is_remembered_is_what_was_given_to_half_a_step() -> None:
    random = np.random.default_rng(1)
    given = [random.random((height, 20)).astype(np.float32) for height in (10, 10, 12)]
    lumas = [np.asarray(cv2.resize(LUMA, (32, 20 + n)), np.uint8) for n in range(3)]
    with closing(RememberedMoments()) as alphas:
        for index, alpha in enumerate(given):
            alphas.append(alpha, lumas[index], float(index), cut=index == 2)
        assert len(alphas) == 3
        for index in (2, 0, 1):
            moment = alphas.moment(index)
            assert np.abs(moment.alpha - given[index]).max() <= 0.5 / 255 + 1e-6
            assert moment.luma.shape == lumas[index].shape
            assert np.abs(moment.luma.astype(int) - lumas[index]).mean() < 4, "a picture's noise is lost a little"
            assert (moment.seconds, moment.cut) == (index, index == 2)


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(RememberedMoments()) as alphas:

        def full(_data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(alphas._spool._file, "write", full, raising=False)
        with pytest.raises(OutputWriteError, match="No space left"):
            alphas.append(flat(0), LUMA, 0.0, cut=False)


def test_no_room_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OutputWriteError, match=r"No usable temporary directory.*TMPDIR"):
        RememberedMoments()


def test_what_the_future_says_is_kept_from_the_end_to_the_beginning() -> None:
    random = np.random.default_rng(4)
    shapes = [(10, 20), (10, 20), (12, 20)]
    given = [
        Said(random.random(shape).astype(np.float32), random.uniform(0, 12, shape).astype(np.float32))
        for shape in shapes
    ]
    with closing(RememberedFuture()) as future:
        for said in reversed(given):
            future.append(said)
        assert len(future) == 3
        for index in (1, 0, 2):
            said = future.of(index)
            assert np.abs(said.mean - given[index].mean).max() <= 0.5 / 255 + 1e-6
            assert np.abs(said.weight - given[index].weight).max() <= 0.125 + 1e-6
            assert np.abs(np.sqrt(said.weight) - np.sqrt(given[index].weight)).max() <= 0.5 * 63.75**0.5 / 255 + 1e-6


def test_a_weight_beyond_what_can_be_kept_is_as_large_as_can_be() -> None:
    with closing(RememberedFuture()) as future:
        future.append(Said(flat(0.5), flat(1000)))
        assert future.of(0).weight.min() == 255 / 4


def flat_luma(value: int) -> U8:
    return np.full(SHAPE, value, np.uint8)


def test_mean_and_weight_are_those_of_the_formula() -> None:
    """An independent float64 reference; nothing moves, and one picture is a little brighter than the one before."""
    random = np.random.default_rng(2)
    alphas = [random.uniform(0.4, 0.6, SHAPE).astype(np.float32) for _ in range(6)]
    seconds, lumas, spared = (0.0, 0.04, 0.12, 0.16, 0.2, 0.24), (100, 100, 106, 106, 130, 130), (3, 4)
    one_way = OneWayMean(0.1, lets_go_at=0.5, trusts_up_to=20)
    mean, weight = np.zeros(SHAPE), np.zeros(SHAPE)
    for n, alpha in enumerate(alphas):
        said = one_way.pass_by(Moment(alpha, flat_luma(lumas[n]), seconds[n], spared=n in spared))
        own = 0 if n in spared else 1
        if n:
            agrees = np.maximum(0, 1 - own * (gaussian(np.abs(alpha - mean)) / 0.5) ** 2)
            explained = max(0, 1 - ((lumas[n] - lumas[n - 1]) / 20) ** 2) ** 2
            weight = weight * np.exp(-(seconds[n] - seconds[n - 1]) / 0.1) * agrees * explained
            weight = np.maximum(weight, (1 - own) * 1e-3)
            assert np.abs(said.mean - mean).max() < 1e-5
        assert np.abs(said.weight - weight).max() < 1e-5
        mean = (own * alpha + weight * mean) / (own + weight)
        weight = weight + own
    assert weight.min() > 1, "after nothing could be trusted the last one counts, and what little was left"


def test_both_sides_and_the_middle_are_weighed() -> None:
    random = np.random.default_rng(3)
    alpha, one, other = (random.random(SHAPE).astype(np.float32) for _ in range(3))
    weights = [random.uniform(0, 5, SHAPE).astype(np.float32) for _ in range(2)]
    out = np.empty(SHAPE, np.float32)
    both_sides(Moment(alpha, LUMA, 0.0), Said(one, weights[0]), Said(other, weights[1]), out)
    expected = np.average(np.stack([alpha, one, other]).astype(np.float64), 0, np.stack([np.ones(SHAPE), *weights]))
    assert np.abs(out - expected).max() < 1e-6


def test_a_change_of_size_begins_anew() -> None:
    one_way = OneWayMean(0.2)
    one_way.pass_by(Moment(flat(0.2), LUMA, 0.0))
    larger = np.full((30, 40), 0.6, np.float32)
    for said in (one_way.pass_by(Moment(larger, LUMA, 0.04)), OneWayMean(0.2).pass_by(Moment(larger, LUMA, 0.04))):
        assert said.mean.shape == said.weight.shape == (30, 40)
        assert said.weight.max() == 0
    assert one_way.pass_by(Moment(larger, LUMA[:-4], 0.08)).weight.max() == 0


def test_who_moves_is_averaged_where_they_are() -> None:
    texture = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 255, (96, 400), np.uint8), (0, 0), 4)
    texture = np.rint(np.interp(texture, (texture.min(), texture.max()), (20, 230))).astype(np.uint8)
    alpha = np.zeros((96, 400), np.float32)
    alpha[20:, 150:220] = 1
    noise = np.random.default_rng(6)
    moments = []
    for n in range(-4, 5):
        part = np.s_[:, 100 + 2 * n : 260 + 2 * n]  # the camera pans
        doubt = cv2.GaussianBlur(noise.normal(0, 0.8, (96, 160)).astype(np.float32), (0, 0), 2)
        moments.append(Moment(alpha[part] + doubt * cv2.blur(alpha[part], (5, 5)), texture[part].copy(), n / 25))
    sides = []
    for side in (moments[:5], moments[:3:-1]):
        one_way = OneWayMean(0.2)
        sides.append([one_way.pass_by(moment) for moment in side][-1])
    got, now, truth = np.empty((96, 160), np.float32), moments[4], alpha[:, 100:260]
    both_sides(now, *sides, got)
    assert np.abs(got - truth).mean() < 0.6 * np.abs(now.alpha - truth).mean()


def gaussian(values: np.ndarray) -> np.ndarray:
    """Of sigma 1, 9 taps, the border mirrored without repeating it, as OpenCV does for floats."""
    taps = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    taps /= taps.sum()
    for axis in (0, 1):
        pad = [(4, 4) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(values, pad, mode="reflect")
        values = np.apply_along_axis(lambda line: np.convolve(line, taps, "valid"), axis, padded)
    return values


def test_who_was_spared_gets_what_is_said_on_both_sides() -> None:
    assert seen([0.2, None, 0.2, None, 0.2]) == pytest.approx([0.2] * 5, abs=0.6 / 255)
    got = seen([0.3, None, 0.4, None, 0.5, None, 0.6])
    assert got == sorted(got)
    assert got[3] == pytest.approx(0.45, abs=0.005)


def test_where_nobody_is_sure_both_sides_count_alike() -> None:
    for time_constant_s in (0.006, 0.015, 0.05):
        assert seen([0.2, None, 0.8], (), time_constant_s)[1] == pytest.approx(0.5, abs=0.05)


def test_who_was_spared_last_gets_what_was_said_before() -> None:
    assert seen([0.6, None]) == pytest.approx([0.6, 0.6], abs=0.6 / 255)
    values = [0.4, None, 0.6, None]
    assert seen(values, cuts=(2,)) == pytest.approx([0.4, 0.4, 0.6, 0.6], abs=0.6 / 255), "and of its own shot"


def test_spared_moments_are_remembered_as_such() -> None:
    with closing(RememberedMoments()) as moments:
        moments.append(flat(0.4), LUMA, 0.0, cut=False)
        moments.append(None, LUMA, 0.5, cut=False)
        assert [moments.moment(index).spared for index in range(2)] == [False, True]
        assert moments.moment(1).alpha.shape == SHAPE
        assert moments.moment(1).seconds == 0.5


def test_flicker_goes_in_both_directions_of_time_alike() -> None:
    values = [0.5 + 0.1 * (-1) ** n for n in range(40)]
    forward, backward = seen(values), seen(values[::-1])[::-1]
    assert np.abs(np.subtract(forward, backward)).max() < 0.5 / 255, "what the future says is rounded"
    assert np.std(forward) < 0.3 * np.std(values)


def test_motion_is_neither_delayed_nor_announced() -> None:
    assert seen([0.0] * 10 + [1.0] * 10) == pytest.approx([0.0] * 10 + [1.0] * 10, abs=1e-6)


def test_other_shots_do_not_count() -> None:
    values = [0.4] * 6 + [0.6] * 6
    assert seen(values, cuts=(6,)) == pytest.approx(values, abs=0.6 / 255)
    assert seen(values)[5] > 0.41


def test_no_time_constant_passes_alpha_through() -> None:
    values = [0.1, 0.9, 0.3]
    assert seen(values, time_constant_seconds=0) == pytest.approx(values, abs=0.6 / 255)


def test_frames_that_the_first_pass_did_not_see_are_an_error() -> None:
    with closing(looked_through([0.5])) as first, pytest.raises(ModelOutputError, match="1 frames"):
        first.second_matter().estimate(frame(1))


def test_impossible_values_are_refused() -> None:
    for values in ({"time_constant_seconds": -1}, {"lets_go_at": 0}, {"trusts_up_to": 0}):
        with pytest.raises(SettingsError):
            OneWayMean(**{"time_constant_seconds": 0.1, **values})


def test_a_run_in_two_passes_writes_every_frame_and_averages_what_flickers(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "a.mp4", frame_count=24)
    flicker = [flat(0.5 + 0.1 * (-1) ** n) for n in range(24)]
    passes: set[tuple[int, int]] = set()

    def run(name: str, **options: Any) -> float:
        def told(progress: Progress) -> None:
            passes.add((progress.number, progress.passes))

        report = process_video(
            source,
            tmp_path / name,
            matte=True,
            matter=RecordedAlpha(flicker),
            **options,
            refiner="upscale",
            on_progress=told,
        )
        assert report.frames_out == 24
        with VideoFileSource(tmp_path / name) as matte:
            return float(np.std([planes(written.picture)[0].mean() for written in matte]))

    assert 20 < run("as it is.mkv", smoothing_s=0, two_pass=False) < 30
    assert run("twice.mkv", two_pass=True) < 5
    assert passes == {(1, 1), (1, 3), (2, 3), (3, 3)}


def test_a_fine_matter_gives_its_own_alpha_in_the_second_pass_too(tmp_path: Path) -> None:
    class Fine(RecordedAlpha):
        fine = True
        resets = 0

        def reset(self) -> None:
            self.resets += 1
            super().reset()

    source = clips.plain(tmp_path / "a.mp4", frame_count=6)
    with VideoFileSource(source) as clip:
        shape_hw = clip.format.size_wh[::-1]
    given = [np.full(shape_hw, n / 10, np.float32) for n in range(6)]
    matter = Fine(given)
    process_video(
        source, tmp_path / "b.mkv", matte=True, matter=matter, refiner="upscale", two_pass=True, clean_plate=True
    )
    assert matter.resets >= 1
    with VideoFileSource(tmp_path / "b.mkv") as matte:
        means = [float(planes(written.picture)[0].mean()) for written in matte]
    assert means == pytest.approx([25.5 * n for n in range(6)], abs=2)


def test_a_disk_that_is_really_full_is_told_as_such(tmp_path: Path) -> None:
    """In a process that may not write more than a few KB into a file."""
    script = """
import resource, signal
from contextlib import closing
import numpy as np
from rtmatte.errors import OutputWriteError
from rtmatte.temporal.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    with closing(Spool(1)) as spool:
        for _ in range(10):
            spool.append(bytes(900))
except OutputWriteError as error:
    print("told:", error)
"""
    pytest.importorskip("resource", reason="limits of a process are Unix's")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("told:"), done.stderr


def test_long_smoothing_at_high_rates_does_not_trail() -> None:
    """The weights of 5 s at 60 fps go beyond what can be kept of them."""
    step = [0.3] * 150 + [0.5] * 150
    settings = VideoSettings(two_pass=True, smoothing_s=5)
    with closing(FirstPass(RecordedAlpha([], name="net"), settings)) as first:
        for index, value in enumerate(step):
            first.moments.append(np.full((4, 6), value, np.float32), LUMA, index / 60, cut=False)
        first.go_back(lambda _frames: None)
        look = first.second_matter()
        got = [float(look.estimate(frame(index)).mean()) for index in range(len(step))]
    assert abs(int(np.searchsorted(got, 0.4)) - 150) <= 2


def test_what_one_shot_taught_of_a_room_is_not_used_in_another() -> None:
    settings = VideoSettings(two_pass=True, clean_plate=True)
    frames = [
        Frame(flat_picture("i420", (64, 48), (40 if index < 20 else 200, 128, 128)), index, Fraction(1, 25), index)
        for index in range(40)
    ]
    matter = RecordedAlpha([np.zeros((24, 32), np.float32)] * 40)
    for shots, clip in ((1, frames[:20]), (2, frames)):
        with closing(FirstPass(matter, settings)) as first:
            first.run(cast(Source, clip), PicturePool(), lambda _frames: None)
            cuts = [first.moments.moment(index).cut for index in range(len(clip))]
            assert cuts.count(True) == shots - 1
            assert (first.plate is not None) == (shots == 1)


def test_a_fine_matter_without_a_room_to_learn_goes_through_the_clip_once(tmp_path: Path) -> None:
    class Fine(RecordedAlpha):
        fine = True

    source = clips.plain(tmp_path / "a.mp4", frame_count=6)
    with VideoFileSource(source) as clip:
        shape_hw = clip.format.size_wh[::-1]
    passes: set[tuple[int, int]] = set()
    process_video(
        source,
        tmp_path / "b.mkv",
        matte=True,
        matter=Fine([np.full(shape_hw, n / 10, np.float32) for n in range(6)]),
        two_pass=True,
        on_progress=lambda progress: passes.add((progress.number, progress.passes)),
    )
    assert passes == {(1, 1)}
