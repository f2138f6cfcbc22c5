"""Builds rtmatte/weights/u2netp-fp16.onnx out of the shipped u2netp.onnx. Same bytes every time, nothing is downloaded.

    python -m models.build_u2netp_fp16

Input and output are those of u2netp.onnx: bytes in, float32 alpha out. In between weights and arithmetic are float16,
which a GPU computes in its fast units. Two places stay in float32:

- the normalisation of the input, which is rounded to float16 once, at its end.
- the convolution that `build_u2netp_int8` leaves in float, with what leads to it from the one that makes its channel of
  226: there float16 has steps of 1/8, and weights of up to 5.6 multiply them. On the first two photographs (largest and
  mean difference of alpha, roundings as on a GPU): all in float16 1.2e-1 and 4.6e-3; with the one convolution in
  float32 1.1e-1 and 2.4e-3; with all six nodes 8.5e-3 and 2.6e-4, for 46 kB more.

The last convolution and the sigmoid are in float32 as well, so that alpha itself has no steps.

A processor has no float16 arithmetic here: onnxruntime computes these graphs in float32 and rounds in between less
often than a GPU would. `as_on_a_gpu` therefore writes the roundings out, a product apart from its bias, so that what
float16 costs can be measured without a GPU.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.build_u2netp import METADATA, TARGET
from models.build_u2netp_int8 import LARGE_CONSTANT, SOURCE
from models.pictures import real_pictures

NAME = "u2netp-fp16"
FIRST = "input.1"
"""What the network's first convolution reads: the normalised picture; upstream's name."""
AROUND = ("Conv", "Relu", "Resize", "Concat", "Conv", "Relu")
"""From the convolution that makes the channel of 226 to the one that takes it away again."""
TOLERANCE = 2e-2
"""Of the largest difference of alpha from u2netp.onnx, on each of four photographs, in `as_on_a_gpu`."""


def halved(source: onnx.ModelProto) -> onnx.ModelProto:
    """The float16 graph.

    Raises:
        ValueError: the graph hasn't the form that this script knows.
    """
    graph = source.graph
    singles = _in_float32(graph)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kinds = {FIRST: TensorProto.FLOAT}
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, NDArray[Any]] = {}
    casts: set[str] = set()

    def cast(name: str, kind: int) -> str:
        """The tensor in the other format."""
        other = f"{name}_{'half' if kind == TensorProto.FLOAT16 else 'single'}"
        if other not in casts:
            casts.add(other)
            nodes.append(helper.make_node("Cast", [name], [other], to=kind))
        return other

    inside = False
    for node in graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if inside:
            kind = TensorProto.FLOAT if node.output[0] in singles else TensorProto.FLOAT16
            for place, name in enumerate(node.input):
                if name in kinds and kinds[name] != kind:
                    copy.input[place] = cast(name, kind)
                elif name in weights and node.op_type == "Conv" and kind == TensorProto.FLOAT16:
                    weights[name] = weights[name].astype(np.float16)
            kinds[node.output[0]] = kind
        inside = inside or FIRST in node.output
        constants |= {name: weights[name] for name in node.input if name in weights}
        nodes.append(copy)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            NAME,
            graph.input,
            graph.output,
            [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=source.opset_import,
        ir_version=source.ir_version,
    )
    changes = METADATA["changes"].replace("weights unchanged", "float16, but for one convolution")
    helper.set_model_props(model, {**METADATA, "name": NAME, "changes": changes})
    onnx.checker.check_model(model, full_check=True)
    return model


def _in_float32(graph: onnx.GraphProto) -> set[str]:
    """What is written in float32 behind the normalisation: the six nodes around the channel of 226, and the end."""
    writer = {name: node for node in graph.node for name in node.output}
    around = [writer[LARGE_CONSTANT]]
    while len(around) < len(AROUND):
        around.append(writer[around[-1].input[0]])
    end = list(graph.node[-3:])
    kinds = [node.op_type for node in (*around[::-1], *end)]
    if kinds != [*AROUND, "Conv", "Sigmoid", "Squeeze"] or FIRST not in writer:
        raise ValueError(f"expected {', '.join(AROUND)} before {LARGE_CONSTANT} and a Sigmoid at the end, got {kinds}")
    return {node.output[0] for node in (*around, *end)}


def as_on_a_gpu(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in float32, with every float16 result rounded where a GPU rounds it: products, then sums with a bias.

    To be run without graph optimisations, which would take roundings out.
    """
    half = {tensor.name for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    tensors = [
        numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
        if tensor.name in half
        else tensor
        for tensor in model.graph.initializer
    ]
    shapes = {tensor.name: numpy_helper.to_array(tensor).shape for tensor in tensors}
    nodes: list[onnx.NodeProto] = []
    halves: set[str] = set()

    def rounded(name: str) -> None:
        nodes.append(helper.make_node("Cast", [f"{name}_raw"], [f"{name}_16"], to=TensorProto.FLOAT16))
        nodes.append(helper.make_node("Cast", [f"{name}_16"], [name], to=TensorProto.FLOAT))

    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        (output,) = node.output
        if node.op_type == "Cast":
            if helper.get_node_attr_value(node, "to") == TensorProto.FLOAT16:
                halves.add(output)
                nodes.append(helper.make_node("Identity", [node.input[0]], [f"{output}_raw"]))
                rounded(output)
            else:
                nodes.append(
                    copy if node.input[0] not in halves else helper.make_node("Identity", node.input, [output])
                )
            continue
        if not set(node.input) & (halves | half):
            nodes.append(copy)
            continue
        halves.add(output)
        if node.op_type == "Conv" and len(node.input) == 3:
            product, bias = f"{output}_product", f"{output}_bias"
            del copy.input[2]
            copy.output[0] = f"{product}_raw"
            nodes.append(copy)
            rounded(product)
            (channels,) = shapes[node.input[2]]
            tensors.append(numpy_helper.from_array(np.array([1, channels, 1, 1], np.int64), f"{bias}_shape"))
            nodes.append(helper.make_node("Reshape", [node.input[2], f"{bias}_shape"], [bias]))
            nodes.append(helper.make_node("Add", [product, bias], [f"{output}_raw"]))
        else:
            copy.output[0] = f"{output}_raw"
            nodes.append(copy)
        rounded(output)
    graph = helper.make_graph(nodes, "as_on_a_gpu", model.graph.input, model.graph.output, tensors)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def differences(ours: onnx.ModelProto) -> list[tuple[float, float]]:
    """Largest and mean absolute difference of alpha from u2netp.onnx with a GPU's roundings, for each photograph."""
    import onnxruntime

    exact = onnxruntime.SessionOptions()
    exact.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    whole, half = (
        onnxruntime.InferenceSession(data, exact, ["CPUExecutionProvider"])
        for data in (SOURCE.read_bytes(), as_on_a_gpu(ours).SerializeToString())
    )
    found = []
    for picture in real_pictures((320, 320)):
        (expected,), (got,) = (session.run(["alpha"], {"image": picture[None]}) for session in (whole, half))
        off = np.abs(expected - got)
        found.append((float(off.max()), float(off.mean())))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", type=Path, default=TARGET.with_name(f"{NAME}.onnx"))
    arguments = parser.parse_args()
    model = halved(onnx.load_from_string(SOURCE.read_bytes()))
    off = differences(model)
    listed = ", ".join(f"{largest:.1e} ({mean:.1e})" for largest, mean in off)
    print(f"largest (mean) alpha difference on four photographs: {listed}; allowed {TOLERANCE}")
    if not max(largest for largest, _ in off) <= TOLERANCE:
        raise SystemExit("the built graph is too far from u2netp.onnx; it was not written")
    ours = model.SerializeToString(deterministic=True)
    arguments.target.write_bytes(ours)
    print(f"{arguments.target}: {len(ours)} bytes, sha256 {hashlib.sha256(ours).hexdigest()}")


if __name__ == "__main__":
    main()
