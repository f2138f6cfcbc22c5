"""Hard cases as short clips with exact truth, composed from cut-out people and rooms; `quality.py` scores them.

python benchmarks/hard_cases.py TARGET [--materials FOLDER] [--scenes hair sheer] [--frames 60]
python benchmarks/quality.py TARGET --out TARGET

FOLDER holds foregrounds/*.mkv (BGRA), backgrounds/*.jpg and gt/. Every scene is a function below; its name is the
clip's. Deterministic: noise comes from a fixed seed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from scenes.layers import F32, Layer, averaged, over, placed, view
from scenes.materials import Materials
from scenes.write import Shot, write_scene

_MATERIALS = Path(__file__).resolve().parents[2] / "shared" / "clips"
_HD, _VGA = (1280, 720), (640, 480)
_SENSOR_NOISE = 1.5
"""Standard deviation in code values: a webcam in a well-lit room."""


def plain(materials: Materials, frames: int) -> Iterator[Shot]:
    """Nothing hard: what the others are to be compared with."""
    room = view(materials.room("meet_8"), _HD)
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.95, _sway(number, 0.5, 0.01))
        yield Shot(person, room, _noise(number, room, _SENSOR_NOISE))


def similar_colors(materials: Materials, frames: int) -> Iterator[Shot]:
    """A room whose colours have the mean and spread of the person's own."""
    first = materials.man_in_jacket().standing(0, _HD, 0.95, 0.5)
    own = first.straight()[first.alpha > 0.9]
    room = view(materials.room("meet_5"), _HD)
    flat = room.reshape(-1, 3)
    room = np.clip((room - flat.mean(axis=0)) / flat.std(axis=0) * own.std(axis=0) + own.mean(axis=0), 0, 255)
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.95, _sway(number, 0.5, 0.02))
        yield Shot(person, room, _noise(number, room, _SENSOR_NOISE))


def hair(materials: Materials, frames: int) -> Iterator[Shot]:
    """Long hair before leaves and window bars."""
    room = view(materials.room("meet_2"), _VGA, 1.3, 0.8, 0.3)
    for number in range(frames):
        person = placed(materials.long_hair().at(number), _VGA, 1.25, 0, -20)
        yield Shot(person, room, _noise(number, room, _SENSOR_NOISE))


def sheer(materials: Materials, frames: int) -> Iterator[Shot]:
    """A sheer cloth, a third to two thirds opaque, drawn past the person's side and the room beside them."""
    room = view(materials.room("meet_4"), _HD)
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.95, 0.45)
        yield Shot(over(_cloth(_HD, number), person), room, _noise(number, room, _SENSOR_NOISE))


def motion_blur(materials: Materials, frames: int) -> Iterator[Shot]:
    """A person who sways fast, seen through a shutter that is open for most of the frame."""
    room = view(materials.room("meet_1"), _VGA)
    for number in range(frames):
        instants = [number + part / 8 * 0.8 for part in range(8)]
        blurred = averaged(
            [materials.man_in_denim().standing(number, _VGA, 0.9, _sway(instant, 0.5, 0.14)) for instant in instants]
        )
        yield Shot(blurred, room, _noise(number, room, _SENSOR_NOISE))


def low_light(materials: Materials, frames: int) -> Iterator[Shot]:
    """A dim room: little contrast, strong noise of both luma and colour."""
    room = _dimmed(view(materials.room("meet_5"), _VGA), 0.3)
    for number in range(frames):
        person = materials.man_in_denim().standing(number, _VGA, 0.9, _sway(number, 0.5, 0.02))
        lit = Layer(_dimmed(person.color, 0.33), person.alpha)
        yield Shot(lit, room, _noise(number, room, 8.0))


def backlight(materials: Materials, frames: int) -> Iterator[Shot]:
    """A person in the dark before a bright window whose glare veils their edges."""
    room = np.clip(view(materials.room("meet_2"), _HD, 1.2, 0.4, 0.2) * 1.5, 0, 255)
    glare = 0.25 * np.asarray(cv2.GaussianBlur(room, (0, 0), 60), np.float32)
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.95, _sway(number, 0.55, 0.02))
        # Glare falls on all that is seen, so it is part of the foreground's colour and of the room's.
        veiled = Layer(person.color * 0.3 + person.alpha[:, :, None] * glare, person.alpha)
        yield Shot(veiled, room + glare, _noise(number, room, 2.5))


def held_object(materials: Materials, frames: int) -> Iterator[Shot]:
    """A book that is held up and turned before the chest: it belongs to the person."""
    room = view(materials.room("meet_1"), _HD)
    cover = view(materials.room("lomiri_picosdeeuropa_by_Aitzol_Berasategi"), (190, 260))
    book = Layer(np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.8), np.float32), np.ones((260, 190), np.float32))
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.95, 0.45)
        turn = 12 * math.sin(number / 12)
        held = placed(book, _HD, 1.0, 740 + 30 * math.sin(number / 15), 430 - 50 * math.sin(number / 20), turn)
        yield Shot(over(held, person), room, _noise(number, room, _SENSOR_NOISE))


def two_people(materials: Materials, frames: int) -> Iterator[Shot]:
    """A second person further back at the side; both are wanted."""
    for person, bystander, room, noise in _with_bystander(materials, frames):
        yield Shot(over(person, bystander), room, noise)


def bystander(materials: Materials, frames: int) -> Iterator[Shot]:
    """The same picture; only the person in front is wanted, the other one belongs to the room."""
    for person, other, room, noise in _with_bystander(materials, frames):
        yield Shot(person, other.color + (1 - other.alpha[:, :, None]) * room, noise)


def empty_room(materials: Materials, frames: int) -> Iterator[Shot]:
    """Nobody there, only tables and chairs."""
    room = view(materials.room("meet_4"), _HD)
    nobody = Layer(np.zeros((*_HD[::-1], 3), np.float32), np.zeros(_HD[::-1], np.float32))
    for number in range(frames):
        yield Shot(nobody, room, _noise(number, room, _SENSOR_NOISE))


def moving_camera(materials: Materials, frames: int) -> Iterator[Shot]:
    """A hand-held camera: the room slides and grows behind a person who stays in the middle."""
    for number in range(frames):
        across, down = 0.5 + 0.35 * math.sin(number / 16), 0.5 + 0.2 * math.sin(number / 7)
        room = view(materials.room("meet_8"), _VGA, 1.25 + 0.1 * math.sin(number / 23), across, down)
        person = materials.man_in_denim().standing(number, _VGA, 0.9, _sway(number, 0.5, 0.015))
        yield Shot(person, room, _noise(number, room, _SENSOR_NOISE))


def sits_back(materials: Materials, frames: int) -> Iterator[Shot]:
    """A person at arm's length behind a table: a quarter of the picture's width."""
    room = view(materials.room("meet_4"), _HD)
    for number in range(frames):
        person = materials.man_in_denim().standing(number, _HD, 0.6, _sway(number, 0.5, 0.03))
        yield Shot(person, room, _noise(number, room, _SENSOR_NOISE))


def far_away(materials: Materials, frames: int) -> Iterator[Shot]:
    """A person at the other end of the room, as a camera for meetings sees them: four hundredths of the picture."""
    room = view(materials.room("meet_1"), _HD)
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.4, _sway(number, 0.3, 0.02))
        yield Shot(person, room, _noise(number, room, _SENSOR_NOISE))


def green_screen(materials: Materials, frames: int) -> Iterator[Shot]:
    """A person close before a green screen, whose light falls on hair, neck and shoulders."""
    yield from _lit_from_behind(materials, frames, (70, 175, 50), 0.0)


def orange_wall(materials: Materials, frames: int) -> Iterator[Shot]:
    """A person before a strongly coloured wall with something on it; its light falls on their edges."""
    yield from _lit_from_behind(materials, frames, (40, 105, 205), 0.25)


SCENES: dict[str, Callable[[Materials, int], Iterator[Shot]]] = {
    scene.__name__: scene
    for scene in (
        plain,
        similar_colors,
        hair,
        sheer,
        motion_blur,
        low_light,
        backlight,
        held_object,
        two_people,
        bystander,
        empty_room,
        moving_camera,
        sits_back,
        far_away,
        green_screen,
        orange_wall,
    )
}


def _sway(number: float, middle: float, reach: float) -> float:
    return middle + reach * math.sin(number / 3.5)


def _noise(number: int, like: F32, deviation: float) -> F32:
    """Noise of one frame, (H, W, 3): independent for each pixel, most of it in luma."""
    rng = np.random.default_rng(number)
    luma = rng.standard_normal((*like.shape[:2], 1), np.float32)
    color = rng.standard_normal(like.shape, np.float32)
    return np.asarray(deviation * (0.85 * luma + 0.5 * color), np.float32)


def _dimmed(color: F32, gain: float) -> F32:
    return np.asarray(color * gain, np.float32)


def _cloth(size_wh: tuple[int, int], number: int) -> Layer:
    """A hanging cloth with folds, moving slowly across; off-white."""
    width, height = size_wh
    y, x = np.mgrid[:height, :width].astype(np.float32)
    left = 0.52 * width + 0.06 * width * math.sin(number / 14)
    swing = 25 * np.sin(y / 140 + number / 9)
    inside = np.clip(np.minimum(x - left - swing, left + 0.26 * width + swing - x) / 3, 0, 1)
    folds = 0.5 + 0.17 * np.sin((x - left) / 23 + swing / 30 + 0.4 * np.sin(y / 90))
    alpha = np.asarray(inside * folds, np.float32)
    shade = np.asarray(200 + 40 * np.sin((x - left) / 23 + 0.8), np.float32)
    straight = np.stack([shade * 0.96, shade * 0.98, shade], axis=2)
    return Layer(straight * alpha[:, :, None], alpha)


def _with_bystander(materials: Materials, frames: int) -> Iterator[tuple[Layer, Layer, F32, F32]]:
    room = view(materials.room("meet_6"), _HD)
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.95, 0.42)
        other = materials.man_in_denim().standing(number + 20, _HD, 0.58, 0.82 + 0.03 * math.sin(number / 20))
        yield person, other, room, _noise(number, room, _SENSOR_NOISE)


def _lit_from_behind(
    materials: Materials, frames: int, wall_bgr: tuple[float, float, float], picture_share: float
) -> Iterator[Shot]:
    """A quarter of the wall's light falls on what touches the outline, less further in, and a little everywhere."""
    wall = np.array(wall_bgr, np.float32)
    y, x = np.mgrid[: _HD[1], : _HD[0]].astype(np.float32)
    shade = 1.05 - 0.25 * np.hypot(x / _HD[0] - 0.5, y / _HD[1] - 0.4)
    room = shade[:, :, None] * wall * (1 - picture_share) + picture_share * view(materials.room("meet_5"), _HD)
    for number in range(frames):
        person = materials.man_in_jacket().standing(number, _HD, 0.95, _sway(number, 0.5, 0.02))
        behind = np.asarray(cv2.GaussianBlur(1 - person.alpha, (0, 0), _HD[1] / 45), np.float32)
        reach = 0.03 + behind / 2
        spill = np.asarray(reach[:, :, None] * wall, np.float32)
        yield Shot(person, room, _noise(number, room, _SENSOR_NOISE), spill)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--materials", type=Path, default=_MATERIALS)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES), metavar="SCENE")
    parser.add_argument("--frames", type=int, default=60)
    options = parser.parse_args()
    materials = Materials(options.materials)
    for name in options.scenes:
        frames = write_scene(options.target, name, SCENES[name](materials, options.frames))
        print(f"{name}: {frames} frames")


if __name__ == "__main__":
    main()
