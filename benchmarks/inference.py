"""The int8 U²-Net-p against the float one run plainly, on this machine's processor, taking turns in one run.

python benchmarks/inference.py [--size 320x320] [--rounds 20] [--device cpu] [--json benchmarks/results/inference.json]

`plain` is onnxruntime as it comes: u2netp.onnx, default session options, `session.run`. `u2netp` and `u2netp-int8` are
the same picture through `OnnxSession`, as a live run has it; on `--device openvino` with that provider, where it is
installed. `u2netp-int8 in clips` is what a picture takes where several are worked on at once, one core each, as a clip
is. A ratio is `plain` over the other within one
round, so that a slow moment hits both; the median over the rounds counts, beside the middle half of them. `difference`
is the mean absolute difference of alpha from `plain` on the picture. What int8 loses against exact truth is measured by

python benchmarks/quality.py --configs u2netp u2netp:model=u2netp-int8
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from measuring import keep
from skimage import data

from rtmatte.frame import F32, U8
from rtmatte.matting.providers import Device
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession, default_threads
from rtmatte.matting.weights import read_verified

_MODELS = ("u2netp", "u2netp-int8")
_IN_CLIPS = "u2netp-int8 in clips"
_WARM_UP = 2


def _plain(picture: U8) -> Callable[[], F32]:
    session = onnxruntime.InferenceSession(read_verified(find_model("u2netp")), providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(["alpha"], {"image": picture})[0])


def _ours(model: str, picture: U8, device: Device, threads: int | None = None) -> tuple[Callable[[], F32], str]:
    """A run of the model as rtmatte does it, and the provider."""
    session = OnnxSession(read_verified(find_model(model)), device=device, threads=threads)
    binding = session.bind(picture.shape, picture.shape[:3])
    binding.input[:] = picture

    def run() -> F32:
        session.run(binding)
        return binding.output

    return run, session.provider


def _at_once(picture: U8, pool: ThreadPoolExecutor, count: int) -> Callable[[], F32]:
    """So many pictures at the same time, a thread each."""
    jobs = [_ours("u2netp-int8", picture, "cpu", threads=1)[0] for _ in range(count)]
    return lambda: [*pool.map(lambda job: job(), jobs)][-1]


def measure(size_wh: tuple[int, int], rounds: int, device: Device = "cpu") -> dict[str, Any]:
    """Milliseconds, ratios and differences for a photograph of a person at that size (multiples of 32)."""
    photograph = cv2.resize(data.astronaut(), size_wh, interpolation=cv2.INTER_AREA)
    picture = np.asarray(photograph, np.uint8)[None]
    jobs = {"plain": _plain(picture)}
    providers = {}
    for model in _MODELS:
        jobs[model], providers[model] = _ours(model, picture, device)
    pictures = dict.fromkeys(jobs, 1)
    cores = default_threads()
    with ThreadPoolExecutor(cores) as pool:
        if device == "cpu" and cores > 1:
            jobs[_IN_CLIPS], pictures[_IN_CLIPS] = _at_once(picture, pool, cores), cores
            providers[_IN_CLIPS] = f"CPUExecutionProvider, 1 thread for each of {cores} pictures at once"
        taken: dict[str, list[float]] = {name: [] for name in jobs}
        for number in range(rounds + _WARM_UP):
            for name, job in jobs.items():
                begun = time.perf_counter()
                job()
                if number >= _WARM_UP:
                    taken[name].append((time.perf_counter() - begun) * 1e3 / pictures[name])
        expected = jobs["plain"]()
        answers = {name: job() for name, job in jobs.items()}
    return {
        "size_wh": list(size_wh),
        "rounds": rounds,
        "onnxruntime": onnxruntime.__version__,
        "provider": providers,
        "median_ms": {name: round(statistics.median(times), 1) for name, times in taken.items()},
        "best_ms": {name: round(min(times), 1) for name, times in taken.items()},
        "plain_over": {name: _ratios(taken["plain"], taken[name]) for name in providers},
        "difference": {name: float(f"{np.abs(answers[name] - expected).mean():.2g}") for name in providers},
    }


def _ratios(slow: list[float], fast: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles([s / f for s, f in zip(slow, fast, strict=True)], n=4)
    return {"median": round(middle, 2), "quarter": round(low, 2), "three_quarters": round(high, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="320x320", help="of the net's picture, multiples of 32")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", choices=("cpu", "openvino"), default="cpu")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    width, height = (int(part) for part in arguments.size.split("x"))
    keep(arguments.json, measure((width, height), arguments.rounds, arguments.device))


if __name__ == "__main__":
    main()
