"""Compositing a frame against copying it: the kernels can't be faster than memory.

python benchmarks/composite.py [--json benchmarks/results/composite.json]

For each size: `np.copyto` of the I420 frame, the I420 blend (luma with alpha, chroma with its 2x2 mean), the BGR blend
and what OpenCV takes for it with its own buffers preallocated. Then all that happens at frame size to an alpha that
comes in it, a soft edge that moves and shimmers: filter over time, rounding and blend, in bytes as the program does it
and in floats as it does for the model's small alpha; and of noise everywhere, the worst there is. Rounds take turns;
the medians count.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from measuring import keep

from rtmatte.composite import kernels
from rtmatte.frame import F32, I420, U8, ColorTags
from rtmatte.refine.kernels import quantize_alpha
from rtmatte.temporal.exponential import ExponentialFilter

_ROUNDS = 200
_RATE = 30


def _moving(size_wh: tuple[int, int]) -> list[U8]:
    """A round piece about as large as a person, to and fro; its edge is a 60th of the height wide and noisy."""
    width, height = size_wh
    noise = np.random.default_rng(1)
    rows, columns = np.ogrid[:height, :width]
    alphas = []
    for number in range(12):
        distance = np.hypot(columns - width / 2 - height / 72 * math.sin(number * math.pi / 6), rows - 0.6 * height)
        alpha = np.clip((0.4 * height - distance) / (height / 60) + 0.5, 0, 1)
        alpha += noise.normal(0, 0.05, alpha.shape) * ((alpha > 0) & (alpha < 1))
        alphas.append(np.rint(255 * alpha.clip(0, 1)).astype(np.uint8))
    return alphas


class _Smoothed:
    """Alphas that come at the frame's size, one after the other, smoothed over time and blended."""

    def __init__(self, alphas: list[U8], blend: Callable[[U8], None]) -> None:
        self._alphas = alphas
        self._floats: list[F32] = [(alpha / 255).astype(np.float32) for alpha in alphas]
        self._blend = blend
        self._filter = ExponentialFilter(0.15, lets_go_at=0.5)
        self._alpha = np.empty_like(alphas[0])
        self._number = 0

    def take(self) -> None:
        """The next alpha, in the plane that is worked on: what the stage before does."""
        self._number += 1
        np.copyto(self._alpha, self._alphas[self._number % len(self._alphas)])

    def in_bytes(self) -> None:
        self._filter.apply_to_bytes(self._alpha, self._number / _RATE)
        self._blend(self._alpha)

    def in_floats(self) -> None:
        alpha = self._filter.apply(self._floats[self._number % len(self._floats)], self._number / _RATE)
        quantize_alpha(alpha, self._alpha, 0.001)
        self._blend(self._alpha)


@dataclass(frozen=True)
class _Job:
    """What is timed, and what has to be done before."""

    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


def _jobs(size_wh: tuple[int, int]) -> dict[str, _Job]:
    width, height = size_wh
    noise = np.random.default_rng(0)
    frame, behind, copy = (I420.allocate(size_wh, ColorTags()) for _ in range(3))
    for picture in (frame, behind):
        picture.buffer[:] = noise.integers(0, 256, picture.buffer.size, np.uint8)
    alpha = noise.integers(0, 256, (height, width), np.uint8)
    half = np.empty(frame.u.shape, np.uint8)
    frame_bgr, behind_bgr = (noise.integers(0, 256, (height, width, 3), np.uint8) for _ in range(2))
    alpha_bgr = cv2.merge([alpha] * 3)
    inverse_bgr = 255 - alpha_bgr
    a, b = np.empty_like(frame_bgr), np.empty_like(frame_bgr)

    def i420(alpha: U8 = alpha) -> None:
        kernels.halve_alpha(alpha, half)
        kernels.blend_plane(frame.y, behind.y, alpha)
        kernels.blend_plane(frame.u, behind.u, half)
        kernels.blend_plane(frame.v, behind.v, half)

    def opencv_bgr() -> None:
        cv2.multiply(frame_bgr, alpha_bgr, dst=a, scale=1 / 255)
        cv2.multiply(behind_bgr, inverse_bgr, dst=b, scale=1 / 255)
        cv2.add(a, b, dst=a)

    person = _moving(size_wh)
    noisy = [noise.integers(0, 256, (height, width), np.uint8) for _ in person]
    in_bytes, in_floats, of_noise = _Smoothed(person, i420), _Smoothed(person, i420), _Smoothed(noisy, i420)
    return {
        "copy_i420": _Job(lambda: np.copyto(copy.buffer, frame.buffer)),
        "blend_i420": _Job(i420),
        "blend_bgr": _Job(lambda: kernels.blend_bgr(frame_bgr, behind_bgr, alpha)),
        "opencv_bgr": _Job(opencv_bgr),
        "filter_and_blend_i420": _Job(in_bytes.in_bytes, in_bytes.take),
        "filter_and_blend_i420_of_noise": _Job(of_noise.in_bytes, of_noise.take),
        "filter_and_blend_i420_in_floats": _Job(in_floats.in_floats, in_floats.take),
    }


def _median_ms(jobs: dict[str, _Job]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for round_number in range(_ROUNDS + 5):
        for name, job in jobs.items():
            job.prepare()
            begun = time.perf_counter()
            job.run()
            if round_number >= 5:  # the first rounds compile and warm the caches
                taken[name].append((time.perf_counter() - begun) * 1e3)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    figures: dict[str, object] = {}
    for size_wh in ((1280, 720), (1920, 1080)):
        milliseconds = _median_ms(_jobs(size_wh))
        copied = milliseconds["copy_i420"]
        figures[f"{size_wh[0]}x{size_wh[1]}"] = {
            "median_ms": milliseconds,
            "blend_over_copy": milliseconds["blend_i420"] / copied,
            "filter_and_blend_over_copy": milliseconds["filter_and_blend_i420"] / copied,
        }
    keep(arguments.json, figures)


if __name__ == "__main__":
    main()
