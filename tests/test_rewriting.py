"""Graphs written in another way for int8: the same function in float, at every size, to the border."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models import build_u2netp_int8, rewriting
from models.pictures import real_pictures


def net(seed: int = 0) -> onnx.ModelProto:
    """A convolution to eight channels over normalised bytes, and a head."""
    rng = np.random.default_rng(seed)
    constants = {
        "slope": rng.uniform(0.01, 0.03, (1, 3, 1, 1)),
        "offset": rng.uniform(-3, 3, (1, 3, 1, 1)),
        "first_weight": rng.normal(size=(8, 3, 3, 3)),
        "first_bias": rng.normal(size=8),
        "head_weight": rng.normal(size=(1, 8, 3, 3)),
        "head_bias": rng.normal(size=1),
    }
    around = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Transpose", ["image"], ["image_nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["image_nchw"], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["image_float", "slope"], ["image_scaled"]),
        helper.make_node("Add", ["image_scaled", "offset"], ["normalised"]),
        helper.make_node("Conv", ["normalised", "first_weight", "first_bias"], ["features"], **around),
        helper.make_node("Conv", ["features", "head_weight", "head_bias"], ["logits"], **around),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": picture})[0])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 5), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_the_function_stays_to_the_border(seed: int, count: int, height: int, width: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)
    expected = answer(net(seed), picture)
    bytes_first, by_taps = net(seed), net(seed)
    rewriting.bytes_first(bytes_first, "slope", "offset")
    assert rewriting.by_taps(by_taps, ["logits"]) == ["logits_taps"]
    for model in (bytes_first, by_taps):
        got = answer(model, picture)
        assert got.shape == expected.shape == (count, 1, height, width)
        np.testing.assert_allclose(got, expected, atol=1e-3 * np.abs(expected).max())


def test_what_nothing_reads_any_more_is_gone() -> None:
    model = net()
    rewriting.bytes_first(model, "slope", "offset")
    rewriting.by_taps(model, ["logits"])
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read
    assert not {"slope", "offset", "first_weight", "head_weight"} & read
    assert not [node for node in model.graph.node if node.op_type in ("Mul", "Add")]


def test_bytes_that_are_rounded_to_themselves_are_taken_as_they_are() -> None:
    def rounded(scale: float) -> onnx.ModelProto:
        model = net()
        rewriting.bytes_first(model, "slope", "offset")
        low, high = rewriting.range_of_pixels(model)
        assert high - low == 255
        constants = {"scale": np.array(scale, np.float32), "zero": np.array(-low, np.uint8)}
        model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
        (conv,) = (node for node in model.graph.node if rewriting.PIXELS in node.input)
        conv.input[0] = "back"
        place = list(model.graph.node).index(conv)
        model.graph.node.insert(place, helper.make_node("DequantizeLinear", ["rounded", "scale", "zero"], ["back"]))
        model.graph.node.insert(
            place, helper.make_node("QuantizeLinear", [rewriting.PIXELS, "scale", "zero"], ["rounded"])
        )
        return model

    picture = np.random.default_rng(0).integers(0, 256, (1, 7, 6, 3), np.uint8)
    model = rounded(1.0)
    expected = answer(model, picture)
    rewriting.without_rounding_bytes(model)
    assert not {"Cast", "Sub", "QuantizeLinear"} & {node.op_type for node in model.graph.node}
    np.testing.assert_array_equal(answer(model, picture), expected)
    for other in (rounded(0.5), net()):
        with pytest.raises(ValueError, match="expected one QuantizeLinear of pixels by 1 and the middle byte"):
            rewriting.without_rounding_bytes(other)


def test_u2netp_stays_what_it_is() -> None:
    picture = real_pictures((160, 128))[0][None]
    whole = onnx.load_from_string(build_u2netp_int8.SOURCE.read_bytes())
    np.testing.assert_allclose(answer(build_u2netp_int8.source(), picture), answer(whole, picture), atol=1e-4)
