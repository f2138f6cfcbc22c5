"""In which number formats a model's weights are stored and its convolutions computed, as its own file says.

Reads just enough of ONNX's protobuf encoding to tell; the library `onnx` isn't needed at run time.

Reference: onnx.proto3 (ModelProto.graph = 7; GraphProto.node = 1, initializer = 5; NodeProto.input = 1, output = 2,
op_type = 4, attribute = 5; TensorProto.dims = 1, data_type = 2, name = 8; AttributeProto.name = 1, i = 3).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16"}
_CONVOLUTIONS = {"Conv", "ConvTranspose", "MatMul", "Gemm", "FusedConv"}
_INTEGER_CONVOLUTIONS = {"QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger"}
_VARINT, _BYTES = 0, 2


def precision_of(model: bytes) -> str:
    """Such as `"float32"`, or `"float32, weights float16"`, or `"int8"`; `"unknown"` if the bytes can't be read.

    The first is what the graph asks the convolutions to be computed in: a GPU may round inside (TF32), and a provider
    that converts a model for itself (bf16 in OpenVINO, fp16 in TensorRT) isn't seen.
    """
    try:
        return _precision_of(model)
    except (IndexError, UnicodeDecodeError, TypeError, ValueError):
        return "unknown"


def _precision_of(model: bytes) -> str:
    graphs = (value for number, value in _fields(model) if number == 7 and isinstance(value, bytes))
    graph = next(graphs, b"")
    stored: dict[str, tuple[str, int]] = {}
    made: dict[str, str] = {}
    computed: Counter[str] = Counter()
    for number, value in _fields(graph):
        if number == 5 and isinstance(value, bytes):
            name, type_name, count = _tensor(value)
            stored[name] = (type_name, count)
    for number, value in _fields(graph):
        if number != 1 or not isinstance(value, bytes):
            continue
        kind, inputs, outputs, cast_to = _node(value)
        if kind == "Cast":
            made.update(dict.fromkeys(outputs, cast_to))
        elif kind == "DequantizeLinear":
            made.update(dict.fromkeys(outputs, stored.get(inputs[0], ("int8", 0))[0]))
        elif kind in _INTEGER_CONVOLUTIONS:
            computed["int8"] += 1
        elif kind in _CONVOLUTIONS and len(inputs) > 1 and (inputs[1] in stored or inputs[1] in made):
            computed[made.get(inputs[1]) or stored[inputs[1]][0]] += 1
    weights: Counter[str] = Counter()
    for type_name, count in stored.values():
        weights[type_name] += count
    if not computed:
        return "unknown"
    arithmetic, kept = computed.most_common(1)[0][0], weights.most_common(1)[0][0]
    return arithmetic if kept == arithmetic else f"{arithmetic}, weights {kept}"


def _tensor(data: bytes) -> tuple[str, str, int]:
    """Name, type, and how many numbers."""
    name, type_name, dims = "", "unknown", []
    for number, value in _fields(data):
        if number == 1:
            dims += [value] if isinstance(value, int) else list(_varints(value))
        elif number == 2 and isinstance(value, int):
            type_name = _TYPES.get(value, "unknown")
        elif number == 8 and isinstance(value, bytes):
            name = value.decode()
    return name, type_name, math.prod(dims)


def _node(data: bytes) -> tuple[str, list[str], list[str], str]:
    """Operator, inputs, outputs, and the type that a Cast makes."""
    kind, inputs, outputs, cast_to = "", [], [], ""
    for number, value in _fields(data):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            inputs.append(value.decode())
        elif number == 2:
            outputs.append(value.decode())
        elif number == 4:
            kind = value.decode()
        elif number == 5:
            attribute = dict(_fields(value))
            if attribute.get(1) == b"to" and isinstance(target := attribute.get(3), int):
                cast_to = _TYPES.get(target, "unknown")
    return kind, inputs, outputs, cast_to


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a message; fixed-width fields are passed over."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
        elif wire == _BYTES:
            length, position = _varint(data, position)
            if position + length > len(data):
                raise ValueError("cut short")
            yield number, data[position : position + length]
            position += length
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise ValueError(f"expected a protobuf wire type of 0, 1, 2 or 5, got {wire}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _varints(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value
