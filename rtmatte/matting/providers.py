"""On which device a model runs: which of onnxruntime's execution providers, with which options, and why that one.

What `auto` tries, in this order, before it takes the processor:

- macOS: Core ML, which the ordinary onnxruntime of a Mac contains.
- Windows: CUDA, then DirectML.
- Linux: CUDA.
- everywhere OpenVINO, if onnxruntime-openvino is what is installed: nobody installs that by accident.

TensorRT is never taken unasked: it builds an engine for each size of picture, which takes minutes the first time.
OpenVINO on Intel's graphics isn't either, since it wasn't seen running. A provider that comes up and takes less than
half of the model's operations isn't taken unasked: what it leaves goes to the processor and back, as much of an int8
net on Core ML would.

A provider that is asked for and doesn't come up, or that takes no operation at all, is an error, not a slow run.

float32 stays float32 on CUDA, and TensorRT gets float16 only for nets that are float16 by themselves. With what
convolutions read rounded to ten bits, as TF32 does unasked, u2netp's alpha was off by up to 0.078 (on average 2.3e-3)
on four photographs and selfie-multiclass' by 0.014, computed on a processor; u2netp-fp16, which spares the fragile
places, by 0.0098 under the roundings of float16.

OpenVINO against onnxruntime 1.32 on the processor, two cores with VNNI, taking turns through `OnnxSession`, 25 rounds
(median of the ratios and their middle half): u2netp-int8 at 320x256 1.29 times as fast (1.24 to 1.31),
selfie-multiclass-int8 at 256x192 1.17 (1.13 to 1.24), u2netp 0.97 (0.90 to 1.01).

Reference: onnxruntime's documentation, "Execution Providers".
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from rtmatte.errors import ProviderUnavailableError, WeightsError
from rtmatte.matting.precision import precision_of

Device: TypeAlias = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml", "openvino", "openvino-gpu"]

Again: TypeAlias = Callable[[Mapping[str, int]], Any]
"""Opens a session like another one for inputs whose free dimensions, by name, have these sizes."""

CPU = "CPUExecutionProvider"
INSTALL = '`python -m pip install "rtmatte[cpu]"`, or, for an NVIDIA GPU, `python -m pip install "rtmatte[gpu]"`'
LOG_ERRORS, _LOG_FATAL = 3, 4
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to run: the model's bytes, threads for the processor's part, and the runtime that is installed."""

    runtime: Any
    distribution: str
    model: bytes
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One device: what onnxruntime calls it, what it wants to be told, and how one gets it.

    `after_runs`: in which run of a shape a session is made for just that shape. `graphs`: such a session replays a CUDA
    graph (see fixed_shapes.py).
    """

    device: Device
    name: str
    title: str
    extra: str
    distribution: str
    needs: str
    options: Callable[[Wish], dict[str, str]]
    after_runs: int
    graphs: bool = False
    behind: tuple[str, ...] = ()

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
    versions = wish.runtime.__version__, getattr(_tensorrt_module(), "__version__", "unknown")
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


def _tensorrt_module() -> Any:
    """Its Python package, which loads the libraries that onnxruntime looks for; None without it."""
    with contextlib.suppress(ImportError):
        return importlib.import_module("tensorrt")
    return None


_CUDA = Provider(
    device="cuda",
    name="CUDAExecutionProvider",
    title="CUDA",
    extra="gpu",
    distribution="onnxruntime-gpu",
    needs="an NVIDIA GPU with a current driver",
    options=_cuda,
    after_runs=3,
    graphs=True,
)
_OPENVINO_NAME = "OpenVINOExecutionProvider"
_OPENVINO_PACKAGE = "onnxruntime-openvino"

PROVIDERS: tuple[Provider, ...] = (
    _CUDA,
    Provider(
        device="tensorrt",
        name="TensorrtExecutionProvider",
        title="TensorRT",
        extra="gpu",
        distribution="onnxruntime-gpu",
        needs="an NVIDIA GPU with a current driver",
        options=_tensorrt,
        after_runs=1,
        behind=(_CUDA.name,),
    ),
    Provider(
        device="coreml",
        name="CoreMLExecutionProvider",
        title="Core ML",
        extra="cpu",
        distribution="onnxruntime",
        needs="a Mac",
        options=_coreml,
        after_runs=1,
    ),
    Provider(
        device="directml",
        name="DmlExecutionProvider",
        title="DirectML",
        extra="directml",
        distribution="onnxruntime-directml",
        needs="Windows and a GPU with DirectX 12",
        options=_directml,
        after_runs=1,
    ),
    Provider(
        device="openvino",
        name=_OPENVINO_NAME,
        title="OpenVINO",
        extra="openvino",
        distribution=_OPENVINO_PACKAGE,
        needs="an x86 processor on Linux or Windows",
        options=_openvino,
        after_runs=1,
    ),
    Provider(
        device="openvino-gpu",
        name=_OPENVINO_NAME,
        title="OpenVINO on Intel graphics",
        extra="openvino",
        distribution=_OPENVINO_PACKAGE,
        needs="Intel graphics with a current driver",
        options=_openvino_gpu,
        after_runs=1,
    ),
)
_BY_DEVICE: Mapping[str, Provider] = {provider.device: provider for provider in PROVIDERS}
_AUTOMATIC: Mapping[str, tuple[str, ...]] = {"Darwin": ("coreml",), "Windows": ("cuda", "directml")}


def automatic(distribution: str, system: str) -> list[Provider]:
    """What `auto` tries, first to last, where that runtime is installed; `system` is `platform.system()`."""
    devices = list(_AUTOMATIC.get(system, ("cuda",)))
    if distribution == _OPENVINO_PACKAGE:
        devices.append("openvino")
    return [_BY_DEVICE[device] for device in devices]


@dataclass(frozen=True, slots=True)
class Opened:
    """A session of onnxruntime, the provider it runs on (None: the processor), and why it is that one.

    `again`: another one of the same kind, not for the processor.
    """

    session: Any
    provider: Provider | None
    reason: str
    again: Again | None = None


class _NoProviderError(Exception):
    """Why a provider didn't come up."""


def open_session(wish: Wish, device: Device) -> Opened:
    """A session on that device; with `auto` on the first that comes up.

    Raises:
        ProviderUnavailableError: the device was asked for and doesn't come up; says why, and what to install.
        WeightsError: the runtime can't read the model.
    """
    if device == "cpu":
        return Opened(_on_cpu(wish), None, "the CPU was asked for")
    if device != "auto":
        provider = _BY_DEVICE[device]
        try:
            return _on(provider, wish, least_share=0)
        except _NoProviderError as error:
            _on_cpu(wish)  # is it the model?
            raise ProviderUnavailableError(
                f"expected to run on {provider.title}, got no working {provider.title}: {error}.",
                hint=provider.hint(wish.distribution),
            ) from error
    reasons = []
    for provider in automatic(wish.distribution, platform.system()):
        try:
            return _on(provider, wish, least_share=_LEAST_SHARE)
        except _NoProviderError as error:
            reasons.append(str(error))
    return Opened(_on_cpu(wish), None, "; ".join(reasons))


def session_options(runtime: Any, threads: int, *, log: int = LOG_ERRORS) -> Any:
    """Options of a session that leaves the cores to others while it waits."""
    options = runtime.SessionOptions()
    options.log_severity_level = log
    options.intra_op_num_threads = threads
    # A spinning wait takes the core that decoder and encoder need, during a run and after it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _on_cpu(wish: Wish) -> Any:
    try:
        return wish.runtime.InferenceSession(wish.model, session_options(wish.runtime, wish.threads), [CPU])
    except Exception as error:  # the runtime's own exceptions have no public base class
        raise WeightsError(
            f"onnxruntime {wish.runtime.__version__} can't load the model: {error}", hint=f"Update it: {INSTALL}."
        ) from error


def _on(provider: Provider, wish: Wish, *, least_share: float) -> Opened:
    """A session that runs on it.

    Raises:
        _NoProviderError: it isn't in this build, doesn't come up, or takes too few of the model's operations.
    """
    what = f"{wish.distribution} {wish.runtime.__version__}"
    if provider.name not in wish.runtime.get_available_providers():
        raise _NoProviderError(f"{what} is built without {provider.title}")
    printed = io.StringIO()
    failure = ""
    session = None
    wish.runtime.set_default_logger_severity(_LOG_FATAL)  # the reason goes to the caller, not onto the terminal
    try:
        with contextlib.redirect_stdout(printed):
            _load_libraries(provider, wish.runtime)
            session = _new_session(provider, wish)
    except Exception as error:  # no driver, no device, no memory: each has its own type
        failure = " ".join(str(error).split())
    finally:
        wish.runtime.set_default_logger_severity(LOG_ERRORS)
    if session is None or session.get_providers()[0] != provider.name:
        missing = printed.getvalue().strip().splitlines()
        failure = failure or (missing[0] if missing else "the runtime fell back to the CPU without saying why")
        raise _NoProviderError(f"{provider.title} didn't come up in {what}: {failure}")
    taken = _taken(session, provider.name)
    reason = f"{provider.title} came up"
    if taken is not None and taken[0] < taken[1]:
        reason += f" and takes {taken[0]} of the model's {taken[1]} operations"
        if not taken[0] or taken[0] < least_share * taken[1]:
            raise _NoProviderError(reason)
    return Opened(session, provider, reason, lambda sizes: _new_session(provider, wish, sizes))


def _new_session(provider: Provider, wish: Wish, sizes: Mapping[str, int] | None = None) -> Any:
    """With `sizes`, for inputs of just these sizes, and with a CUDA graph where the provider can."""
    options = session_options(wish.runtime, wish.threads, log=_LOG_FATAL)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if provider.device == "directml":  # it refuses to start otherwise
        options.enable_mem_pattern = False
        options.execution_mode = wish.runtime.ExecutionMode.ORT_SEQUENTIAL
    told = provider.options(wish)
    if sizes is not None:
        for name, size in sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        if provider.graphs:
            told["enable_cuda_graph"] = "1"
        if provider.device == "coreml":
            told["RequireStaticInputShapes"] = "1"
    there = wish.runtime.get_available_providers()
    behind = [name for name in provider.behind if name in there]
    # Without fallback: the runtime would otherwise announce one on stdout.
    return wish.runtime.InferenceSession(wish.model, options, [(provider.name, told), *behind, CPU], enable_fallback=0)


def _load_libraries(provider: Provider, runtime: Any) -> None:
    if provider.distribution == "onnxruntime-gpu":
        runtime.preload_dlls()  # finds the CUDA libraries that pip installed; prints what it doesn't find
    if provider.device == "tensorrt":
        _tensorrt_module()


def _taken(session: Any, name: str) -> tuple[int, int] | None:
    """How many operations of the model that provider runs, and of how many; None where the runtime can't tell."""
    told = getattr(session, "get_provider_graph_assignment_info", None)
    if told is None:
        return None
    counts = [(part.ep_name, len(part.get_nodes())) for part in told()]
    if not counts:
        return None
    return sum(count for owner, count in counts if owner == name), sum(count for _, count in counts)
