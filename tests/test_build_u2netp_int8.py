"""The int8 variant of U²-Net-p: built from the shipped file, close to it, with the fragile places left in float."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from models import build_fp16
from models import build_u2netp_int8 as build
from models.pictures import real_pictures
from rtmatte.matting.precision import precision_of
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified


def alpha(name: str, picture: np.ndarray) -> np.ndarray:
    session = OnnxSession(read_verified(find_model(name)), device="cpu", threads=2)
    return np.asarray(session.start({"image": picture[None]}, ["alpha"]).output[0])


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load_from_string(read_verified(find_model("u2netp-int8")))


def test_rebuilding_reproduces_the_shipped_bytes() -> None:
    if not onnxruntime.__version__.startswith("1.32."):
        pytest.skip(f"built with onnxruntime 1.32, which decides the bytes; here is {onnxruntime.__version__}")
    built = build.quantised(build.source(), json.loads(build.CALIBRATION.read_text()))
    data = built.SerializeToString(deterministic=True)
    assert hashlib.sha256(data).hexdigest() == find_model("u2netp-int8").sha256


def test_it_agrees_with_the_float_net_on_a_person() -> None:
    person = real_pictures((320, 320))[0][16:304]  # 288 rows: no size is fixed in advance
    expected, got = alpha("u2netp", person), alpha("u2netp-int8", person)
    assert got.shape == (288, 320)
    assert 0.2 < expected.mean() < 0.8
    assert np.abs(got - expected).mean() <= build.TOLERANCE


def test_it_is_int8_but_for_the_fragile_places(shipped: onnx.ModelProto) -> None:
    assert precision_of(shipped.SerializeToString()) == "int8"
    constants = {tensor.name: tensor for tensor in shipped.graph.initializer}
    floats = [
        node
        for node in shipped.graph.node
        if node.op_type == "Conv" and constants.get(node.input[1], onnx.TensorProto()).data_type == 1
    ]
    assert len(floats) == 2  # the sum of the six heads, and the one behind the large constant
    assert shipped.graph.node[-1].op_type == "Squeeze"


def test_what_is_alike_has_the_same_form(shipped: onnx.ModelProto) -> None:
    whole = onnx.load_from_string(read_verified(find_model("u2netp")))
    assert [shipped.graph.input[0], shipped.graph.output[0]] == [whole.graph.input[0], whole.graph.output[0]]
    facts = {prop.key: prop.value for prop in shipped.metadata_props}
    assert facts["licence"] == "Apache-2.0"
    assert "int8" in facts["changes"]


def test_a_graph_of_another_form_is_refused() -> None:
    """By float16's script too, which looks for what is around the large constant in the same way."""
    model = build.source()
    for node in model.graph.node:
        if build.LARGE_CONSTANT in node.output:
            node.CopyFrom(helper.make_node("Sigmoid", node.input, node.output, name=node.name))
    with pytest.raises(ValueError, match=r"expected Resize, Concat, Conv, Relu before .*, got .*, Sigmoid"):
        build.in_float(model)
    with pytest.raises(ValueError, match=r"expected Conv, Relu, Resize"):
        build_fp16.around_large_constant(model.graph)
