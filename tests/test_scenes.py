"""Composed scenes: layers obey the matting equation, clips come back as written, every scene is exact."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hard_cases import SCENES
from scenes.layers import U8, Layer, averaged, layer_from_bgra, layer_from_matte, over, placed, view
from scenes.materials import Materials, Person
from scenes.write import Shot, composed, write_scene

from tests.decoding import decode


def blob(size_wh: tuple[int, int] = (120, 100), shift: int = 0) -> Layer:
    """A soft-edged, many-coloured blob that stands on the lower edge."""
    y, x = np.mgrid[: size_wh[1], : size_wh[0]]
    distance = np.hypot(x - size_wh[0] / 2 - shift, (y - size_wh[1]) * 0.6)
    alpha = np.clip((size_wh[0] / 3 - distance) / 4, 0, 1)
    bgra = np.stack([40 + x, 60 + y, 200 - x, alpha * 255], axis=2)
    return layer_from_bgra(np.clip(np.rint(bgra), 0, 255).astype(np.uint8))


class _DrawnMaterials(Materials):
    """Drawn in the place of cut out."""

    def __init__(self) -> None:
        super().__init__(Path())

    def man_in_jacket(self) -> Person:
        return Person(tuple(blob(shift=shift) for shift in range(3)))

    man_in_denim = long_hair = man_in_jacket

    def room(self, name: str) -> U8:
        y, x = np.mgrid[:360, :640]
        return np.stack([x % 251, (x + y) % 241, y % 239], axis=2).astype(np.uint8)


def test_over_is_the_matting_equation() -> None:
    rng = np.random.default_rng(0)
    top_alpha, below_alpha = rng.random((2, 5, 7)).astype(np.float32)
    top_color, below_color = (rng.random((2, 5, 7, 3)) * 255).astype(np.float32)
    top = Layer(top_color * top_alpha[:, :, None], top_alpha)
    below = Layer(below_color * below_alpha[:, :, None], below_alpha)
    room = np.full((5, 7, 3), 90.0)

    def on(layer: Layer, behind: np.ndarray) -> np.ndarray:
        return layer.color + (1 - layer.alpha[:, :, None]) * behind

    # Laying both over the room one after the other is laying their union over it.
    assert np.allclose(on(over(top, below), room), on(top, on(below, room)), atol=1e-3)
    assert np.allclose(top.straight(), top_color, atol=0.01)


def test_motion_blur_blurs_alpha_too() -> None:
    whole = Layer(np.full((2, 2, 3), 100, np.float32), np.ones((2, 2), np.float32))
    gone = Layer(np.zeros((2, 2, 3), np.float32), np.zeros((2, 2), np.float32))
    half = averaged([whole, gone])
    assert np.all(half.alpha == 0.5)
    assert np.allclose(half.straight(), 100)


def test_placing_moves_and_scales() -> None:
    layer = Layer(np.full((4, 4, 3), 50, np.float32), np.ones((4, 4), np.float32))
    moved = placed(layer, (20, 16), 2, 10, 6)
    assert moved.alpha[7:12, 11:16].min() == 1
    assert moved.alpha[:4].max() == moved.alpha[:, :8].max() == 0
    assert moved.alpha.sum() == pytest.approx(64, rel=0.2)


def test_a_person_runs_back_and_forth() -> None:
    person = Person(tuple(blob(shift=shift) for shift in range(3)))
    order = [[frame is person.at(number) for frame in person.frames].index(True) for number in range(7)]
    assert order == [0, 1, 2, 1, 0, 1, 2]


def test_a_person_stands_on_the_lower_edge() -> None:
    alpha = Person((blob(),)).standing(0, (320, 240), 0.9, 0.5).alpha
    assert alpha[-1].max() == 1
    assert alpha[: int(240 * 0.1)].max() == 0
    across = np.nonzero(alpha[-1])[0]
    assert across.mean() == pytest.approx(160, abs=2)


def test_colors_of_a_matted_picture_come_from_inside() -> None:
    layer = blob()
    green = np.array([0, 255, 0], np.float32)
    picture = layer.color + (1 - layer.alpha[:, :, None]) * green
    alpha_u8 = np.rint(layer.alpha * 255).astype(np.uint8)
    again = layer_from_matte(np.rint(picture).astype(np.uint8), alpha_u8)
    soft = (alpha_u8 > 30) & (alpha_u8 < 220)
    assert soft.any()
    spill = np.abs(picture - layer.straight())[soft].mean()
    assert np.abs(again.straight() - layer.straight())[soft].mean() < spill / 4


def test_a_view_keeps_the_pictures_shape() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 100:] = 255
    whole = view(picture, (100, 50))
    assert whole[:, :48].max() == 0
    assert whole[:, 52:].min() == 255
    assert view(picture, (100, 50), 2, across=0)[:, :98].max() == 0


def test_the_picture_is_made_of_the_rounded_parts() -> None:
    layer = blob()
    room = np.random.default_rng(0).uniform(0, 255, (100, 120, 3)).astype(np.float32)
    picture, alpha_u8, foreground = composed(Shot(layer, room))
    alpha = alpha_u8[:, :, None] / 255
    assert np.abs(alpha * foreground + (1 - alpha) * room - picture).max() <= 0.501
    assert not foreground[alpha_u8 == 0].any()


def test_clips_come_back_as_written(tmp_path: Path) -> None:
    shots = [Shot(blob(shift=4 * number), np.full((100, 120, 3), 128, np.float32)) for number in range(3)]
    assert write_scene(tmp_path, "blob", shots, crf=10) == 3
    alpha = decode(tmp_path / "blob_alpha.mkv")
    picture = decode(tmp_path / "blob.mp4")
    for number, shot in enumerate(shots):
        made, alpha_u8, foreground = composed(shot)
        assert np.array_equal(alpha.luma[number], alpha_u8)
        assert np.array_equal(_bgr(tmp_path / "blob_foreground.mkv", number), foreground)
        assert np.abs(_bgr(tmp_path / "blob.mp4", number).astype(int) - made).mean() < 4
    assert picture.codec == "h264"


def _bgr(path: Path, number: int) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        frame = list(container.decode(video=0))[number]
        return frame.to_ndarray(format="bgr24")


@pytest.mark.parametrize("name", SCENES)
def test_every_scene(name: str) -> None:
    materials = _DrawnMaterials()
    shots = list(SCENES[name](materials, 2))
    again = next(SCENES[name](materials, 1))
    assert len(shots) == 2
    for shot in shots:
        alpha = shot.foreground.alpha
        assert 0 <= alpha.min() <= alpha.max() <= 1.0001
        assert shot.background.shape == shot.foreground.color.shape == (*alpha.shape, 3)
        assert alpha.any() == (name != "empty_room")
    for first, second in zip(composed(shots[0]), composed(again), strict=True):
        assert np.array_equal(first, second)


def test_bystander_and_two_people_show_the_same_picture() -> None:
    materials = _DrawnMaterials()
    both, one = (composed(next(SCENES[name](materials, 1))) for name in ("two_people", "bystander"))
    assert np.abs(both[0].astype(int) - one[0]).max() <= 2
    assert both[1].astype(int).sum() > one[1].astype(int).sum()


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import hard_cases

    monkeypatch.setattr(hard_cases, "Materials", lambda folder: _DrawnMaterials())
    monkeypatch.setattr(sys, "argv", ["hard_cases.py", str(tmp_path), "--scenes", "hair", "--frames", "2"])
    hard_cases.main()
    assert capsys.readouterr().out == "hair: 2 frames\n"
    assert {path.name for path in tmp_path.iterdir()} == {"hair.mp4", "hair_alpha.mkv", "hair_foreground.mkv"}
