"""Compositing a frame against copying it: the kernels can't be faster than memory.

python benchmarks/composite.py [--json benchmarks/results/composite.json]

For each size: `np.copyto` of the I420 frame, the I420 blend (luma with alpha, chroma with its 2x2 mean), the BGR blend
and what OpenCV takes for it with its own buffers preallocated. Rounds take turns; the medians count.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from measuring import keep

from rtmatte.composite import kernels
from rtmatte.frame import I420, ColorTags

_ROUNDS = 200


def _jobs(size_wh: tuple[int, int]) -> dict[str, Callable[[], object]]:
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

    def i420() -> None:
        kernels.halve_alpha(alpha, half)
        kernels.blend_plane(frame.y, behind.y, alpha)
        kernels.blend_plane(frame.u, behind.u, half)
        kernels.blend_plane(frame.v, behind.v, half)

    def opencv_bgr() -> None:
        cv2.multiply(frame_bgr, alpha_bgr, dst=a, scale=1 / 255)
        cv2.multiply(behind_bgr, inverse_bgr, dst=b, scale=1 / 255)
        cv2.add(a, b, dst=a)

    return {
        "copy_i420": lambda: np.copyto(copy.buffer, frame.buffer),
        "blend_i420": i420,
        "blend_bgr": lambda: kernels.blend_bgr(frame_bgr, behind_bgr, alpha),
        "opencv_bgr": opencv_bgr,
    }


def _median_ms(jobs: dict[str, Callable[[], object]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for round_number in range(_ROUNDS + 5):
        for name, job in jobs.items():
            begun = time.perf_counter()
            job()
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
        ratio = milliseconds["blend_i420"] / milliseconds["copy_i420"]
        figures[f"{size_wh[0]}x{size_wh[1]}"] = {"median_ms": milliseconds, "blend_over_copy": ratio}
    keep(arguments.json, figures)


if __name__ == "__main__":
    main()
