"""The worst frame of each clip as a picture: what was seen, what is true, what was estimated, where it is wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rtmatte.frame import U8
from scoring.score import ClipScore, WorstFrame

_TILE_WH = (480, 360)
_GAP = 6
_HEADING = 34


def write_sheet(path: Path, clips: list[ClipScore]) -> None:
    """A row for each clip: picture, truth, estimate, and errors (red: too much foreground, blue: too little)."""
    rows = [_row(clip.name, clip.worst) for clip in clips]
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.vstack(rows)):
        raise OSError(f"expected to write a picture to {path}, couldn't")


def _row(name: str, worst: WorstFrame) -> U8:
    tiles = [worst.picture_bgr, _grey(worst.truth), _grey(worst.alpha), _errors(worst)]
    row = np.hstack([_tile(tile) for tile in tiles])
    label = f"{name}  frame {worst.index}  MAD {worst.mad:.1f}"
    heading = np.full((_HEADING, row.shape[1], 3), 40, np.uint8)
    cv2.putText(heading, label, (8, _HEADING - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([heading, row])


def _errors(worst: WorstFrame) -> U8:
    error = np.subtract(worst.alpha, worst.truth, dtype=np.int16)
    dim = worst.picture_bgr // 3
    colored = dim.astype(np.int16)
    colored[:, :, 2] += np.maximum(error, 0)
    colored[:, :, 0] += np.maximum(-error, 0)
    return np.clip(colored, 0, 255).astype(np.uint8)


def _grey(alpha: U8) -> U8:
    return np.repeat(alpha[:, :, None], 3, axis=2)


def _tile(picture: U8) -> U8:
    """The picture in a tile, its shape kept."""
    tile = np.full((_TILE_WH[1] + _GAP, _TILE_WH[0] + _GAP, 3), 40, np.uint8)
    scale = min(_TILE_WH[0] / picture.shape[1], _TILE_WH[1] / picture.shape[0])
    size_wh = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    tile[: size_wh[1], : size_wh[0]] = cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA)
    return tile
