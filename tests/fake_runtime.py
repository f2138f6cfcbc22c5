"""An onnxruntime with devices that this machine hasn't: it computes on the processor, says what it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import onnxruntime

from rtmatte.matting.precision import precision_of

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU_MEMORY = "cpu"

Graph = Literal["works", "refused", "stale", "dies"]


class FakeOrtValue:
    """Memory of a GPU: what is in it is seen only through its methods."""

    def __init__(self, held: np.ndarray) -> None:
        self._held = held

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, device: str, number: int) -> FakeOrtValue:
        assert (device, number) == ("cuda", 0)
        return cls(array.copy())

    def update_inplace(self, array: np.ndarray) -> None:
        assert (array.shape, array.dtype) == (self._held.shape, self._held.dtype)
        np.copyto(self._held, array)

    def numpy(self) -> np.ndarray:
        return self._held.copy()

    @property
    def memory(self) -> np.ndarray:
        return self._held


@dataclass
class FakeRuntime:
    """`built` are the providers that it contains; `broken` what opening one does: it raises, or falls back silently.

    `takes`: how many of the model's ten operations a provider runs; None: this version can't tell. `graph`: what comes
    of CUDA graphs: they work, are refused, give the first answer for ever, or die in the third run. `holds`: outputs
    may stay in the device's memory. `fits`: whether there is memory for a run of so many pictures, asked at each run.
    """

    built: tuple[str, ...]
    broken: str | None = None
    takes: int | None = 10
    graph: Graph = "works"
    holds: bool = True
    fits: Callable[[int], bool] = lambda _pictures: True
    __version__: str = "9.9"
    severity: int = 2
    opened: list[FakeSession] = field(default_factory=list)
    SessionOptions: Any = onnxruntime.SessionOptions
    ExecutionMode: Any = onnxruntime.ExecutionMode
    OrtValue: Any = FakeOrtValue

    def get_available_providers(self) -> list[str]:
        return [*self.built, CPU]

    def set_default_logger_severity(self, severity: int) -> None:
        self.severity = severity

    def preload_dlls(self) -> None:
        if self.broken is not None:
            print("Failed to load libcublasLt.so.13: no such file")  # noqa: T201  # as the real one does

    def InferenceSession(self, model: bytes, options: Any, providers: list[Any], **kwargs: Any) -> FakeSession:  # noqa: N802
        told = {name: {} for name in providers if isinstance(name, str)} | dict(
            entry for entry in providers if not isinstance(entry, str)
        )
        names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        if names != [CPU]:
            assert kwargs == {"enable_fallback": 0}
            if self.broken:
                raise RuntimeError(self.broken)
            if self.broken is not None:
                names = [CPU]
        graph = told.get(CUDA, {}).get("enable_cuda_graph") == "1"
        if graph and self.graph == "refused":
            raise RuntimeError("not all nodes have been partitioned to the CUDAExecutionProvider")
        session = FakeSession(self, onnxruntime.InferenceSession(model, options, [CPU]), names, told, options, graph)
        session.precision = precision_of(model).replace("float", "fp")
        self.opened.append(session)
        return session


@dataclass
class FakeSession:
    runtime: FakeRuntime
    real: Any
    names: list[str]
    told: dict[str, dict[str, str]]
    options: Any
    graph: bool
    precision: str = ""
    """The model's: `int8`, `fp16`, `fp32, weights fp16`."""
    runs: int = 0
    crossed: Counter[str] = field(default_factory=Counter)
    """How often each input and output was an array of the processor's, in runs with bindings."""

    def get_providers(self) -> list[str]:
        return self.names

    def get_inputs(self) -> list[Any]:
        return list(self.real.get_inputs())

    def get_outputs(self) -> list[Any]:
        return list(self.real.get_outputs())

    def get_provider_graph_assignment_info(self) -> list[Any]:
        if self.runtime.takes is None:
            return []
        counts = {self.names[0]: self.runtime.takes, CPU: 10 - self.runtime.takes}
        return [
            SimpleNamespace(ep_name=name, get_nodes=lambda count=count: [None] * count)
            for name, count in counts.items()
            if count
        ]

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self._find_memory(next(iter(inputs.values())).shape[0])
        self.runs += 1
        return list(self.real.run(names, inputs))

    def io_binding(self) -> Any:
        return GraphBinding() if self.graph else DeviceBinding(self)

    def _find_memory(self, pictures: int) -> None:
        if not self.runtime.fits(pictures):
            raise RuntimeError(f"failed to allocate memory for {pictures} pictures")

    def run_with_iobinding(self, bound: Any) -> None:
        self._find_memory(bound.pictures)
        self.runs += 1
        if not self.graph:
            self.crossed.update(bound.on_host)
            self.real.run_with_iobinding(bound.real)
            return
        if self.runtime.graph == "dies" and self.runs > 2:
            raise RuntimeError("an illegal memory access was encountered")
        if self.runtime.graph == "stale" and self.runs > 1:
            return
        answers = self.real.run(list(bound.outputs), {name: value.memory for name, value in bound.inputs.items()})
        for value, answer in zip(bound.outputs.values(), answers, strict=True):
            np.copyto(value.memory, answer)


class DeviceBinding:
    """Takes arrays of the processor's, and memory of the device that the session runs on."""

    def __init__(self, session: FakeSession) -> None:
        self.real = session.real.io_binding()
        self.on_host: set[str] = set()
        self.pictures = 0
        self._session = session
        self._memory = {CUDA: "cuda", "TensorrtExecutionProvider": "cuda", "DmlExecutionProvider": "dml"}
        self._held: dict[str, FakeOrtValue] = {}

    def bind_input(self, name: str, device: str, *rest: Any) -> None:
        assert device == CPU_MEMORY
        self.on_host.add(name)
        if name == self._session.real.get_inputs()[0].name:
            self.pictures = rest[2][0]
        self.real.bind_input(name, device, *rest)

    def bind_ortvalue_input(self, name: str, value: FakeOrtValue) -> None:
        array, self._held[name] = value.memory, value
        self.on_host.discard(name)
        self.real.bind_input(name, CPU_MEMORY, 0, array.dtype.type, array.shape, array.ctypes.data)

    def bind_output(self, name: str, device: str, number: int, *rest: Any) -> None:
        if device == CPU_MEMORY:
            self.on_host.add(name)
        else:
            assert (device, number, rest) == (self._memory[self._session.names[0]], 0, ())
            if not self._session.runtime.holds:
                raise RuntimeError("this device keeps nothing")
            self.on_host.discard(name)
        self.real.bind_output(name, CPU_MEMORY, number, *rest)

    def get_outputs(self) -> list[FakeOrtValue]:
        return [FakeOrtValue(value.numpy()) for value in self.real.get_outputs()]


class GraphBinding:
    """Takes arrays of the GPU only, and each name once."""

    def __init__(self) -> None:
        self.inputs: dict[str, FakeOrtValue] = {}
        self.outputs: dict[str, FakeOrtValue] = {}

    @property
    def pictures(self) -> int:
        return int(next(iter(self.inputs.values())).memory.shape[0])

    def bind_ortvalue_input(self, name: str, value: FakeOrtValue) -> None:
        assert name not in self.inputs, "a CUDA graph reads the same address for ever"
        self.inputs[name] = value

    def bind_ortvalue_output(self, name: str, value: FakeOrtValue) -> None:
        assert name not in self.outputs
        self.outputs[name] = value
