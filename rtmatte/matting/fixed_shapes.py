"""Sessions made for one shape each, where that is faster: the provider compiles for it, or replays a CUDA graph.

A CUDA graph is the list of a run's kernels, kept and launched at once. It reads and writes the same addresses for ever,
so pictures are copied to where it reads, and it holds for one shape. onnxruntime makes it in the first run of a session
with `enable_cuda_graph`, and refuses if a node of the model isn't on the GPU or decides what runs next. Each shape has
a session of its own here, so that the ordinary one stays as it is, whatever happens. The graph is made on zeros, and
its answer to the first picture compared with the ordinary one: so a graph that doesn't see new pictures is found out.

The processor's own provider gains next to nothing by it (0.99 to 1.00 times as long for four nets, benchmarks/
session_settings.py); OpenVINO ran selfie-multiclass-int8 in 15.6 instead of 18.7 ms (medians of 12 rounds).

Models with more inputs than the picture are left alone: what remembers changes its arrays from run to run (see
states.py).

Reference: onnxruntime's documentation, "CUDA Execution Provider", "Using CUDA Graphs"; `OrtValue.update_inplace`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtmatte.matting.open_session import Again
from rtmatte.matting.providers import Provider

Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"
Run: TypeAlias = Callable[[Arrays, Arrays], None]
"""Fills the second arrays from the first, both by name."""

_MOST_SHAPES = 8
_AGREES = 2e-2
"""What a graph's alpha may differ by from the ordinary run's, which may have used other algorithms."""


def host_run(session: Any) -> Run:
    """Runs a session on arrays in the processor's memory; no copy where the session runs on the processor."""
    bound = session.io_binding()

    def run(inputs: Arrays, outputs: Arrays) -> None:
        # Bound anew at each run, which costs microseconds: a GPU's copy of the input is taken when it is bound.
        bind_arrays(bound, inputs, outputs)
        session.run_with_iobinding(bound)

    return run


def bind_arrays(bound: Any, inputs: Arrays, outputs: Arrays) -> None:
    """Has a binding of onnxruntime's read and write these arrays of the processor's."""
    for name, array in inputs.items():
        bound.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
    for name, array in outputs.items():
        bound.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def graph_run(session: Any, ort_value: Any, inputs: Arrays, outputs: Arrays) -> Run:
    """Runs a session made with `enable_cuda_graph` on arrays of these shapes. Makes the graph, on zeros."""
    there_in, there_out = (
        {name: ort_value.ortvalue_from_numpy(np.zeros_like(array), "cuda", 0) for name, array in arrays.items()}
        for arrays in (inputs, outputs)
    )
    bound = session.io_binding()
    for name, value in there_in.items():
        bound.bind_ortvalue_input(name, value)
    for name, value in there_out.items():
        bound.bind_ortvalue_output(name, value)
    session.run_with_iobinding(bound)

    def run(inputs: Arrays, outputs: Arrays) -> None:
        for name, array in inputs.items():
            there_in[name].update_inplace(array)
        session.run_with_iobinding(bound)
        for name, array in outputs.items():
            np.copyto(array, there_out[name].numpy())

    return run


class FixedShapes:
    """The sessions of a provider for single shapes, each made when its shape has come often enough. Not thread-safe.

    `note` says in a few words what came of it, or nothing so far.
    """

    def __init__(self, session: Any, provider: Provider, again: Again, ordinary: Run, ort_value: Any) -> None:
        """`again` opens a session like `session` for one shape, `ordinary` runs the one for all shapes.

        `ort_value` is onnxruntime's class of that name.
        """
        self._provider, self._again, self._ordinary, self._ort_value = provider, again, ordinary, ort_value
        ports = session.get_inputs()
        self._dimensions = list(ports[0].shape) if len(ports) == 1 else []
        free = any(isinstance(dimension, str) for dimension in self._dimensions)
        self._off = not self._dimensions or not (free or provider.graphs)
        self._seen: dict[tuple[int, ...], int] = {}
        self._runs: dict[tuple[int, ...], Run] = {}
        self.note = ""

    def run(self, inputs: Arrays, outputs: Arrays) -> bool:
        """Fills the outputs if there is a session for the input's shape, or it is time to make one; whether it did."""
        if self._off:
            return False
        shape = next(iter(inputs.values())).shape
        try:
            if shape in self._runs:
                self._runs[shape](inputs, outputs)
                return True
            return self._is_due(shape) and self._make(shape, inputs, outputs)
        except Exception as error:  # whatever it is, the ordinary session tries as well, and says what is wrong
            self._give_up(" ".join(str(error).split()))
            return False

    def _is_due(self, shape: tuple[int, ...]) -> bool:
        if len(self._runs) == _MOST_SHAPES:
            return False
        self._seen[shape] = self._seen.get(shape, 0) + 1
        return self._seen[shape] == self._provider.after_runs

    def _make(self, shape: tuple[int, ...], inputs: Arrays, outputs: Arrays) -> bool:
        sizes = {name: size for name, size in zip(self._dimensions, shape, strict=True) if isinstance(name, str)}
        session = self._again(sizes)
        if not self._provider.graphs:
            run = host_run(session)
            run(inputs, outputs)
        else:
            self._ordinary(inputs, outputs)
            expected = {name: array.copy() for name, array in outputs.items()}
            run = graph_run(session, self._ort_value, inputs, outputs)
            run(inputs, outputs)
            off = max(float(np.abs(array - expected[name]).max()) for name, array in outputs.items())
            if not off <= _AGREES:
                raise ValueError(f"its answer differs by {off:.2g} from the ordinary one")
            self.note = "replays a CUDA graph"
        self._runs[shape] = run
        return True

    def _give_up(self, reason: str) -> None:
        self._off = True
        self._runs.clear()
        what = "CUDA graph" if self._provider.graphs else "session for one size of picture"
        self.note = f"without a {what}: {reason}"
