"""A float32 graph written so that a GPU computes it in float16, and that again so that any machine tells what it costs.

A processor has no float16 arithmetic: onnxruntime computes such a graph in float32 there and rounds in between less
often than a GPU would. `as_on_a_gpu` writes the roundings out, a product apart from its bias, so that they can be
measured without a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_ALWAYS_SINGLE = {"Resize": (1, 2)}
"""Inputs, by place, that the operator takes in float32 only."""


def halved(
    source: onnx.ModelProto, name: str, first: str, singles: set[str], properties: Mapping[str, str]
) -> onnx.ModelProto:
    """The same graph in float16 from the tensor `first` on, which is rounded once; `singles` are computed in float32.

    What `first` is made of stays as it is, and so does what isn't a floating-point number.
    """
    nodes_before, weights = _plain(source.graph)
    kinds_before = _kinds(source)
    kinds = {first: TensorProto.FLOAT}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}
    casts: set[str] = set()

    def cast(tensor: str, kind: int) -> str:
        """The tensor in the other format."""
        other = f"{tensor}_{'half' if kind == TensorProto.FLOAT16 else 'single'}"
        if other not in casts:
            casts.add(other)
            nodes.append(helper.make_node("Cast", [tensor], [other], to=kind))
        return other

    inside = False
    for node in nodes_before:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        half = inside and node.output[0] not in singles and kinds_before[node.output[0]] == TensorProto.FLOAT
        for place, tensor in enumerate(node.input):
            if tensor in weights:
                value = weights[tensor]
                if half and value.dtype == np.float32 and place not in _ALWAYS_SINGLE.get(node.op_type, ()):
                    value = value.astype(np.float16)
                if tensor in constants and constants[tensor].dtype != value.dtype:
                    copy.input[place] = tensor = f"{tensor}_{value.dtype}"
                constants[tensor] = value
            elif tensor in kinds and node.op_type != "Shape":  # which takes either
                kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
                if kinds[tensor] != kind:
                    copy.input[place] = cast(tensor, kind)
        if inside and kinds_before[node.output[0]] == TensorProto.FLOAT:
            kinds[node.output[0]] = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        inside = inside or first in node.output
        nodes.append(copy)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            name,
            source.graph.input,
            source.graph.output,
            [numpy_helper.from_array(np.array(value, order="C"), tensor) for tensor, value in constants.items()],
        ),
        opset_imports=source.opset_import,
        ir_version=source.ir_version,
    )
    helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    return model


def as_on_a_gpu(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in float32, with every float16 result rounded where a GPU rounds it: products, then sums with a bias.

    To be run without graph optimisations, which would take roundings out.
    """
    halves = {tensor for tensor, kind in _kinds(model).items() if kind == TensorProto.FLOAT16}
    tensors = [
        numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
        if tensor.data_type == TensorProto.FLOAT16
        else tensor
        for tensor in model.graph.initializer
    ]
    shapes = {tensor.name: numpy_helper.to_array(tensor).shape for tensor in tensors}
    nodes: list[onnx.NodeProto] = []

    def rounded(tensor: str) -> None:
        nodes.append(helper.make_node("Cast", [f"{tensor}_raw"], [f"{tensor}_16"], to=TensorProto.FLOAT16))
        nodes.append(helper.make_node("Cast", [f"{tensor}_16"], [tensor], to=TensorProto.FLOAT))

    for node in model.graph.node:
        (output,) = node.output
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if node.op_type == "Cast" and {output, node.input[0]} & halves:
            copy = helper.make_node("Identity", node.input, [output])
        if output not in halves:
            nodes.append(copy)
            continue
        copy.output[0] = f"{output}_raw"
        if node.op_type == "Conv" and len(node.input) == 3:
            product, bias = f"{output}_product", f"{output}_lifted"
            del copy.input[2]
            copy.output[0] = f"{product}_raw"
            nodes.append(copy)
            rounded(product)
            (channels,) = shapes[node.input[2]]
            tensors.append(numpy_helper.from_array(np.array([1, channels, 1, 1], np.int64), f"{bias}_shape"))
            nodes.append(helper.make_node("Reshape", [node.input[2], f"{bias}_shape"], [bias]))
            copy = helper.make_node("Add", [product, bias], [f"{output}_raw"])
        nodes.append(copy)
        rounded(output)
    graph = helper.make_graph(nodes, "as_on_a_gpu", model.graph.input, model.graph.output, tensors)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _plain(graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], dict[str, NDArray[Any]]]:
    """Nodes and constants; a constant that is stored as float16 and cast at the start is a float32 one."""
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]].astype(np.float32)
        else:
            nodes.append(node)
    return nodes, weights


def _kinds(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor that a node writes."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    return {info.name: info.type.tensor_type.elem_type for info in (*graph.value_info, *graph.output)}
