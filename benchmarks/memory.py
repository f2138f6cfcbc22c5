"""Peak memory of a long job against a short one, each in a process of its own.

python benchmarks/memory.py [--minutes 1 10] [--json benchmarks/results/memory.json]

720p at 30 fps from the test pattern, blurred background. The model estimates the first frame and its alpha
stands for the rest, which would take the better part of an hour otherwise; everything else is the real job.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from fractions import Fraction
from pathlib import Path

from measuring import keep

import rtmatte
from rtmatte.frame import F32, Frame

_SIZE_WH = (1280, 720)
_RATE = 30


class FirstAlpha:
    """Runs the real model once and repeats its answer."""

    def __init__(self) -> None:
        self._model = rtmatte.load_matter()
        self._alpha: F32 | None = None
        self.name, self.provider = self._model.name, self._model.provider

    def estimate(self, frame: Frame) -> F32:
        if self._alpha is None:
            self._alpha = self._model.estimate(frame).copy()
        return self._alpha

    def reset(self) -> None:
        self._alpha = None


def _make(path: Path, minutes: float) -> None:
    """The test pattern: two seconds are drawn, and their pictures come round again."""
    frame_count = round(minutes * 60 * _RATE)
    pictures = [frame.picture for frame in rtmatte.SyntheticSource(_SIZE_WH, 60, Fraction(_RATE))]
    video = rtmatte.SyntheticSource(_SIZE_WH, 1, Fraction(_RATE)).format
    with rtmatte.VideoFileSink(path, video, quality=50, encoder="software") as sink:
        for number in range(frame_count):
            sink.send(Frame(pictures[number % len(pictures)], number, video.time_base, number, 1), None)


def _peak_megabytes(minutes: float, answer: multiprocessing.queues.Queue[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "in.mp4")
        _make(clip, minutes)
        rtmatte.process_video(clip, Path(folder, "out.mp4"), background="blur", matter=FirstAlpha())
    answer.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 10])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    peaks = {}
    for minutes in arguments.minutes:
        answer: multiprocessing.queues.Queue[float] = spawn.Queue()
        process = spawn.Process(target=_peak_megabytes, args=(minutes, answer))
        process.start()
        peaks[f"{minutes:g} min"] = answer.get()
        process.join()
    values = list(peaks.values())
    keep(arguments.json, {"peak_megabytes": peaks, "growth": values[-1] / values[0] - 1})


if __name__ == "__main__":
    main()
