"""Reads a TensorFlow Lite graph and writes it as ONNX nodes: only the operations that MediaPipe's selfie nets use.

TensorFlow Lite keeps pictures as (N, H, W, C), ONNX as (N, C, H, W): every four-dimensional value is transposed once,
here, on paper, and no Transpose node is left. Sizes stay free: scales and pooling say "twice as large" and "the whole
picture" where TensorFlow Lite says "256" and "16x16".

Needs `ai-edge-litert`, for the format's schema only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import helper

Array: TypeAlias = NDArray[Any]

_OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
}
_SAME, _RELU = schema.Padding.SAME, schema.ActivationFunctionType.RELU

MEDIAPIPE_TRANSPOSE = "Convolution2DTransposeBias"
"""MediaPipe's own operation: a transposed convolution with a bias, from before TensorFlow Lite had one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its name (custom ones by their own), the numbers of its tensors, its options (or None)."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True, slots=True)
class TfliteGraph:
    """Operations in execution order; shapes (N, H, W, C) and constants by tensor number; input and output."""

    operations: tuple[Operation, ...]
    shapes: tuple[tuple[int, ...], ...]
    constants: Mapping[int, Array]
    input: int
    output: int


def read(data: bytes) -> TfliteGraph:
    """The first subgraph of a .tflite file; weights stored as float16 are given as float32."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    shapes = tuple(tuple(int(n) for n in ([] if t.shape is None else t.shape)) for t in graph.tensors)
    constants: dict[int, Array] = {}
    for number, tensor in enumerate(graph.tensors):
        content = model.buffers[tensor.buffer].data
        if content is not None and len(content):
            flat = np.frombuffer(np.asarray(content, np.uint8).tobytes(), _DTYPES[tensor.type])
            constants[number] = flat.reshape(shapes[number])
    operations = []
    for row in graph.operators:
        code = model.operatorCodes[row.opcodeIndex]
        name = _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]
        name = code.customCode.decode() if name == "CUSTOM" else name
        inputs, outputs = (tuple(int(n) for n in numbers) for numbers in (row.inputs, row.outputs))
        if name == "DEQUANTIZE" and inputs[0] in constants:
            constants[outputs[0]] = constants[inputs[0]].astype(np.float32)
        else:
            operations.append(Operation(name, inputs, outputs, row.builtinOptions))
    return TfliteGraph(tuple(operations), shapes, constants, int(graph.inputs[0]), int(graph.outputs[0]))


Pattern: TypeAlias = "Callable[[Writer, int], int]"
"""Looks at the operations from that number on; writes nodes for those it knows and says how many that were, else 0."""


@dataclass(slots=True)
class Writer:
    """The ONNX nodes and constants so far. Tensor 12 of the source is called `t12`."""

    source: TfliteGraph
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def write(self, pattern: Pattern | None = None) -> None:
        """All operations; `pattern` is asked first, at each of them.

        Raises:
            ValueError: an operation, or an option of one, that isn't known here.
        """
        number = 0
        while number < len(self.source.operations):
            taken = pattern(self, number) if pattern else 0
            if not taken:
                self._operation(self.source.operations[number])
            number += taken or 1

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = value
        return name

    def value(self, tensor: int) -> str:
        """The name of a tensor; a constant one is written, the channels of a picture or vector first."""
        name = f"t{tensor}"
        if tensor in self.source.constants:
            content = self.source.constants[tensor]
            # Only per-channel vectors are read this way: they multiply or are added to (N, C, H, W).
            self.constant(name, content.reshape(1, -1, 1, 1))
        return name

    def _operation(self, operation: Operation) -> None:
        name, out = operation.name, f"t{operation.outputs[0]}"
        if name in _UNARY:
            self.node(_UNARY[name], [self.value(operation.inputs[0])], out)
        elif name in _BINARY:
            self.node(_BINARY[name], [self.value(n) for n in operation.inputs], out)
            self._expect(operation, fusedActivationFunction=0)
        elif name in ("MEAN", "AVERAGE_POOL_2D"):
            self._global_mean(operation)
        elif name in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
            self._resize(operation)
        elif name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            self._convolution(operation)
        elif name in ("TRANSPOSE_CONV", MEDIAPIPE_TRANSPOSE):
            self._transposed_convolution(operation)
        else:
            raise ValueError(f"no translation for {name}, tensor {out}")

    def _expect(self, operation: Operation, **options: Any) -> None:
        got = {key: getattr(operation.options, key) for key in options}
        if got != options:
            raise ValueError(f"{operation.name}: expected {options}, got {got}")

    def _global_mean(self, operation: Operation) -> None:
        height_width = self.source.shapes[operation.inputs[0]][1:3]
        if operation.name == "MEAN":
            axes = sorted(self.source.constants[operation.inputs[1]].tolist())
            self._expect(operation, keepDims=True)
            if axes != [1, 2]:
                raise ValueError(f"MEAN: expected the mean over height and width, got axes {axes}")
        else:
            self._expect(operation, filterHeight=height_width[0], filterWidth=height_width[1])
        self.node("GlobalAveragePool", [self.value(operation.inputs[0])], f"t{operation.outputs[0]}")

    def _resize(self, operation: Operation) -> None:
        self._expect(operation, alignCorners=False, halfPixelCenters=True)
        before, after = (self.source.shapes[n][1:3] for n in (operation.inputs[0], operation.outputs[0]))
        up = after[0] // before[0]
        if after != (before[0] * up, before[1] * up):
            raise ValueError(f"{operation.name}: expected a whole factor, got {before} to {after}")
        scales = self.constant(f"scales_{up}", np.array([1, 1, up, up], np.float32))
        # A whole factor with centres aligned: the nearest pixel is the one that the larger pixel lies in, either way.
        mode = {"mode": "linear"} if operation.name == "RESIZE_BILINEAR" else {"mode": "nearest"}
        self.node(
            "Resize",
            [self.value(operation.inputs[0]), "", scales],
            f"t{operation.outputs[0]}",
            coordinate_transformation_mode="half_pixel",
            **mode,
        )

    def _convolution(self, operation: Operation) -> None:
        source, weights, bias = operation.inputs
        self._expect(operation, dilationWFactor=1, dilationHFactor=1)
        # (out, h, w, in) and, for each channel alone, (1, h, w, channels) become (out, in, h, w).
        depthwise = operation.name == "DEPTHWISE_CONV_2D"
        kernel = self.source.constants[weights].transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        stride = operation.options.strideH
        out = f"t{operation.outputs[0]}"
        activation = operation.options.fusedActivationFunction
        if activation not in (0, _RELU) or stride != operation.options.strideW:
            raise ValueError(f"{operation.name} {out}: no translation for activation {activation} or its strides")
        # Several may share one vector of zeros; each gets its own, to be changed by itself.
        bias_name = f"t{bias}" if f"t{bias}" not in self.constants else f"{out}_bias"
        self.node(
            "Conv",
            [
                self.value(source),
                self.constant(f"t{weights}", kernel),
                self.constant(bias_name, self.source.constants[bias]),
            ],
            f"{out}_linear" if activation == _RELU else out,
            kernel_shape=kernel.shape[2:],
            strides=[stride, stride],
            pads=_pads(kernel.shape[2:], stride) if operation.options.padding == _SAME else [0, 0, 0, 0],
            group=kernel.shape[0] if depthwise else 1,
        )
        if activation == _RELU:
            self.node("Relu", [f"{out}_linear"], out)

    def _transposed_convolution(self, operation: Operation) -> None:
        if operation.name == MEDIAPIPE_TRANSPOSE:
            source, weights, bias = operation.inputs
        else:
            _, weights, source, bias = operation.inputs  # the first one is the output's size
            self._expect(operation, strideH=2, strideW=2, fusedActivationFunction=0)
        kernel = self.source.constants[weights].transpose(3, 0, 1, 2)  # (out, h, w, in) to (in, out, h, w)
        before, after = (self.source.shapes[n][1:3] for n in (source, operation.outputs[0]))
        if kernel.shape[2:] != (2, 2) or after != (2 * before[0], 2 * before[1]):
            raise ValueError(f"{operation.name}: expected a 2x2 kernel that doubles, got {kernel.shape}")
        names = [self.constant(f"t{weights}", kernel), self.constant(f"t{bias}", self.source.constants[bias])]
        self.node(
            "ConvTranspose",
            [self.value(source), *names],
            f"t{operation.outputs[0]}",
            kernel_shape=[2, 2],
            strides=[2, 2],
        )


_UNARY = {"RELU": "Relu", "HARD_SWISH": "HardSwish", "LOGISTIC": "Sigmoid"}
_BINARY = {"ADD": "Add", "MUL": "Mul"}


def _pads(kernel_hw: tuple[int, ...], stride: int) -> list[int]:
    """TensorFlow's SAME for sizes that the stride divides: (top, left, bottom, right), the odd pixel at the end."""
    totals = [size - stride for size in kernel_hw]
    if min(totals) < 0:
        raise ValueError(f"expected kernels not smaller than the stride {stride}, got {kernel_hw}")
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def runnable(data: bytes) -> bytes:
    """The same file with the builtin operation in the place of MediaPipe's own, so that LiteRT can run it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph = model.subgraphs[0]
    for code in model.operatorCodes:
        if code.customCode == MEDIAPIPE_TRANSPOSE.encode():
            code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE_CONV
            code.customCode, code.version = None, 3
    for row in graph.operators:
        if row.customOptions is not None:
            _as_builtin_transpose(model, graph, row)
    import flatbuffers

    builder = flatbuffers.Builder(len(data) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _as_builtin_transpose(model: Any, graph: Any, row: Any) -> None:
    source, weights, bias = row.inputs
    size = schema.BufferT()
    size.data = np.frombuffer(np.asarray(graph.tensors[row.outputs[0]].shape, np.int32).tobytes(), np.uint8)
    model.buffers.append(size)
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer, tensor.name = (
        [4],
        schema.TensorType.INT32,
        len(model.buffers) - 1,
        b"size",
    )
    graph.tensors.append(tensor)
    options = schema.TransposeConvOptionsT()
    options.padding, options.strideH, options.strideW = _SAME, 2, 2
    row.inputs = [len(graph.tensors) - 1, int(weights), int(source), int(bias)]
    row.builtinOptionsType, row.builtinOptions = schema.BuiltinOptions.TransposeConvOptions, options
    row.customOptions = None
