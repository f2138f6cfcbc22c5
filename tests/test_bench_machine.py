"""What the benchmark reads of a machine: hardware, memory, power and heat, and the precision of a model."""

from __future__ import annotations

import gc
import json
import platform
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rtmatte.matting.precision import precision_of
from rtmatte.matting.registry import SHIPPED, find_model
from rtmatte.matting.weights import read_verified
from rtmatte.runs.bench.conditions import Conditions, as_dict, read_conditions, warnings_of
from rtmatte.runs.bench.gpu import NOT_READABLE, GpuMemory, open_gpu_memory
from rtmatte.runs.bench.machine import describe_machine
from rtmatte.runs.bench.memory import PeakMemory

NO_GPU = GpuMemory((), lambda: None, NOT_READABLE, 1.0)


def test_the_machine_is_described_in_plain_values_without_names() -> None:
    described = describe_machine(("A GPU",))
    assert json.loads(json.dumps(described)) == described
    assert described["gpus"] == ["A GPU"]
    assert described["processor"]
    assert described["cores"] >= 1
    assert described["python"] == platform.python_version()
    assert described["numpy"] == np.__version__
    if sys.platform == "linux":
        assert 0.1 < described["memory_gib"] < 100_000
    assert platform.node() not in json.dumps(described).split('"')


# --- GPU memory


class NvmlFails(Exception):
    pass


def nvml(*, names: list[Any], used: list[int], driver: bool = True) -> SimpleNamespace:
    """The few functions of NVML's binding that are used."""

    def init() -> None:
        if not driver:
            raise NvmlFails

    return SimpleNamespace(
        NVMLError=NvmlFails,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: len(names),
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetName=lambda handle: names[handle],
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=used[handle]),
    )


def test_gpu_memory_by_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(names=[b"GPU 1", "GPU 2"], used=[100, 20]))
    gpu = open_gpu_memory()
    assert (gpu.names, gpu.used_bytes(), gpu.how) == (("GPU 1", "GPU 2"), 120, "NVML, all programs")


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a shell script")
def test_gpu_memory_by_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(names=[], used=[], driver=False))
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\ncase "$1" in *name*) echo "GPU 1";; *) echo 7;; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu = open_gpu_memory()
    assert (gpu.names, gpu.used_bytes(), gpu.how) == (("GPU 1",), 7 * 2**20, "nvidia-smi, all programs")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpu.used_bytes() is None
    assert open_gpu_memory().how == NOT_READABLE


def test_without_any_means_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", "")
    gpu = open_gpu_memory()
    assert (gpu.names, gpu.used_bytes(), gpu.how) == ((), None, NOT_READABLE)


# --- memory


def wait_for(happened: Any) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells the highest value ever, or nothing")
def test_a_peak_is_seen_and_stays() -> None:
    gc.collect()  # what other tests left would go while this one looks
    with PeakMemory(NO_GPU) as memory:
        assert memory.before_bytes is not None
        held = np.ones(2**28, np.uint8)
        wait_for(lambda: memory.peak_bytes >= memory.before_bytes + 2**26)
        del held
    assert memory.peak_bytes is not None
    assert memory.peak_bytes >= memory.before_bytes + 2**25
    assert memory.gpu_peak_bytes is None


def test_the_gpu_is_asked_over_and_over_and_may_fail_to_answer() -> None:
    answers = iter([5, None, 9, *[3] * 100_000])
    asked: list[int | None] = []

    def used() -> int | None:
        asked.append(next(answers))
        return asked[-1]

    with PeakMemory(GpuMemory(("G",), used, "test", 0.0)) as memory:
        wait_for(lambda: len(asked) > 5)
    assert memory.gpu_peak_bytes == 9


# --- power and heat


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")


def test_power_and_heat_as_linux_tells_them(tmp_path: Path) -> None:
    cpu, supply = "devices/system/cpu/cpu", "class/power_supply/"
    nothing = read_conditions(tmp_path)
    assert (nothing.governors, nothing.throttled, nothing.on_battery) == ((), None, None)
    assert warnings_of(as_dict(nothing, nothing, [None])) == []
    files = {
        f"{cpu}0/cpufreq/scaling_governor": "powersave",
        f"{cpu}1/cpufreq/scaling_governor": "powersave",
        f"{cpu}0/thermal_throttle/core_throttle_count": "3",
        f"{cpu}0/thermal_throttle/package_throttle_count": "4",
        f"{supply}BAT0/type": "Battery",
        f"{supply}BAT0/status": "Discharging",
    }
    write(tmp_path, files)
    before = read_conditions(tmp_path)
    assert (before.governors, before.throttled, before.on_battery) == (("powersave",), 7, True)
    write(tmp_path, {f"{cpu}0/thermal_throttle/core_throttle_count": "5", f"{supply}BAT0/status": "Charging"})
    after = read_conditions(tmp_path)
    assert after.on_battery is False
    told = warnings_of(as_dict(before, after, [0.2, None, 0.4]))
    for words in ("powersave", "battery", "2 times", "up to 40% of the processor during a run"):
        assert any(words in one for one in told), words
    write(tmp_path, {f"{supply}mouse/type": "Battery", f"{supply}mouse/scope": "Device"})
    write(tmp_path, {f"{supply}mouse/status": "Discharging"})
    assert read_conditions(tmp_path).on_battery is False, "a mouse has a battery of its own"
    calm = Conditions(("performance",), 0, False)
    assert warnings_of(as_dict(calm, calm, [0.02])) == []


# --- precision


def graph(dtype: Any, *, cast_to: int | None = None, quantised: str = "") -> bytes:
    """A model with one convolution whose weights are stored as `dtype`."""
    weights = numpy_helper.from_array(np.ones((1, 1, 3, 3), dtype), "stored")
    scale = numpy_helper.from_array(np.ones((), np.float32), "scale")
    used, nodes = "stored", []
    if cast_to is not None:
        used = "cast"
        nodes.append(helper.make_node("Cast", ["stored"], ["cast"], to=cast_to))
    if quantised == "QDQ":
        used = "dequantised"
        nodes.append(helper.make_node("DequantizeLinear", ["stored", "scale"], ["dequantised"]))
    kind = "ConvInteger" if quantised == "integer" else "Conv"
    nodes.append(helper.make_node(kind, ["x", used], ["y"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 8, 8]) for name in "xy"]
    model: onnx.ModelProto = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights, scale]))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (graph(np.float32), "float32"),
        (graph(np.float16), "float16"),
        (graph(np.float16, cast_to=TensorProto.FLOAT), "float32, weights float16"),
        (graph(np.int8, quantised="QDQ"), "int8"),
        (graph(np.int8, quantised="integer"), "int8"),
        (b"", "unknown"),
        (b"\xff" * 20, "unknown"),
        (graph(np.float32)[:60], "unknown"),
    ],
)
def test_precision_is_what_the_graph_says(model: bytes, wanted: str) -> None:
    assert precision_of(model) == wanted


def test_precision_of_shipped_models() -> None:
    assert precision_of(read_verified(find_model("u2netp"))) == "float32"
    assert precision_of(read_verified(find_model("selfie"))) == "float32, weights float16"
    assert "unknown" not in {precision_of(read_verified(spec)) for spec in SHIPPED}
