"""estimate, smooth, refine in a row: what the settings switch on, and what is forgotten when."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtmatte.color import bgr_into_i420
from rtmatte.errors import InputNotFoundError
from rtmatte.frame import F32, I420, Frame
from rtmatte.pool import PicturePool
from rtmatte.refine.clean_plate import CleanPlate
from rtmatte.runs.matting_chain import Matted, MattingChain
from rtmatte.settings import MovingSettings
from tests.frames import BT709, noise_picture
from tests.live_runs import FunctionMatter

_SIZE_WH = (160, 96)


def _frame(index: int, seed: int = 0) -> Frame:
    return Frame(noise_picture("i420", _SIZE_WH, BT709, seed=seed), index, Fraction(1, 25), index)


def _person_and_speck(_frame: Frame) -> F32:
    alpha = np.zeros((48, 80), np.float32)
    alpha[10:48, 30:55] = 1
    alpha[2, 2] = 1
    return alpha


def _two_people(_frame: Frame) -> F32:
    alpha = np.zeros((48, 80), np.float32)
    alpha[10:48, 10:40] = 1
    alpha[20:48, 60:75] = 1
    return alpha


def _run(chain: MattingChain, frames: list[Frame]) -> np.ndarray:
    for frame in frames:
        alpha_u8 = chain.refine(chain.smooth(chain.estimate(frame)))
    return alpha_u8


def test_specks_go_and_the_person_stays() -> None:
    alpha_u8 = _run(MattingChain(FunctionMatter(_person_and_speck), MovingSettings(refiner="upscale")), [_frame(0)])
    assert alpha_u8.shape == (96, 160)
    assert (alpha_u8[:12, :12] == 0).all()
    assert (alpha_u8[30:, 66:104] == 255).all()


@pytest.mark.parametrize(("people", "stays"), [("everyone", 255), ("nearest", 0)])
def test_bystanders_stay_or_go(people: Any, stays: int) -> None:
    settings = MovingSettings(refiner="upscale", people=people)
    alpha_u8 = _run(MattingChain(FunctionMatter(_two_people), settings), [_frame(n) for n in range(3)])
    assert (alpha_u8[60:, 124:146] == stays).all()
    assert (alpha_u8[60:, 26:74] == 255).all()


def test_an_alpha_of_the_frames_size_is_only_rounded() -> None:
    alpha = np.random.default_rng(2).random((96, 160), np.float32)
    chain = MattingChain(FunctionMatter(lambda _frame: alpha), MovingSettings(smoothing_s=0, clean_plate=True))
    assert np.array_equal(_run(chain, [_frame(0)]), np.floor(alpha * 255 + 0.5))


def test_an_alpha_of_the_frames_size_is_smoothed_in_bytes_as_in_floats() -> None:
    """A soft edge that moves on, with noise; the planes are the pool's."""

    def model(frame: Frame) -> F32:
        ramp = (np.arange(160) - 50 - 4 * frame.index) / 20 + np.random.default_rng(frame.index).normal(
            0, 0.05, (96, 160)
        )
        return np.clip(ramp, 0, 1).astype(np.float32)

    pool = PicturePool()
    chains = [MattingChain(FunctionMatter(model), MovingSettings(), pool=given) for given in (None, pool)]
    smoothed = 0
    for frame in [_frame(n) for n in range(12)]:
        floats_u8, bytes_u8 = (chain.refine(chain.smooth(chain.estimate(frame))) for chain in chains)
        assert np.abs(floats_u8.astype(int) - bytes_u8).max() <= 1
        smoothed = max(smoothed, int(np.abs(floats_u8 - 255 * model(frame)).max()))
        pool.release_alpha(bytes_u8)
    assert smoothed > 10
    assert pool.allocated == 1


class Fine(FunctionMatter):
    fine = True


def _disk(_frame: Frame) -> F32:
    y, x = np.ogrid[:96, :160]
    return np.clip(30.5 - np.hypot(y - 50, x - 70), 0, 1).astype(np.float32)


def _disk_before_a_wall(index: int) -> Frame:
    picture = I420.allocate(_SIZE_WH, BT709)
    bgr = np.where(_disk(_frame(0))[..., None] > 0.5, (60, 90, 200), (200, 180, 40)).astype(np.uint8)
    bgr_into_i420(bgr, picture)
    return Frame(picture, index, Fraction(1, 25), index)


def test_a_fine_alpha_and_the_pictures_edges_are_averaged() -> None:
    def doubtful(frame: Frame) -> F32:
        return cv2.GaussianBlur(_disk(frame), (0, 0), 2.0)

    chains = [MattingChain(kind(doubtful), MovingSettings(smoothing_s=0)) for kind in (FunctionMatter, Fine)]
    frame, truth = _disk_before_a_wall(0), 255 * _disk(_frame(0))
    plain_u8, fine_u8 = (_run(chain, [frame]).astype(int) for chain in chains)
    assert np.abs(plain_u8 - 255 * doubtful(frame)).max() <= 1
    assert np.abs(fine_u8 - truth).mean() < 0.8 * np.abs(plain_u8 - truth).mean()


def test_a_fine_alpha_is_not_smoothed_and_its_planes_go_round() -> None:
    pool = PicturePool()
    chain = MattingChain(
        Fine(lambda frame: np.full((96, 160), frame.index % 2, np.float32)), MovingSettings(), pool=pool
    )
    for index in range(6):
        alpha_u8 = _run(chain, [_frame(index)])
        assert (alpha_u8 == 255 * (index % 2)).all()
    assert pool.allocated == 1
    chain.give_back(chain.estimate(_frame(6)))
    chain.give_back(chain.estimate(_frame(7)))
    assert pool.allocated == 1


def test_bystanders_of_a_fine_alpha_go() -> None:
    def two(frame: Frame) -> F32:
        return np.asarray(cv2.resize(_two_people(frame), _SIZE_WH, interpolation=cv2.INTER_NEAREST), np.float32)

    alpha_u8 = _run(MattingChain(Fine(two), MovingSettings(people="nearest")), [_frame(n) for n in range(3)])
    assert (alpha_u8[60:90, 126:144] == 0).all()
    assert (alpha_u8[60:90, 30:70] > 250).all()


def test_a_fine_alpha_is_taken_as_it_is_where_the_user_wants_no_edges() -> None:
    alpha = np.random.default_rng(2).random((96, 160), np.float32)
    chain = MattingChain(Fine(lambda _frame: alpha), MovingSettings(refiner="upscale"))
    assert np.array_equal(_run(chain, [_frame(0), _frame(1)]), np.floor(alpha * 255 + 0.5))


def test_an_alpha_that_loses_somebody_stays_in_floats() -> None:
    pool = PicturePool()
    alpha = np.random.default_rng(2).random((96, 160), np.float32)
    for settings, planes in ((MovingSettings(people="nearest"), 0), (MovingSettings(), 1)):
        matted = MattingChain(FunctionMatter(lambda _frame: alpha), settings, pool=pool).estimate(_frame(0))
        assert (matted.alpha_u8 is not None) is (planes == 1)
        assert pool.allocated == planes


def test_the_plate_is_asked_only_if_wanted_and_forgotten_at_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(CleanPlate, "correct", lambda *_: calls.append("correct"))
    monkeypatch.setattr(CleanPlate, "reset", lambda *_: calls.append("reset"))
    room, other = [_frame(n) for n in range(3)], [_frame(n, seed=9) for n in range(3, 5)]
    _run(MattingChain(FunctionMatter(_person_and_speck), MovingSettings()), room)
    assert calls == []
    _run(MattingChain(FunctionMatter(_person_and_speck), MovingSettings(clean_plate=True)), room + other)
    assert calls == ["correct"] * 3 + ["reset"] + ["correct"] * 2


def test_the_plate_takes_back_what_equals_the_empty_room() -> None:
    """A piece of the room that the model suddenly takes for foreground, seen empty for two seconds before."""
    wrong = np.zeros((48, 80), np.float32)
    wrong[14:40, 20:44] = 1

    def model(frame: Frame) -> F32:
        return wrong.copy() if frame.index >= 50 else np.zeros((48, 80), np.float32)

    frames = [_frame(n) for n in range(120)]
    means = {
        wanted: _run(MattingChain(FunctionMatter(model), MovingSettings(clean_plate=wanted)), frames).mean()
        for wanted in (False, True)
    }
    assert means[False] > 20
    assert means[True] < 0.1 * means[False]


def test_old_colours_leave_soft_edges_only_if_wanted() -> None:
    for wanted in (True, False):
        frame = _frame(0)
        assert isinstance(frame.picture, I420)
        before = frame.picture.y.copy()
        alpha_u8 = np.zeros((96, 160), np.uint8)
        alpha_u8[:, 60:] = np.clip(np.arange(100) * 6, 0, 255)
        chain = MattingChain(FunctionMatter(_person_and_speck), MovingSettings(edge_colors=wanted))
        chain.clear_edges(Matted(frame, np.zeros((6, 10), np.float32)), alpha_u8)
        assert np.array_equal(frame.picture.y, before) is not wanted
        assert np.array_equal(frame.picture.y[:, :20], before[:, :20])


def test_a_photo_of_the_empty_room_settles_what_the_model_takes_for_foreground(tmp_path: Path) -> None:
    """From the first frame on, at another size than the frame's, without anything learnt."""
    coarse = np.random.default_rng(3).integers(60, 190, (6, 10, 3), np.uint8)
    bgr = np.asarray(cv2.resize(coarse, _SIZE_WH, interpolation=cv2.INTER_CUBIC), np.uint8)
    room = I420.allocate(_SIZE_WH, BT709)
    bgr_into_i420(bgr, room)
    photo = tmp_path / "room.png"
    cv2.imwrite(str(photo), cv2.resize(bgr, (320, 192)))
    wrong = np.zeros((48, 80), np.float32)
    wrong[14:40, 20:44] = 1
    frames = [Frame(room, n, Fraction(1, 25), n) for n in range(60)]
    means = {}
    for plate in (None, photo):
        chain = MattingChain(FunctionMatter(lambda _frame: wrong.copy()), MovingSettings(plate=plate))
        means[plate] = _run(chain, frames).mean()
    assert means[None] > 20
    assert means[photo] < 0.1 * means[None]


def test_a_photo_that_is_not_there_is_told() -> None:
    with pytest.raises(InputNotFoundError, match="nowhere"):
        MattingChain(FunctionMatter(_person_and_speck), MovingSettings(plate=Path("nowhere.png")))
