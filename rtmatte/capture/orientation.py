"""The way up: a display matrix, applied to planes once."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np

from rtmatte.capture.side_data import side_data
from rtmatte.frame import U8

if TYPE_CHECKING:
    import av

Turn: TypeAlias = Literal[
    "none", "flip-horizontal", "flip-vertical", "half-turn", "clockwise", "counter-clockwise", "transpose", "transverse"
]

# (a, b, c, d): a stored point (x, y), y downwards, is shown at (a·x + c·y, b·x + d·y), origin apart.
_MATRIX_OF_TURN: dict[Turn, tuple[int, int, int, int]] = {
    "none": (1, 0, 0, 1),
    "flip-horizontal": (-1, 0, 0, 1),
    "flip-vertical": (1, 0, 0, -1),
    "half-turn": (-1, 0, 0, -1),
    "clockwise": (0, 1, -1, 0),
    "counter-clockwise": (0, -1, 1, 0),
    "transpose": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}
_EXACT_ENOUGH = 0.9999


@dataclass(frozen=True, slots=True)
class Orientation:
    """What must be done to a stored picture so that it stands upright.

    `exact` is false when the matrix asks for another angle, of which `turn` is the nearest right-angled one.
    """

    turn: Turn = "none"
    exact: bool = True

    @property
    def swaps_sides(self) -> bool:
        return self.turn in ("clockwise", "counter-clockwise", "transpose", "transverse")

    def upright_wh(self, stored_wh: tuple[int, int]) -> tuple[int, int]:
        width, height = stored_wh
        return (height, width) if self.swaps_sides else (width, height)

    def write(self, plane: U8, target: U8) -> None:
        """Writes a stored (h, w) uint8 plane, rows possibly padded, upright into a C-contiguous `target`.

        Releases the GIL. Allocates a plane only for "transverse".
        """
        match self.turn:
            case "none":
                np.copyto(target, plane)
            case "flip-horizontal":
                cv2.flip(plane, 1, dst=target)
            case "flip-vertical":
                cv2.flip(plane, 0, dst=target)
            case "half-turn":
                cv2.flip(plane, -1, dst=target)
            case "clockwise":
                cv2.rotate(plane, cv2.ROTATE_90_CLOCKWISE, dst=target)
            case "counter-clockwise":
                cv2.rotate(plane, cv2.ROTATE_90_COUNTERCLOCKWISE, dst=target)
            case "transpose":
                cv2.transpose(plane, dst=target)
            case "transverse":
                cv2.flip(cv2.transpose(plane), -1, dst=target)


def orientation_of_matrix(matrix: bytes) -> Orientation:
    """The orientation of an FFmpeg display matrix: nine native int32, the 2x2 part in 16.16 fixed point.

    A matrix without area (all zero, as some files have it) is taken for upright.
    """
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    length = math.hypot(a, b, c, d)
    if a * d == b * c:
        return Orientation()
    likeness = {
        turn: (a * m[0] + b * m[1] + c * m[2] + d * m[3]) / (length * math.sqrt(2))
        for turn, m in _MATRIX_OF_TURN.items()
    }
    turn = max(likeness, key=lambda candidate: likeness[candidate])
    return Orientation(turn, likeness[turn] > _EXACT_ENOUGH)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """What a decoded frame's own side data says; upright without any."""
    matrix = side_data(frame, "DISPLAYMATRIX")
    return Orientation() if matrix is None else orientation_of_matrix(matrix)
