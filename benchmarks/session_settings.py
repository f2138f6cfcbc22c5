"""What the settings of a session give: a net as rtmatte runs it, and with one setting changed at a time, in turns.

python benchmarks/session_settings.py [--models u2netp-int8 selfie-multiclass-int8] [--rounds 15]
                             [--json benchmarks/results/session_settings.json]

`ours` is onnxruntime's CPU provider as `matting/session.py` sets it up: a thread for each core, no spinning, memory
arena, all optimisations, free shapes. `fixed shape` has all dimensions told beforehand. `openvino` is that provider
instead, where the installed onnxruntime has it. The net sees a photograph in the size that 720p frames get. A ratio is
the variant's time over that of `ours` within one round; the median over the rounds counts, beside the middle half of
them. Processor time is of all cores.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from measuring import keep
from numpy.typing import NDArray
from skimage import data

from rtmatte.machine import usable_cores
from rtmatte.matting.providers import Device
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified

_MODELS = ("u2netp", "u2netp-int8", "selfie", "selfie-multiclass", "selfie-multiclass-int8")
_FRAME_WH = (1280, 720)
_WARM_UP = 3


@dataclass
class _Taken:
    """Milliseconds of each round, by the clock and of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def _session(model: bytes, change: str) -> Any:
    """onnxruntime's own session with ours' settings but one."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1 if change == "one thread" else usable_cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if change == "spinning" else "0")
    options.enable_cpu_mem_arena = change != "no memory arena"
    if change == "no memory pattern":
        options.enable_mem_pattern = False
    if change in ("basic", "extended"):
        level = f"ORT_ENABLE_{change.upper()}"
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _fixed(model: bytes, shape: tuple[int, ...]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    free = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    for name, size in zip(free, shape, strict=True):
        if isinstance(name, str):
            options.add_free_dimension_override_by_name(name, size)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def runs_of(name: str) -> dict[str, Callable[[], NDArray[np.float32]]]:
    """The net on one picture, for each variant; each returns alpha as it comes."""
    row = find_model(name)
    model, spec = read_verified(row), row.net.input
    _, (height, width) = spec.shapes(_FRAME_WH, Fraction(1))
    photograph = cv2.resize(data.astronaut(), (width, height), interpolation=cv2.INTER_AREA)
    picture = np.asarray(photograph, spec.dtype)[None]
    if spec.layout == "nchw":
        picture = np.ascontiguousarray(picture.transpose(0, 3, 1, 2))

    def ours(device: Device) -> Callable[[], NDArray[np.float32]]:
        session = OnnxSession(model, device=device)
        binding = session.start({session.input_name(spec.name): picture}, [session.output_name(row.net.output.name)])

        def run() -> NDArray[np.float32]:
            session.run(binding)
            return binding.output

        return run

    def other(session: Any) -> Callable[[], NDArray[np.float32]]:
        given = {session.get_inputs()[0].name: picture}
        wanted = [row.net.output.name or session.get_outputs()[0].name]
        return lambda: np.asarray(session.run(wanted, given)[0])

    runs = {"ours": ours("cpu")}
    for change in ("spinning", "one thread", "no memory arena", "no memory pattern", "basic", "extended"):
        runs[change] = other(_session(model, change))
    runs["fixed shape"] = other(_fixed(model, picture.shape))
    if "OpenVINOExecutionProvider" in onnxruntime.get_available_providers():
        runs["openvino"] = ours("openvino")
    return runs


def measure(name: str, rounds: int) -> dict[str, Any]:
    """Milliseconds and ratios of one net."""
    runs = runs_of(name)
    taken = {variant: _Taken() for variant in runs}
    for number in range(rounds + _WARM_UP):
        for variant, run in runs.items():
            begun, cpu_begun = time.perf_counter(), time.process_time()
            run()
            clock, processor = time.perf_counter() - begun, time.process_time() - cpu_begun
            if number >= _WARM_UP:
                taken[variant].clock.append(clock * 1e3)
                taken[variant].processor.append(processor * 1e3)
    ours = taken["ours"].clock
    return {
        variant: {
            "median_ms": round(statistics.median(it.clock), 2),
            "processor_ms": round(statistics.median(it.processor), 2),
            "over_ours": _ratios(it.clock, ours),
        }
        for variant, it in taken.items()
    }


def _ratios(times: list[float], ours: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles([t / o for t, o in zip(times, ours, strict=True)], n=4)
    return {"median": round(middle, 2), "quarter": round(low, 2), "three_quarters": round(high, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(_MODELS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = {name: measure(name, arguments.rounds) for name in arguments.models}
    keep(arguments.json, {"rounds": arguments.rounds, "onnxruntime": onnxruntime.__version__, "nets": figures})


if __name__ == "__main__":
    main()
