"""A drawn scene for measuring: somebody swaying in front of a room, with the noise of a camera; always the same."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from rtmatte.frame import U8

_BAND = 64
_NOTHING = (0, 0, 0)


def draw_scene(size_wh: tuple[int, int], count: int) -> Iterator[tuple[U8, U8]]:
    """`count` pictures of one sway, (H, W, 3) uint8 BGR, each with its alpha, (H, W) uint8, 255 = the person."""
    width, height = size_wh
    random = np.random.default_rng(5)
    room = _room(size_wh, random)
    noise = np.empty((height, width), np.int16)
    for rows in _bands(height):
        noise[rows] = random.normal(0, 2.5, noise[rows].shape)
    for number in range(count):
        shown = room.copy()
        _draw_person(shown, 2 * np.pi * number / count)
        alpha_u8 = np.asarray(cv2.bitwise_not(cv2.inRange(cv2.absdiff(shown, room), _NOTHING, _NOTHING)), np.uint8)
        # The same grain elsewhere in each frame: as costly to encode as new grain, and cheaper to make.
        grain = np.roll(noise, (37 * number % height, 61 * number % width), (0, 1))
        yield np.asarray(cv2.add(shown, cv2.merge((grain, grain, grain)), dtype=cv2.CV_8U), np.uint8), alpha_u8


def _bands(height: int) -> Iterator[slice]:
    """Rows that are worked on together: pictures of 8192x8192 needn't be in memory as floating point numbers."""
    return (slice(first, first + _BAND) for first in range(0, height, _BAND))


def _room(size_wh: tuple[int, int], random: np.random.Generator) -> U8:
    width, height = size_wh
    texture = random.uniform(-14, 14, (max(2, height // 12), max(2, width // 12), 3)).astype(np.float32)
    wall = np.linspace((150, 158, 165), (96, 104, 118), height)[:, None, :]
    texture = np.asarray(cv2.resize(texture, size_wh, interpolation=cv2.INTER_CUBIC), np.float32)
    room = np.empty((height, width, 3), np.uint8)
    for rows in _bands(height):
        room[rows] = np.clip(wall[rows] + texture[rows], 0, 255)
    for left, top, right, bottom, bgr in (
        (0.06, 0.10, 0.28, 0.58, (215, 200, 170)),  # a window
        (0.70, 0.30, 0.96, 0.34, (40, 62, 92)),  # a shelf
        (0.74, 0.14, 0.78, 0.30, (60, 60, 170)),  # books
        (0.79, 0.17, 0.82, 0.30, (150, 90, 40)),
        (0.83, 0.12, 0.88, 0.30, (70, 140, 90)),
    ):
        corners = (round(left * width), round(top * height)), (round(right * width), round(bottom * height))
        cv2.rectangle(room, *corners, bgr, cv2.FILLED)
    return room


def _draw_person(shown_bgr: U8, phase: float) -> None:
    height, width = shown_bgr.shape[:2]
    x, y = width * (0.5 + 0.06 * np.sin(phase)), height * (0.42 + 0.01 * np.sin(2 * phase))
    tilt = 4 * np.sin(phase + 1)

    def ellipse(dx: float, dy: float, half_w: float, half_h: float, bgr: tuple[int, int, int]) -> None:
        centre = (round(x + dx * height), round(y + dy * height))
        axes = (max(1, round(half_w * height)), max(1, round(half_h * height)))
        cv2.ellipse(shown_bgr, centre, axes, tilt, 0, 360, bgr, cv2.FILLED, cv2.LINE_AA)

    ellipse(0, 0.62, 0.34, 0.40, (96, 62, 38))  # a jumper
    ellipse(0, 0.19, 0.065, 0.12, (120, 150, 196))
    ellipse(0, -0.03, 0.145, 0.19, (32, 38, 52))  # hair
    ellipse(0, 0.02, 0.115, 0.155, (136, 168, 214))
    for side in (-0.045, 0.045):
        ellipse(side, -0.005, 0.014, 0.010, (40, 40, 44))
    ellipse(0, 0.09, 0.040, 0.012, (92, 96, 176))
