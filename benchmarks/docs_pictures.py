"""The pictures of docs/quality.md: what each step gives, on material that may be published.

python benchmarks/docs_pictures.py [TARGET] [--materials FOLDER]

FOLDER holds foregrounds/mdn_man_a.mkv (MDN, CC0), real/intel_one_by_one_person.mp4 and real/asl/asl_book.mkv (Intel
sample-videos, CC BY 4.0). The scenes with truth are composed from the first two; nothing else is shown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from scenes.layers import F32, U8, Layer, layer_from_bgra, placed, view
from scenes.write import Shot, write_scene
from scoring.configs import MattedFrame, matted_frames, named_config
from scoring.metrics import dtssd, mad
from scoring.peers import picture_bgr
from scoring.truth import TruthClip, find_clips

_REPOSITORY = Path(__file__).resolve().parents[1]
_SIZE_WH = (640, 384)
_STEPS = (
    ("net alone", "net_alone:edge_colors=False"),
    ("+ refined", "net_refined:edge_colors=False"),
    ("default", "default"),
    ("best", "best"),
)
_GREEN_BGR, _GREY = (70.0, 175.0, 50.0), 150
_HEADING = 24


def room(materials: Path, frames: int) -> Iterator[Shot]:
    """A man who lifts his hands before a white wall with a table."""
    empty = next(_decoded(materials / "real" / "intel_one_by_one_person.mp4", "bgr24"))
    behind = view(empty, _SIZE_WH, 1.35, 0.45, 0.1)
    for number, person in enumerate(_people(materials, frames)):
        noise: F32 = np.random.default_rng(number).standard_normal(behind.shape, np.float32)
        noise *= np.float32(1.5)
        yield Shot(person, behind, noise)


def screen(materials: Path, frames: int) -> Iterator[Shot]:
    """The same man before a green screen whose light falls on him."""
    green = np.broadcast_to(np.array(_GREEN_BGR, np.float32), (_SIZE_WH[1], _SIZE_WH[0], 3))
    for person in _people(materials, frames):
        reach = np.asarray(cv2.GaussianBlur(1 - person.alpha, (0, 0), 10), np.float32) / 2 + 0.03
        yield Shot(person, green.copy(), None, np.asarray(reach[:, :, None] * green, np.float32))


def _people(materials: Path, frames: int) -> Iterator[Layer]:
    for number, bgra in enumerate(_decoded(materials / "foregrounds" / "mdn_man_a.mkv", "bgra")):
        if number >= 100:
            yield placed(layer_from_bgra(bgra), _SIZE_WH, 2.0, 0, 0)
        if number == 99 + frames:
            return


def _decoded(path: Path, pixel_format: str) -> Iterator[U8]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format=pixel_format), np.uint8)


def ablation(clip: TruthClip, at: int) -> U8:
    """Mattes and where they are wrong (red: too much, blue: too little), step by step, with the whole clip's errors."""
    truths = list(clip.alphas())
    truth = truths[at]
    columns: list[U8] = []
    for label, config in _STEPS:
        frames = list(matted_frames(clip.picture, named_config(config)[1]))
        matted, alphas = frames[at], [frame.alpha_u8 for frame in frames]
        mean_mad = np.mean([mad(alpha, true) for alpha, true in zip(alphas, truths, strict=True)])
        mean_dtssd = np.mean([dtssd(*changes) for changes in zip(alphas[1:], alphas, truths[1:], truths, strict=False)])
        if not columns:
            columns.append(_column("picture, truth", [picture_bgr(matted.frame), _grey(truth)]))
        error = matted.alpha_u8.astype(np.int16) - truth
        colored = (picture_bgr(matted.frame) // 3).astype(np.int16)
        colored[:, :, 2] += np.maximum(error, 0)
        colored[:, :, 0] += np.maximum(-error, 0)
        tiles = [_grey(matted.alpha_u8), np.clip(colored, 0, 255).astype(np.uint8)]
        columns.append(_column(f"{label}: MAD {mean_mad:.1f}, dtSSD {mean_dtssd:.2f}", tiles))
    return np.hstack(columns)


def closer(clip: Path, at: int, part: tuple[slice, slice]) -> U8:
    """A part of a real clip before grey, step by step."""
    columns: list[U8] = []
    for label, config in _STEPS:
        matted = _matted(clip, config, at)
        if not columns:
            columns.append(_column("picture", [picture_bgr(matted.frame)[part]]))
        columns.append(_column(label, [_before_grey(matted)[part]]))
    return np.hstack(columns)


def despill(clip: TruthClip, at: int, part: tuple[slice, slice]) -> U8:
    """A part of the green screen's clip before grey, with and without `--spill`, and with the true colours."""
    columns: list[U8] = []
    for label, config in (
        ("--spill off", "default"),
        ("--spill green", "default:spill=green"),
        ("--spill auto", "default:spill=auto"),
    ):
        matted = _matted(clip.picture, config, at)
        if not columns:
            columns.append(_column("picture", [picture_bgr(matted.frame)[part]]))
        columns.append(_column(label, [_before_grey(matted)[part]]))
    alpha = (list(clip.alphas())[at].astype(np.float32) / 255)[:, :, None]
    true = alpha * list(clip.foregrounds_bgr())[at] + (1 - alpha) * _GREY
    return np.hstack([*columns, _column("truth", [np.rint(true).astype(np.uint8)[part]])])


def _matted(clip: Path, config: str, at: int) -> MattedFrame:
    for number, matted in enumerate(matted_frames(clip, named_config(config)[1])):
        if number == at:
            return matted
    raise ValueError(f"expected a frame {at} in {clip}, got fewer")


def _before_grey(matted: MattedFrame) -> U8:
    alpha: F32 = (matted.alpha_u8.astype(np.float32) / np.float32(255))[:, :, None]
    composite = np.rint(alpha * picture_bgr(matted.foreground) + (1 - alpha) * _GREY)
    return np.asarray(composite, np.uint8)


def _grey(alpha: U8) -> U8:
    return np.repeat(alpha[:, :, None], 3, axis=2)


def _column(label: str, tiles: list[U8], width: int = 300) -> U8:
    heading = np.full((_HEADING, width, 3), 40, np.uint8)
    cv2.putText(heading, label, (6, _HEADING - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    sized = [
        cv2.resize(tile, (width - 4, round(tile.shape[0] * (width - 4) / tile.shape[1])), interpolation=cv2.INTER_AREA)
        for tile in tiles
    ]
    framed = [cv2.copyMakeBorder(tile, 0, 4, 0, 4, cv2.BORDER_CONSTANT, value=(40, 40, 40)) for tile in sized]
    return np.asarray(np.vstack([heading, *framed]), np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", type=Path, default=_REPOSITORY / "docs" / "pictures")
    parser.add_argument("--materials", type=Path, default=_REPOSITORY.parent / "shared" / "clips")
    options = parser.parse_args()
    options.target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for scene in (room, screen):
            write_scene(Path(folder), scene.__name__, scene(options.materials, 50))
        in_room, before_green = find_clips(Path(folder))
        asl = options.materials / "real" / "asl" / "asl_book.mkv"
        pictures = {
            "ablation": ablation(in_room, 36),
            "closer": closer(asl, 54, np.s_[60:300, 170:450]),
            "despill": despill(before_green, 10, np.s_[0:340, 90:540]),
        }
    for name, picture in pictures.items():
        path = options.target / f"{name}.jpg"
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
        print(f"{path}: {picture.shape[1]}x{picture.shape[0]}, {path.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
