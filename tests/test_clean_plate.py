"""The clean plate on rooms of noise with a flat person who moves through them."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import njit

from rtmatte.errors import SettingsError
from rtmatte.frame import I420, Picture
from rtmatte.refine import clean_plate_kernels as kernels
from rtmatte.refine.clean_plate import CleanPlate
from tests.frames import at, copy_of, noise_picture, planes

SIZE_WH = (160, 96)
PERSON = (150, 90, 170)


def room(kind: str, seed: int = 0) -> Picture:
    """Blocks of 8x8 pixels, so that shrinking leaves its structure."""
    picture = noise_picture(kind, SIZE_WH, seed=seed)
    for plane in planes(picture):
        step = 8 if plane.shape[1] == SIZE_WH[0] else 4
        small = plane[::step, ::step] // 2
        plane[:] = np.repeat(np.repeat(small, step, 0), step, 1)
    return picture


def person(left: int) -> np.ndarray:
    """Alpha at frame size: a box with a soft edge on each side."""
    x = np.arange(SIZE_WH[0])
    side = np.clip(np.minimum(x - left, left + 48 - x) / 8, 0, 1)
    alpha = np.zeros(SIZE_WH[::-1])
    alpha[30:] = side
    return alpha


def shot(kind: str, behind: Picture, truth: np.ndarray, noise: float = 0.0, seed: int = 0) -> Picture:
    picture, random = copy_of(behind), np.random.default_rng(seed)
    for plane, color in zip(planes(picture), PERSON, strict=True):
        a = truth if plane.shape == truth.shape else truth[::2, ::2]
        mixed = a * color + (1 - a) * plane
        plane[:] = np.clip(np.round(mixed + random.normal(0, noise, plane.shape)), 0, 255)
    return picture


def small(truth: np.ndarray) -> np.ndarray:
    return truth[2::4, 2::4].astype(np.float32)


def clumsy(truth: np.ndarray) -> np.ndarray:
    """What a net would say: the same, but the soft edges are one half all over, and wider."""
    alpha = small(truth)
    soft = (alpha > 0) & (alpha < 1)
    wide = soft | np.roll(soft, 1, 1) | np.roll(soft, -1, 1)
    alpha[wide] = 0.5
    return alpha


def watch(plate: CleanPlate, kind: str, behind: Picture, lefts: range, start: int = 0, noise: float = 0.0) -> None:
    for index, left in enumerate(lefts):
        truth = person(left)
        plate.correct(at(shot(kind, behind, truth, noise, index), start + 40 * index), clumsy(truth))


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_once_the_room_is_known_it_settles_the_edge(kind: str, noise: float) -> None:
    behind, plate = room(kind), CleanPlate()
    watch(plate, kind, behind, range(0, 100, 4), noise=noise)
    truth = person(56)
    picture, alpha = shot(kind, behind, truth, noise, 99), clumsy(truth)
    before = copy_of(picture)
    plate.correct(at(picture, 1000), alpha)
    assert plate.forgotten == 0
    assert np.abs(alpha - small(truth)).sum() < 0.5 * np.abs(clumsy(truth) - small(truth)).sum()
    assert all(np.array_equal(got, was) for got, was in zip(planes(picture), planes(before), strict=True))


def test_a_photo_is_known_at_once() -> None:
    behind, truth = room("i420"), person(56)
    alpha = clumsy(truth)
    CleanPlate(behind).correct(at(shot("i420", behind, truth)), alpha)
    assert np.abs(alpha - small(truth)).sum() < 0.5 * np.abs(clumsy(truth) - small(truth)).sum()


def test_nothing_changes_while_the_room_is_not_known() -> None:
    truth = person(56)
    alpha = clumsy(truth)
    CleanPlate().correct(at(shot("i420", room("i420"), truth)), alpha)
    assert np.array_equal(alpha, clumsy(truth))


def test_a_chair_that_the_net_takes_for_a_person_fades_out_and_a_person_does_not() -> None:
    behind, plate, truth = room("i420"), CleanPlate(), person(100)
    for index in range(60):
        alpha = small(truth)
        chair = np.s_[10:20, 2:14]
        if index >= 10:
            alpha[chair] = 1
        plate.correct(at(shot("i420", behind, truth), 40 * index), alpha)
        if index == 12:
            assert (alpha[chair] == 1).all()
    assert alpha[12:18, 4:12].max() == 0
    assert (alpha[12:, 28:34] > 0.99).all()
    kept = CleanPlate(clutter=False)
    for index in range(60):
        alpha = small(truth)
        if index >= 10:
            alpha[chair] = 1
        kept.correct(at(shot("i420", behind, truth), 40 * index), alpha)
    assert (alpha[12:18, 4:12] == 1).all()


def test_it_forgets_when_the_camera_moves_and_learns_again() -> None:
    plate, truth = CleanPlate(), person(56)
    watch(plate, "i420", room("i420"), range(0, 100, 4))
    other = room("i420", seed=5)
    alpha = clumsy(truth)
    plate.correct(at(shot("i420", other, truth), 1000), alpha)
    assert plate.forgotten == 1
    assert np.array_equal(alpha, clumsy(truth))
    watch(plate, "i420", other, range(0, 100, 4), start=1040)
    plate.correct(at(shot("i420", other, truth), 2040), alpha)
    assert plate.forgotten == 1
    assert np.abs(alpha - small(truth)).sum() < 0.5 * np.abs(clumsy(truth) - small(truth)).sum()


def test_a_camera_that_moves_all_the_time_changes_nothing() -> None:
    plate, truth = CleanPlate(), person(56)
    for index in range(20):
        behind = room("i420")
        assert isinstance(behind, I420)
        behind.y[:] = np.roll(behind.y, 8 * index, axis=1)
        alpha = clumsy(truth)
        plate.correct(at(shot("i420", behind, truth), 40 * index), alpha)
        assert np.array_equal(alpha, clumsy(truth)), index
    assert plate.forgotten > 10


def test_reset_forgets_and_shapes_may_change() -> None:
    behind, plate, truth = room("i420"), CleanPlate(), person(56)
    watch(plate, "i420", behind, range(0, 100, 4))
    plate.reset()
    alpha = clumsy(truth)
    plate.correct(at(shot("i420", behind, truth), 1000), alpha)
    assert np.array_equal(alpha, clumsy(truth))
    other = np.full((7, 9), 0.5, np.float32)
    plate.correct(at(behind, 1040), other)
    assert (other == 0.5).all()


def test_a_photo_must_be_a_picture() -> None:
    with pytest.raises(SettingsError, match="picture"):
        CleanPlate(np.zeros((4, 4), np.uint8))


def test_the_comparison_compiles_to_packed_arithmetic() -> None:
    if not llvm.get_host_cpu_features().get("avx2", False):
        pytest.skip("no AVX2 on this processor")
    compiled = njit(nogil=True)(kernels.compare.py_func)
    compiled(np.zeros((3, 8, 64), np.uint8), np.zeros((3, 8, 64), np.float32), 2.0, np.zeros((8, 64), np.float32))
    (assembly,) = compiled.inspect_asm().values()
    assert re.search(r"v(mul|fmadd\d+)ps\s.*%[yz]mm", assembly)


def known_room(behind: Picture) -> CleanPlate:
    """Has seen the empty room for a second."""
    plate = CleanPlate()
    for index in range(25):
        plate.correct(at(shot("i420", behind, np.zeros(SIZE_WH[::-1]), 2.0, index), 40 * index), small(person(0)) * 0)
    return plate


def test_where_the_net_has_a_faint_idea_what_is_not_the_room_is_raised() -> None:
    behind = room("i420")
    plate, truth = known_room(behind), person(56)
    faint = small(truth) * np.float32(0.2)
    plate.correct(at(shot("i420", behind, truth, 2.0, 99), 1000), faint)
    inside = small(truth) == 1
    assert faint[inside].min() > 0.5
    assert faint[small(truth) == 0].max() < 0.05


def test_where_the_net_sees_nothing_nothing_is_raised() -> None:
    behind = room("i420")
    plate, truth = known_room(behind), person(56)
    alpha = small(truth) * np.float32(0.019)
    plate.correct(at(shot("i420", behind, truth, 2.0, 99), 1000), alpha)
    assert alpha.max() < 0.02


def test_a_faint_idea_of_the_room_itself_is_not_raised() -> None:
    behind = room("i420")
    plate = known_room(behind)
    alpha = np.full((24, 40), 0.2, np.float32)
    plate.correct(at(shot("i420", behind, np.zeros(SIZE_WH[::-1]), 2.0, 99), 1000), alpha)
    assert alpha.max() <= 0.2 + 1e-6


@pytest.mark.parametrize(("seconds", "learnt"), [(1.5, False), (4.0, True)])
def test_what_the_net_does_not_see_is_learnt_only_after_a_while(seconds: float, learnt: bool) -> None:
    behind = room("i420")
    plate, truth = known_room(behind), person(56)
    blind = np.zeros((24, 40), np.float32)
    for index in range(round(25 * seconds)):
        plate.correct(at(shot("i420", behind, truth, 2.0, index), 1000 + 40 * index), blind.copy())
    faint = small(truth) * np.float32(0.2)
    plate.correct(at(shot("i420", behind, truth, 2.0, 99), 1000 + round(1000 * seconds)), faint)
    raised = faint[small(truth) == 1].min() > 0.5
    assert raised is not learnt


@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_learning_leaves_alpha_alone_and_knows_what_correcting_knows(kind: str) -> None:
    """What the net takes for somebody, though it equals the room, fades out at once where that was learnt."""
    behind, learning, correcting = room(kind), CleanPlate(), CleanPlate()
    clutter = np.zeros((96, 160), np.float32)
    clutter[10:30, 10:30] = 1
    empty = np.zeros_like(clutter)
    for number in range(160):
        seen = clutter if number < 60 or number >= 100 else empty
        for plate, change in ((learning, learning.learn), (correcting, correcting.correct)):
            given = seen.copy()
            change(at(behind, number * 33), given)
            assert plate is correcting or np.array_equal(given, seen)
    corrected = [clutter.copy(), clutter.copy()]
    for plate, alpha in zip((learning, correcting), corrected, strict=True):
        plate.correct(at(behind, 160 * 33), alpha)
    np.testing.assert_array_equal(*corrected)
    assert corrected[0].max() < 0.5
