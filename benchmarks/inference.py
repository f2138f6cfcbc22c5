"""The int8 U²-Net-p against the float one run plainly, on this machine's processor, taking turns in one run.

python benchmarks/inference.py [--size 320x320] [--rounds 20] [--json benchmarks/results/inference.json]

`plain` is onnxruntime as it comes: u2netp.onnx, default session options, `session.run`. `u2netp` and `u2netp-int8` are
the same picture through `OnnxSession`, as every run of rtmatte has it. A ratio is `plain` over the other within one
round, so that a slow moment hits both; the median over the rounds counts, beside the middle half of them. `difference`
is the mean absolute difference of alpha from `plain` on the picture. What int8 loses against exact truth is measured by

python benchmarks/quality.py --configs u2netp u2netp:model=u2netp-int8
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from measuring import keep
from skimage import data

from rtmatte.frame import F32, U8
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified

_MODELS = ("u2netp", "u2netp-int8")
_WARM_UP = 2


def _plain(picture: U8) -> Callable[[], F32]:
    session = onnxruntime.InferenceSession(read_verified(find_model("u2netp")), providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(["alpha"], {"image": picture})[0])


def _ours(model: str, picture: U8) -> tuple[Callable[[], F32], str]:
    """A run of the model as rtmatte does it, and the provider."""
    session = OnnxSession(read_verified(find_model(model)), device="cpu")
    binding = session.bind(picture.shape, picture.shape[:3])
    binding.input[:] = picture

    def run() -> F32:
        session.run(binding)
        return binding.output

    return run, session.provider


def measure(size_wh: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Milliseconds, ratios and differences for a photograph of a person at that size (multiples of 32)."""
    photograph = cv2.resize(data.astronaut(), size_wh, interpolation=cv2.INTER_AREA)
    picture = np.asarray(photograph, np.uint8)[None]
    jobs = {"plain": _plain(picture)}
    providers = {}
    for model in _MODELS:
        jobs[model], providers[model] = _ours(model, picture)
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + _WARM_UP):
        for name, job in jobs.items():
            begun = time.perf_counter()
            job()
            if number >= _WARM_UP:
                taken[name].append((time.perf_counter() - begun) * 1e3)
    expected = jobs["plain"]()
    return {
        "size_wh": list(size_wh),
        "rounds": rounds,
        "onnxruntime": onnxruntime.__version__,
        "provider": providers,
        "median_ms": {name: round(statistics.median(times), 1) for name, times in taken.items()},
        "best_ms": {name: round(min(times), 1) for name, times in taken.items()},
        "plain_over": {model: _ratios(taken["plain"], taken[model]) for model in _MODELS},
        "difference": {model: float(f"{np.abs(jobs[model]() - expected).mean():.2g}") for model in _MODELS},
    }


def _ratios(slow: list[float], fast: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles([s / f for s, f in zip(slow, fast, strict=True)], n=4)
    return {"median": round(middle, 2), "quarter": round(low, 2), "three_quarters": round(high, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="320x320", help="of the net's picture, multiples of 32")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    width, height = (int(part) for part in arguments.size.split("x"))
    keep(arguments.json, measure((width, height), arguments.rounds))


if __name__ == "__main__":
    main()
