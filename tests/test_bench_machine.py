"""What the benchmark reads of a machine: hardware, memory, power and heat, and the precision of a model."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import sys
import time
from pathlib import Path
from threading import Event
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
from rtmatte.runs.bench.gpu import nvidia_smi as by_nvidia_smi
from rtmatte.runs.bench.gpu import nvml as by_nvml
from rtmatte.runs.bench.gpu.cuda_driver import default_gpu
from rtmatte.runs.bench.gpu.find import NOT_READABLE, find_gpu
from rtmatte.runs.bench.gpu.state import Gpu, GpuState
from rtmatte.runs.bench.gpu.watch import GpuUse, GpuWatch, use_of_all
from rtmatte.runs.bench.machine import describe_machine
from rtmatte.runs.bench.memory import PeakMemory
from rtmatte.runs.bench.words import gpu_memory, ran_on

NO_GPU = Gpu((), GpuState, NOT_READABLE, 1.0)


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


# --- the GPU


class NvmlFails(Exception):
    pass


def nvml(*, names: list[Any], driver: bool = True, **functions: Any) -> SimpleNamespace:
    """The few functions of NVML's binding that are used; a GPU's handle is its number, its place `place NUMBER`."""

    def init() -> None:
        if not driver:
            raise NvmlFails

    def missing(*_: Any) -> None:
        raise NvmlFails("not supported")

    others = (
        *("MemoryInfo", "PowerUsage", "ClockInfo", "Temperature", "ComputeRunningProcesses"),
        "CurrentClocksThrottleReasons",
    )
    return SimpleNamespace(
        NVMLError=NvmlFails,
        NVML_CLOCK_SM=1,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=init,
        nvmlDeviceGetCount=lambda: len(names),
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetHandleByPciBusId=lambda place: int(place.removeprefix("place ")),
        nvmlDeviceGetName=lambda handle: names[handle],
        **{f"nvmlDeviceGet{name}": missing for name in others}
        | {f"nvmlDeviceGet{name}": function for name, function in functions.items()},
    )


def cuda_takes(monkeypatch: pytest.MonkeyPatch, place: str | None) -> None:
    for module in (by_nvml, by_nvidia_smi):
        monkeypatch.setattr(module, "default_gpu", lambda: place)


def test_the_gpu_that_cuda_takes_by_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    def process(pid: int, used: int | None) -> SimpleNamespace:
        return SimpleNamespace(pid=pid, usedGpuMemory=used)

    told = nvml(
        names=[b"GPU 1", "GPU 2"],
        MemoryInfo=lambda handle: SimpleNamespace(used=(100, 20)[handle]),
        PowerUsage=lambda handle: (1, 215_300)[handle],
        ClockInfo=lambda handle, kind: (None, 1980)[handle] if kind == 1 else 0,
        Temperature=lambda handle, sensor: (None, 67)[handle] if sensor == 0 else 0,
        CurrentClocksThrottleReasons=lambda handle: (0, 0x4 | 0x40 | 0x1)[handle],
        ComputeRunningProcesses=lambda handle: ([], [process(1, 9), process(os.getpid(), 7)])[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", told)
    cuda_takes(monkeypatch, "place 1")
    gpu = find_gpu()
    assert (gpu.names, gpu.how) == (("GPU 1", "GPU 2"), "read by NVML, of GPU 2")
    assert gpu.read() == GpuState(20, 7, 215.3, 67, 1980, ("its power limit", "heat"))
    told.nvmlDeviceGetCurrentClocksEventReasons = lambda handle: 0x1
    told.nvmlDeviceGetTemperatureV = lambda handle, sensor: 68
    told.nvmlDeviceGetComputeRunningProcesses = lambda handle: [process(os.getpid(), None)]
    assert gpu.read() == GpuState(20, None, 215.3, 68, 1980, ()), "newer functions go first; Windows tells no process"


def test_what_nvml_does_not_tell_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(names=["GPU 1"]))
    cuda_takes(monkeypatch, None)
    gpu = find_gpu()
    assert (gpu.how, gpu.read()) == ("read by NVML, of GPU 1", GpuState())


@pytest.mark.skipif(sys.platform == "win32", reason="the fake program is a shell script")
@pytest.mark.parametrize("reasons", ["clocks_event_reasons", "clocks_throttle_reasons", "neither"])
def test_the_gpu_that_cuda_takes_by_nvidia_smi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reasons: str) -> None:
    """Drivers call the reasons by one name or the other, and refuse a question with a name that they don't know."""
    monkeypatch.setitem(sys.modules, "pynvml", nvml(names=[], driver=False))
    cuda_takes(monkeypatch, "0000:02:00.0")
    program = tmp_path / "nvidia-smi"
    program.write_text(
        f"""#!/bin/sh
case "$*" in
    *gpu=name*--id=0000:02:00.0) echo "GPU 2";;
    *gpu=name*) printf 'GPU 1\\nGPU 2\\n';;
    *{reasons}.active*--id=0000:02:00.0) echo "7, 215.30, 67, [N/A], 0x0000000000000004";;
    *_reasons*) echo 'Field is not a valid field to query.'; exit 2;;
    *--id=0000:02:00.0) echo "7, 215.30, 67, [N/A]";;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu = find_gpu()
    assert (gpu.names, gpu.how) == (("GPU 1", "GPU 2"), "read by nvidia-smi, of GPU 2")
    slowed = () if reasons == "neither" else ("its power limit",)
    assert gpu.read() == GpuState(7 * 2**20, None, 215.3, 67, None, slowed)
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpu.read() == GpuState()
    assert find_gpu().how == NOT_READABLE


def test_without_any_means_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setenv("PATH", "")
    gpu = find_gpu()
    assert (gpu.names, gpu.read(), gpu.how) == ((), GpuState(), NOT_READABLE)


def test_which_gpu_cuda_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    def tell_place(place: Any, length: int, device: Any) -> int:
        place.value = f"0000:0{device.value}:00.0".encode()
        return 0

    def tell_device(device: Any, number: int) -> int:
        device._obj.value = 2 + number
        return 0

    driver = SimpleNamespace(cuInit=lambda flags: 0, cuDeviceGet=tell_device, cuDeviceGetPCIBusId=tell_place)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert default_gpu() == "0000:02:00.0"
    driver.cuInit = lambda flags: 100
    assert default_gpu() is None, "CUDA_VISIBLE_DEVICES leaves none, say"

    def no_driver(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", no_driver)
    assert default_gpu() is None


def test_what_a_gpu_did_during_a_run() -> None:
    """It may fail to answer, and the process isn't on it before the model is loaded."""
    told = [
        GpuState(used_bytes=1000, power_w=30.0, temperature_c=40, clock_mhz=300),
        GpuState(used_bytes=1500, own_bytes=500, power_w=200.0, temperature_c=60, clock_mhz=1900),
        GpuState(),
        GpuState(used_bytes=1400, own_bytes=400, power_w=220.0, temperature_c=66, clock_mhz=1700, slowed_by=("heat",)),
    ]
    answers = iter(told)
    answered = Event()

    def read() -> GpuState:
        state = next(answers, None)
        if state is None:
            answered.set()
        return state or GpuState()

    with GpuWatch(Gpu(("G",), read, "test", 0.001)) as watch:
        assert answered.wait(20)
    use = watch.use()
    assert use == GpuUse(1000, 1500, 0, 500, 210.0, 66, 1800, ("heat",))
    cooler = GpuUse(1400, 1450, 400, 450, 190.0, 64, 1900, ())
    assert use is not None
    assert use_of_all([use, cooler]) == GpuUse(1000, 1500, 0, 500, 200.0, 66, 1850, ("heat",))
    case = {"provider": "CUDAExecutionProvider", "precision": "float32", "output": "libx264", "gpu": use.as_dict()}
    case |= {"model": "selfie", "net": "selfie", "decoder": "software", "device_notices": []}
    assert ran_on(case).endswith("; GPU at 210 W, 66 °C, 1800 MHz, slowed down by heat")
    with GpuWatch(NO_GPU) as none:
        pass
    assert none.use() is None
    assert use_of_all([]) is None


@pytest.mark.parametrize(
    ("gpu", "told"),
    [
        (None, "–"),
        (GpuUse(2**30, 3 * 2**30, 2**29, 2**30, None, None, None, ()), "1024 MiB (+512)"),
        (GpuUse(2**30, 3 * 2**30, None, None, None, None, None, ()), "all 3072 MiB (+2048)"),
        (GpuUse(None, None, None, None, None, None, None, ()), "–"),
    ],
)
def test_gpu_memory_in_words(gpu: GpuUse | None, told: str) -> None:
    assert gpu_memory({"gpu": None if gpu is None else gpu.as_dict()}) == told


# --- memory


def wait_for(happened: Any) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells the highest value ever, or nothing")
def test_a_peak_is_seen_and_stays() -> None:
    gc.collect()  # what other tests left would go while this one looks
    with PeakMemory() as memory:
        assert memory.before_bytes is not None
        held = np.ones(2**28, np.uint8)
        wait_for(lambda: memory.peak_bytes >= memory.before_bytes + 2**26)
        del held
    assert memory.peak_bytes is not None
    assert memory.peak_bytes >= memory.before_bytes + 2**25


# --- power and heat


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")


def test_power_and_heat_as_linux_tells_them(tmp_path: Path) -> None:
    cpu, supply = "devices/system/cpu/cpu", "class/power_supply/"
    nothing = read_conditions(tmp_path)
    assert (nothing.governors, nothing.throttled, nothing.on_battery) == ((), None, None)
    assert warnings_of(as_dict(nothing, nothing, others_shares=[None], gpu_slowed_by=[])) == []
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
    told = warnings_of(as_dict(before, after, others_shares=[0.2, None, 0.4], gpu_slowed_by=["heat", "heat"]))
    for words in (
        "powersave",
        "battery",
        "2 times",
        "GPU was slowed down by heat.",
        "up to 40% of the processor during a run",
    ):
        assert any(words in one for one in told), words
    write(tmp_path, {f"{supply}mouse/type": "Battery", f"{supply}mouse/scope": "Device"})
    write(tmp_path, {f"{supply}mouse/status": "Discharging"})
    assert read_conditions(tmp_path).on_battery is False, "a mouse has a battery of its own"
    calm = Conditions(("performance",), 0, False)
    assert warnings_of(as_dict(calm, calm, others_shares=[0.02], gpu_slowed_by=[])) == []


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
