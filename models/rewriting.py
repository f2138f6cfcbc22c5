"""Float graphs written in another way, the same functions, so that int8 has less to do around its convolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PIXELS = "pixels"
"""What the first convolution reads after `bytes_first`: bytes less a middle one, to be quantised as the bytes."""
_MIDDLE = "middle"
_INSIDE = 255
_TO_THE_END = np.iinfo(np.int64).max


def bytes_first(model: onnx.ModelProto, slope: str, offset: str) -> None:
    """Makes the first convolution read bytes, less the one that stood for about 0, instead of `slope * byte + offset`,
    in place.

    A fourth channel is one number inside the picture, and 0 outside, where a convolution pads with zeros: its weights
    make what is left of the offsets, which therefore end where the picture ends, as they did. So nothing is rounded
    before the first convolution, and it has channels in fours, which onnxruntime's int8 kernels want. (Without the
    byte in the middle the roundings of all weights add up to a grey veil: MAD x1e3 of c17 45 instead of 19.)
    """
    graph = model.graph
    constants = _constants(graph)
    number, first = next((n, node) for n, node in enumerate(graph.node) if node.op_type == "Conv")
    weight = constants[first.input[1]].astype(np.float64)
    slopes, offsets = (constants[name].reshape(1, -1, 1, 1).astype(np.float64) for name in (slope, offset))
    middle = min(max(round(float((-offsets / slopes).mean())), 0), _INSIDE - 1)
    left = (weight * (offsets + middle * slopes)).sum(axis=1, keepdims=True) / (_INSIDE - middle)
    joined = np.concatenate([weight * slopes, left], axis=1)
    first.input[0] = PIXELS
    first.input[1] = _add(graph, "bytes_weight", joined.astype(np.float32))
    one_more = _add(graph, "one_more_channel", np.array([0, 0, 0, 0, 0, 0, 0, 1], np.int64))
    inside = _add(graph, "inside", np.array(_INSIDE, np.uint8))
    before = [
        helper.make_node("Pad", ["image", one_more, inside], ["image_inside"]),
        helper.make_node("Transpose", ["image_inside"], ["image_nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["image_nchw"], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["image_float", _add(graph, _MIDDLE, np.array(middle, np.float32))], [PIXELS]),
    ]
    _replace(graph, [*before, *list(graph.node)[number:]])


def range_of_pixels(model: onnx.ModelProto) -> tuple[float, float]:
    """Of `PIXELS`, after `bytes_first`: a step for each byte."""
    middle = float(_constants(model.graph)[_MIDDLE])
    return -middle, 255 - middle


def without_rounding_bytes(model: onnx.ModelProto) -> None:
    """Takes out of a graph of int8, in place, that bytes become floats and the same bytes again.

    Raises:
        ValueError: `PIXELS` isn't there, or isn't quantised one to one.
    """
    graph = model.graph
    constants = _constants(graph)
    found = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == PIXELS]
    numbers = [float(constants[name]) for node in found for name in node.input[1:]]
    if numbers != [1, float(constants.get(_MIDDLE, np.nan))]:
        raise ValueError(f"expected one QuantizeLinear of {PIXELS} by 1 and the middle byte, got {numbers}")
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == found[0].output[0]:
                node.input[place] = "image_nchw"
    gone = {"image_float", PIXELS, found[0].output[0]}
    _replace(graph, [node for node in graph.node if not gone.intersection(node.output)])


def by_taps(model: onnx.ModelProto, heads: Iterable[str]) -> list[str]:
    """Writes 3x3 convolutions to one channel as a 1x1 convolution to nine, one for each tap, and a sum of these,
    shifted, in place. What the nine are called.

    `heads` are what the convolutions write. A kernel computes sixteen channels for one, and nine for nine.
    """
    graph = model.graph
    constants = _constants(graph)
    wanted = set(heads)
    pads = _add(graph, "tap_pads", np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    axes = _add(graph, "tap_axes", np.array([1, 2, 3], np.int64))
    windows = []
    for tap in range(9):
        down, right = divmod(tap, 3)
        begin = np.array([tap, down, right], np.int64)
        end = np.array([tap + 1, down - 2 or _TO_THE_END, right - 2 or _TO_THE_END], np.int64)
        windows.append([_add(graph, f"tap_{tap}_begin", begin), _add(graph, f"tap_{tap}_end", end)])
    nodes, written = [], []
    for node in graph.node:
        (name,) = node.output
        if name not in wanted:
            nodes.append(node)
            continue
        weight = constants[node.input[1]]  # (1, channels, 3, 3)
        taps = np.ascontiguousarray(weight.reshape(weight.shape[1], 9).T[:, :, None, None])
        read = [node.input[0], _add(graph, f"{name}_weight", taps)]
        nodes.append(helper.make_node("Conv", read, [f"{name}_taps"], kernel_shape=[1, 1]))
        nodes.append(helper.make_node("Pad", [f"{name}_taps", pads], [f"{name}_padded"]))
        shifted = [f"{name}_tap_{tap}" for tap in range(9)]
        for one, window in zip(shifted, windows, strict=True):
            nodes.append(helper.make_node("Slice", [f"{name}_padded", *window, axes], [one]))
        nodes.append(helper.make_node("Sum", [*shifted, node.input[2]], [name]))
        written.append(f"{name}_taps")
    _replace(graph, nodes)
    return written


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def _add(graph: onnx.GraphProto, name: str, value: NDArray[Any]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """These nodes, and of the constants only those that they read."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    read = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in read]
    kept_tensors = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(kept_tensors)
