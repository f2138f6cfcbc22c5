"""The devices that a model may run on: onnxruntime's execution providers, what each is told, and which are tried.

What `auto` tries, in this order, before it takes the processor:

- macOS: Core ML, which the ordinary onnxruntime of a Mac contains.
- Windows: CUDA, then DirectML.
- Linux: CUDA.
- everywhere OpenVINO, if onnxruntime-openvino is what is installed: nobody installs that by accident.

TensorRT is never taken unasked: it builds an engine for each size of picture, which takes minutes the first time.
OpenVINO on Intel's graphics isn't either, since it wasn't seen running.

float32 stays float32 on CUDA, and TensorRT gets float16 only for nets that are float16 by themselves. With what
convolutions read rounded to ten bits, as TF32 does unasked, u2netp's alpha was off by up to 0.078 (on average 2.3e-3)
on four photographs and selfie-multiclass' by 0.014, computed on a processor; u2netp-fp16, which spares the fragile
places, by 0.0098 under the roundings of float16.

OpenVINO's time over that of onnxruntime's own provider, two cores, taking turns through `OnnxSession` (median of the
ratios and their middle half). A Xeon with AVX-512 and VNNI, benchmarks/session_settings.py: u2netp-int8 0.63 (0.60 to
0.72), selfie-multiclass-int8 0.63 (0.59 to 0.68), selfie 0.77, selfie-multiclass 0.84, u2netp 0.93 (0.87 to 0.99). An
AMD EPYC with VNNI, onnxruntime 1.32 beside it and u2netp-int8 as it was: 0.85 (selfie-multiclass-int8), 1.03 (u2netp).

Reference: onnxruntime's documentation, "Execution Providers".
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rtmatte.matting.precision import precision_of

Device: TypeAlias = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml", "openvino", "openvino-gpu"]

CPU = "CPUExecutionProvider"
INSTALL = '`python -m pip install "rtmatte[cpu]"`, or, for an NVIDIA GPU, `python -m pip install "rtmatte[gpu]"`'
_CUDA = "CUDAExecutionProvider"
_OPENVINO = "OpenVINOExecutionProvider"
_NVIDIA_GPU = "an NVIDIA GPU with a current driver"
_DIRECTX_GPU = "Windows and a GPU with DirectX 12"
_INTEL_GPU = "Intel graphics with a current driver"
_X86 = "an x86 processor on Linux or Windows"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to run: the model's bytes, threads for the processor's part, and the runtime that is installed.

    `cpu_threads`: how many there are if it all runs on onnxruntime's own provider for processors. `elsewhere` reads
    the bytes to be taken instead by a provider that doesn't compute on a processor's cores.
    """

    runtime: Any
    distribution: str
    model: bytes
    threads: int
    cpu_threads: int
    elsewhere: Callable[[], bytes] | None = None

    def for_provider(self, provider: Provider) -> Wish:
        """With the model that it gets. Raises: what `elsewhere` raises."""
        if provider.on_cores or self.elsewhere is None:
            return self
        return replace(self, model=self.elsewhere(), elsewhere=None)


@dataclass(frozen=True, slots=True)
class Provider:
    """One device: what onnxruntime calls it, what people call it, how one gets it, and what it wants to be told.

    `extra`: rtmatte's, which installs a runtime that contains it. `needs`: besides that. `behind`: providers that take
    what it leaves. `after_runs`: in which run of a shape a session is made for just that shape. `graphs`: such a
    session replays a CUDA graph (see fixed_shapes.py). `builds`: for minutes, in the first run of a shape or where a
    graph of fixed shape is loaded. `on_cores`: it computes on the processor's.
    """

    device: Device
    name: str
    title: str
    extra: str
    needs: str
    options: Callable[[Wish], dict[str, str]]
    behind: tuple[str, ...] = ()
    after_runs: int = 1
    graphs: bool = False
    builds: bool = False
    on_cores: bool = False

    @property
    def distribution(self) -> str:
        """The runtime that `extra` installs."""
        return "onnxruntime" if self.extra == "cpu" else f"onnxruntime-{self.extra}"

    @property
    def memory(self) -> str:
        """Where it keeps what goes from run to run, as onnxruntime calls that."""
        return {"gpu": "cuda", "directml": "dml"}.get(self.extra, "cpu")

    def hint(self, distribution: str) -> str:
        """What to do to get it, given what is installed."""
        install = f'`python -m pip install "rtmatte[{self.extra}]"`'
        if distribution != self.distribution:
            install = f"`python -m pip uninstall -y {distribution}` and then {install}"
        if self.device == "tensorrt":
            install += ' and `python -m pip install "tensorrt-cu13<11"`'  # onnxruntime-gpu 1.31 links TensorRT 10
        return f'It needs {self.needs} and {install}; else use the device "cpu".'


def _cuda(_: Wish) -> dict[str, str]:
    # Shapes are few and runs are long, so the search for the best algorithm pays; float16 needs the larger workspace.
    return {
        "device_id": "0",
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "cudnn_conv_use_max_workspace": "1",
        "use_tf32": "0",
    }


def _tensorrt(wish: Wish) -> dict[str, str]:
    # TensorRT doesn't notice that a cached engine is another model's or another version's: each has its own folder.
    versions = wish.runtime.__version__, getattr(tensorrt_module(), "__version__", "unknown")
    folder = _cache("tensorrt", *versions, hashlib.sha256(wish.model).hexdigest()[:16])
    precision = precision_of(wish.model)
    options = {
        "device_id": "0",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(folder.parent),
        "trt_fp16_enable": str(precision.startswith("float16")),
    }
    if precision.startswith("int8"):
        options["trt_int8_enable"] = "True"
    return options


def _coreml(_: Wish) -> dict[str, str]:
    # No ModelCacheDirectory: models that come as bytes are told apart by names only, whatever their sizes.
    return {"ModelFormat": "MLProgram", "MLComputeUnits": "ALL", "RequireStaticInputShapes": "0"}


def _directml(_: Wish) -> dict[str, str]:
    # Adapter 0 is the one with the screen, which in laptops is the slow one.
    return {"performance_preference": "high_performance", "device_filter": "gpu"}


def _openvino(wish: Wish) -> dict[str, str]:
    # No CACHE_DIR: opening an int8 net took 1.1 to 1.9 s with its files and without.
    cpu = {"INFERENCE_NUM_THREADS": str(wish.threads), "NUM_STREAMS": "1", "PERFORMANCE_HINT": "LATENCY"}
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": cpu})}


def _openvino_gpu(_: Wish) -> dict[str, str]:
    folder = _cache("openvino")
    gpu = {"PERFORMANCE_HINT": "LATENCY", "CACHE_DIR": str(folder)}
    return {"device_type": "GPU", "load_config": json.dumps({"GPU": gpu})}


def _cache(*parts: str) -> Path:
    """A folder of the user's cache, made."""
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("rtmatte", appauthor=False)).joinpath("engines", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def tensorrt_module() -> Any:
    """TensorRT's Python package, which loads the libraries that onnxruntime looks for; None without it."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("tensorrt")
    return None


PROVIDERS: tuple[Provider, ...] = (
    Provider("cuda", _CUDA, "CUDA", "gpu", _NVIDIA_GPU, _cuda, after_runs=3, graphs=True),
    Provider(
        "tensorrt",
        "TensorrtExecutionProvider",
        "TensorRT",
        "gpu",
        _NVIDIA_GPU,
        _tensorrt,
        behind=(_CUDA,),
        builds=True,
    ),
    Provider("coreml", "CoreMLExecutionProvider", "Core ML", "cpu", "a Mac", _coreml),
    Provider("directml", "DmlExecutionProvider", "DirectML", "directml", _DIRECTX_GPU, _directml),
    Provider("openvino", _OPENVINO, "OpenVINO", "openvino", _X86, _openvino, on_cores=True),
    Provider("openvino-gpu", _OPENVINO, "OpenVINO on Intel graphics", "openvino", _INTEL_GPU, _openvino_gpu),
)
BY_DEVICE: Mapping[str, Provider] = {provider.device: provider for provider in PROVIDERS}
_AUTOMATIC: Mapping[str, tuple[str, ...]] = {"Darwin": ("coreml",), "Windows": ("cuda", "directml")}


def automatic(distribution: str, system: str) -> list[Provider]:
    """What `auto` tries, first to last, where that runtime is installed; `system` is `platform.system()`."""
    devices = list(_AUTOMATIC.get(system, ("cuda",)))
    if distribution == BY_DEVICE["openvino"].distribution:
        devices.append("openvino")
    return [BY_DEVICE[device] for device in devices]
