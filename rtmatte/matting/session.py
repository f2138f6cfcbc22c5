"""The one home of onnxruntime: is it there, does it run where it should, and a session that allocates nothing.

Session settings, times over those of the settings here, on two cores with nothing else to do (benchmarks/
session_settings.py; medians of 15 rounds):

                                     u2netp  u2netp-int8  selfie  selfie-multiclass-int8
    spinning                           0.96         0.93    0.78                    0.87
    one thread                         1.89         1.58    0.77                    1.41
    no memory arena                    1.54         0.99    0.95                    1.17
    no memory pattern                  1.01         0.99    0.91                    1.00
    graph optimisation "extended"      1.59         1.46    1.75                    1.60
    fixed shape                        1.00         1.00    0.86                    1.00

Spinning is left off all the same: it takes the cores that other stages and programs need.
"""

from __future__ import annotations

import contextlib
import copy
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import (
    ModelOutputError,
    RuntimeConflictError,
    RuntimeNotInstalledError,
    SettingsError,
)
from rtmatte.machine import usable_cores
from rtmatte.matting.building import Building
from rtmatte.matting.fixed_shapes import FixedShapes, host_run
from rtmatte.matting.open_session import LOG_ERRORS, open_session
from rtmatte.matting.providers import CPU, INSTALL, Device, Wish
from rtmatte.matting.states import HOST, States

# They all install into one folder, `onnxruntime`, and overwrite each other's libraries.
_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
_DTYPES: dict[str, type[np.generic]] = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
# A guess for larger machines than those measured: the net is small, and decoder and encoder want cores too.
_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """The installed onnxruntime. `providers` is what this build contains, which doesn't mean that they work here."""

    distribution: str
    version: str
    providers: tuple[str, ...]


def default_threads() -> int:
    """How many threads a model gets on the CPU if nobody says: one for each usable core, at most 8."""
    return min(usable_cores(), _MOST_THREADS)


def check_runtime() -> RuntimeInfo:
    """Which onnxruntime is installed. Imports it.

    Raises:
        RuntimeNotInstalledError: none is, or its files are incomplete; names the command that installs one.
        RuntimeConflictError: several are; names the commands that leave one.
    """
    distribution, runtime = _import_runtime()
    return RuntimeInfo(distribution, str(runtime.__version__), tuple(runtime.get_available_providers()))


def _import_runtime() -> tuple[str, Any]:
    """The distribution's name and the module."""
    installed = []
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            metadata.version(name)
            installed.append(name)
    if not installed:
        raise RuntimeNotInstalledError(
            "no runtime for the model: expected onnxruntime or onnxruntime-gpu, got neither", hint=f"Run {INSTALL}."
        )
    uninstall = f"`python -m pip uninstall -y {' '.join(installed)}`"
    if len(installed) > 1:
        raise RuntimeConflictError(
            f"several runtimes share one folder and break each other: expected one, got {' and '.join(installed)}",
            hint=f"Run {uninstall} and then {INSTALL}.",
        )
    # Since 1.29 it would number this machine in the user's cache folder and send Microsoft what models run on it; the
    # variable is read when it is imported. A user who wants that sets it to 0.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeNotInstalledError(
            f"{installed[0]} is installed and can't be imported: {error}", hint=f"Run {uninstall} and then {INSTALL}."
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise RuntimeNotInstalledError(
            f"the files of {installed[0]} are incomplete, as when another onnxruntime was uninstalled after it",
            hint=f"Run {uninstall} and then {INSTALL}.",
        )
    # Its warnings are about graphs and hardware that nobody asked for (a missing GPU on a CPU machine, say).
    onnxruntime.set_default_logger_severity(LOG_ERRORS)
    onnxruntime.disable_telemetry_events()  # on Windows, where the variable says nothing
    return installed[0], onnxruntime


@dataclass(frozen=True, slots=True)
class Binding:
    """Input and output arrays by name. They stay where they are: write into the inputs, run, read the outputs.

    `states`: what goes from each run to the next besides.
    """

    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    states: States | None = None

    @property
    def input(self) -> NDArray[Any]:
        """The first one."""
        return next(iter(self.inputs.values()))

    @property
    def output(self) -> NDArray[Any]:
        """The first one."""
        return next(iter(self.outputs.values()))


class OnnxSession:
    """A model on one device. Used from one thread; releases the GIL while it runs.

    `provider` is what the runtime says it runs on, such as `"CPUExecutionProvider, 2 threads"`; `on_cpu` whether that
    is onnxruntime's own provider for processors, `on_cores` whether it is one that takes threads at all.
    `takes_batches`: by the graph's own word, its first input and output may hold several pictures. `few_shapes`: each
    shape of the input costs it a session of its own, so that it should see few. `provider_missed`: devices that this
    onnxruntime is made for and `"auto"` would rather have taken, and why they didn't come up; often nothing.
    """

    provider: str
    on_cpu: bool
    on_cores: bool
    takes_batches: bool
    few_shapes: bool
    provider_missed: str

    def __init__(
        self,
        model: bytes,
        *,
        elsewhere: Callable[[], bytes] | None = None,
        device: Device = "auto",
        threads: int | None = None,
        cpu_threads: int | None = None,
    ) -> None:
        """Loads ONNX bytes; those that `elsewhere` reads, where it isn't a processor's cores that run them.

        `threads` is for the CPU; by default as many as this process may use, at most 8. `cpu_threads` takes its place
        if onnxruntime's own provider for processors is what runs the model.

        `"auto"` takes what suits the system and really comes up, else the CPU (see providers.py).

        Raises:
            RuntimeNotInstalledError, RuntimeConflictError: as `check_runtime`.
            ProviderUnavailableError: the device was asked for and doesn't come up; says why.
            WeightsError: the runtime can't read the model; and what `elsewhere` raises, once a device is tried.
            SettingsError: no such device, or less than one thread.
        """
        if device not in get_args(Device):
            raise SettingsError(f"expected device {', '.join(get_args(Device))}, got {device!r}")
        if threads is not None and threads < 1:
            raise SettingsError(f"expected at least one thread, got {threads}")
        distribution, runtime = _import_runtime()
        threads = threads or default_threads()
        cpu_threads = cpu_threads or threads
        opened = open_session(Wish(runtime, distribution, model, threads, cpu_threads, elsewhere), device)
        self._session = opened.session
        self._reason, self.provider_missed = opened.reason, opened.missed
        used = self._session.get_providers()[0]
        self.on_cpu = used == CPU
        self.on_cores = self.on_cpu or (opened.provider is not None and opened.provider.on_cores)
        threads = cpu_threads if self.on_cpu else threads
        self.provider = f"{used}, {threads} thread{'s' * (threads > 1)}" if self.on_cores else used
        self._inputs = {port.name: port.type for port in self._session.get_inputs()}
        self._outputs = {port.name: port.type for port in self._session.get_outputs()}
        first = self._session.get_inputs()[0], self._session.get_outputs()[0]
        # A name or None is free; an output that says nothing of its shape may be anything.
        self.takes_batches = not any(isinstance(size, int) for port in first for size in port.shape[:1])
        self._ordinary = host_run(self._session)
        self._memory = opened.provider.memory if opened.provider is not None else HOST
        self._building = Building(builds=opened.provider is not None and opened.provider.builds)
        self._fixed: FixedShapes | None = None
        # CUDA graphs and DirectML can't be run by two threads at a time; on the CPU they may.
        self._turn: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        if opened.provider is not None and opened.again is not None:
            self._fixed = FixedShapes(
                self._session, opened.provider, opened.again, self._ordinary, getattr(runtime, "OrtValue", None)
            )
            self._turn = threading.Lock()
        self.few_shapes = self._fixed is not None
        self._bindings: dict[tuple[tuple[int, ...], tuple[int, ...]], Binding] = {}

    @property
    def provider_reason(self) -> str:
        """Why it is that provider, and what came of what makes it faster, so far."""
        note = self._fixed.note if self._fixed is not None else ""
        return f"{self._reason}; {note}" if note else self._reason

    @property
    def seconds_building(self) -> float:
        """For how long runs have been built so far, where the provider takes minutes for that; from any thread."""
        return self._building.seconds

    def twin(self) -> OnnxSession:
        """Another caller of the same loaded model, for another thread: it has bindings of its own, and on the CPU the
        two run at the same time."""
        twin = copy.copy(self)
        twin._ordinary = host_run(self._session)
        twin._bindings = {}
        return twin

    def input_name(self, name: str | None = None) -> str:
        """That input, or the first one.

        Raises:
            SettingsError: the model has none of that name; states those it has.
        """
        return _port(self._inputs, name, "an input")

    def output_name(self, name: str | None = None) -> str:
        """That output, or the first one.

        Raises:
            SettingsError: the model has none of that name; states those it has.
        """
        return _port(self._outputs, name, "an output")

    def new_input(self, name: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Zeros of that shape and of the type that the model wants.

        Raises:
            SettingsError: a type that isn't known here.
        """
        return np.zeros(shape, _dtype(self._inputs[name], name))

    def bind(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Binding:
        """Arrays for the first input and output: allocated on the first call for these shapes, the same ever after."""
        key = (input_shape, output_shape)
        if key not in self._bindings:
            given, wanted = self.input_name(), self.output_name()
            self._bindings[key] = Binding(
                {given: self.new_input(given, input_shape)},
                {wanted: np.zeros(output_shape, _dtype(self._outputs[wanted], wanted))},
            )
        return self._bindings[key]

    def states(self, states: Mapping[str, str], shape: tuple[int, ...], left: Iterable[str] = ()) -> States:
        """For a `Binding`: outputs that are inputs of the next run (`states`: input to output), zeros of that shape at
        first, and outputs that are `left` on the device until they are fetched."""
        first = {name: self.new_input(name, shape) for name in states}
        return States(self._session, self._memory, states, first, left)

    def start(self, inputs: Mapping[str, NDArray[Any]], outputs: Iterable[str]) -> Binding:
        """Runs once for shapes that are not known beforehand; the binding's outputs hold what came out. Allocates.

        Raises:
            ModelOutputError: the model failed.
        """
        names = list(outputs)
        try:
            with self._turn, self._building.run(("ordinary", _shapes(inputs))):
                results = self._session.run(names, dict(inputs))
        except Exception as error:  # the runtime's own exceptions have no public base class
            raise ModelOutputError(f"the model failed on {self.provider}: got {error}") from error
        return Binding(inputs, dict(zip(names, results, strict=True)))

    def run(self, binding: Binding) -> None:
        """Fills the binding's outputs from its inputs; no copy on the CPU.

        Raises:
            ModelOutputError: the model failed, or an output has another shape than its array.
        """
        try:
            with self._turn:
                self._run(binding)
        except Exception as error:  # the runtime's own exceptions have no public base class
            given, wanted = (
                ", ".join(f"{array.dtype} {array.shape}" for array in arrays.values())
                for arrays in (binding.inputs, binding.outputs)
            )
            raise ModelOutputError(
                f"the model failed on {self.provider}: expected {wanted} from {given}, got {error}"
            ) from error

    def _run(self, binding: Binding) -> None:
        inputs, outputs, states = binding.inputs, binding.outputs, binding.states
        shapes = _shapes(inputs)
        if states is not None:
            # A first run has states of another shape than those that follow.
            with self._building.run(("states", states.has_past, shapes)):
                states.run(inputs, outputs)
            return
        if self._fixed is not None:
            with self._building.run(("fixed", shapes)):
                if self._fixed.run(inputs, outputs):
                    return
        with self._building.run(("ordinary", shapes)):
            self._ordinary(inputs, outputs)


def _shapes(inputs: Mapping[str, NDArray[Any]]) -> tuple[tuple[int, ...], ...]:
    return tuple(array.shape for array in inputs.values())


def _port(ports: Mapping[str, str], name: str | None, what: str) -> str:
    if name is None:
        return next(iter(ports))
    if name not in ports:
        raise SettingsError(f"expected {what} of the model called {name!r}, got {', '.join(ports)}")
    return name


def _dtype(kind: str, name: str) -> type[np.generic]:
    if kind not in _DTYPES:
        raise SettingsError(f"expected {name!r} of the model to be one of {', '.join(_DTYPES)}, got {kind}")
    return _DTYPES[kind]
