"""Two passes over a clip: what is remembered, how it is averaged, and the run as a whole."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import ModelOutputError, OutputWriteError, SettingsError
from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.runs.offline import Progress, process_video
from rtmatte.runs.two_pass import SecondLook
from rtmatte.temporal.around import AroundFilter, Moment
from rtmatte.temporal.remembered import RememberedMoments
from tests import clips
from tests.frames import noise_picture, planes

SHAPE = (24, 32)
LUMA = planes(noise_picture("i420", (64, 48)))[0]


def flat(value: float) -> F32:
    return np.full(SHAPE, value, np.float32)


def frame(index: int) -> Frame:
    return Frame(noise_picture("i420", (64, 48)), index, Fraction(1, 25), index)


def remembered(values: list[float], cuts: tuple[int, ...] = ()) -> RememberedMoments:
    alphas = RememberedMoments()
    for index, value in enumerate(values):
        alphas.append(flat(value), LUMA, index / 25, cut=index in cuts)
    return alphas


def seen(values: list[float], cuts: tuple[int, ...] = (), time_constant_seconds: float = 0.15) -> list[float]:
    """The mean of what the second pass gives for each frame."""
    with closing(remembered(values, cuts)) as alphas:
        look = SecondLook(alphas, RecordedAlpha([], name="net"), time_constant_seconds)
        return [float(look.estimate(frame(index)).mean()) for index in range(len(values))]


def test_what_is_remembered_is_what_was_given_to_half_a_step() -> None:
    random = np.random.default_rng(1)
    given = [random.random((height, 20)).astype(np.float32) for height in (10, 10, 12)]
    lumas = [np.asarray(cv2.resize(LUMA, (32, 20 + n)), np.uint8) for n in range(3)]
    with closing(RememberedMoments()) as alphas:
        for index, alpha in enumerate(given):
            alphas.append(alpha, lumas[index], float(index), cut=index == 2)
        assert len(alphas) == 3
        assert list(alphas.cuts) == [0, 0, 1]
        for index in (2, 0, 1):
            moment = alphas.moment(index)
            assert np.abs(moment.alpha - given[index]).max() <= 0.5 / 255 + 1e-6
            assert moment.luma.shape == lumas[index].shape
            assert np.abs(moment.luma.astype(int) - lumas[index]).mean() < 4, "a picture's noise is lost a little"
            assert moment.seconds == index


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(RememberedMoments()) as alphas:

        def full(_data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(alphas._file, "write", full, raising=False)
        with pytest.raises(OutputWriteError, match="No space left"):
            alphas.append(flat(0), LUMA, 0.0, cut=False)


def test_the_mean_is_that_of_the_formula() -> None:
    random = np.random.default_rng(2)
    alpha, *others = (random.uniform(0.4, 0.6, SHAPE).astype(np.float32) for _ in range(4))
    seconds, brighter = (-0.08, 0.04, 10.0), 6
    lumas = [flat_luma(100 + brighter * (n == 1)) for n in range(3)]  # nothing moves, one neighbour is brighter
    around = [Moment(*moment) for moment in zip(others, lumas, seconds, strict=True)]
    got = AroundFilter(0.1, lets_go_at=0.5, trusts_up_to=20).smooth(Moment(alpha, flat_luma(100), 0.0), around)
    total, weight = alpha.astype(np.float64), np.ones(SHAPE)
    for n, (other, dt) in enumerate(list(zip(others, seconds, strict=True))[:2]):  # the third is out of reach
        difference = np.abs(alpha - other).astype(np.float64)
        agrees = np.maximum(0, 1 - (gaussian(difference) / 0.5) ** 2)
        w = np.exp(-abs(dt) / 0.15) * agrees * (1 - (brighter * n / 20) ** 2) ** 2
        total += w * other
        weight += w
    assert np.abs(got - total / weight).max() < 1e-5


def flat_luma(value: int) -> U8:
    return np.full(SHAPE, value, np.uint8)


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
    now = moments.pop(4)
    truth = alpha[:, 100:260]
    got = AroundFilter(0.2).smooth(now, moments)
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


def test_flicker_goes_in_both_directions_of_time_alike() -> None:
    values = [0.5 + 0.1 * (-1) ** n for n in range(40)]
    forward, backward = seen(values), seen(values[::-1])[::-1]
    assert np.abs(np.subtract(forward, backward)).max() < 1e-6
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
    with closing(remembered([0.5])) as alphas, pytest.raises(ModelOutputError, match="1 frames"):
        SecondLook(alphas, RecordedAlpha([], name="net"), 0.1).estimate(frame(1))


def test_impossible_values_are_refused() -> None:
    for values in ({"time_constant_seconds": -1}, {"lets_go_at": 0}, {"trusts_up_to": 0}):
        with pytest.raises(SettingsError):
            AroundFilter(**{"time_constant_seconds": 0.1, **values})


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
    assert passes == {(1, 1), (1, 2), (2, 2)}


@pytest.mark.parametrize("rate", [10, 25, 240])
def test_no_more_neighbours_are_looked_at_than_it_says(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []

    def counted(_self: AroundFilter, now: Moment, around: Iterable[Moment]) -> F32:
        seconds = [moment.seconds - now.seconds for moment in around]
        counts.append((sum(s < 0 for s in seconds), sum(s > 0 for s in seconds)))
        assert all(0 < abs(s) <= 0.2 + 1e-9 for s in seconds)
        return now.alpha

    monkeypatch.setattr(AroundFilter, "smooth", counted)
    with closing(RememberedMoments()) as moments:
        for index in range(120):
            moments.append(flat(0.5), LUMA, index / rate, cut=False)
        look = SecondLook(moments, RecordedAlpha([], name="net"), 0.2)
        for index in range(120):
            look.estimate(frame(index))
    assert counts[0][0] == counts[-1][1] == 0
    assert counts[60] == {10: (2, 2), 25: (5, 5), 240: (6, 6)}[rate]


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
