"""The float16 variant of U²-Net-p: built from the shipped file, close to it under a GPU's roundings, one output."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from models import build_u2netp_fp16 as build
from models.pictures import real_pictures
from rtmatte.matting.precision import precision_of
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified


def alpha(name: str, picture: np.ndarray) -> np.ndarray:
    session = OnnxSession(read_verified(find_model(name)), device="cpu", threads=2)
    return np.asarray(session.start({"image": picture[None]}, ["alpha"]).output[0])


def rounded_alpha(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    """As a GPU would round it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = build.as_on_a_gpu(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    return np.asarray(session.run(["alpha"], {"image": picture[None]})[0][0])


@pytest.fixture(scope="module")
def source() -> onnx.ModelProto:
    return onnx.load_from_string(build.SOURCE.read_bytes())


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load_from_string(read_verified(find_model("u2netp-fp16")))


@pytest.fixture(scope="module")
def person() -> np.ndarray:
    return real_pictures((320, 320))[0][16:304]  # 288 rows: no size is fixed in advance


def test_rebuilding_reproduces_the_shipped_bytes(source: onnx.ModelProto) -> None:
    data = build.halved(source).SerializeToString(deterministic=True)
    assert hashlib.sha256(data).hexdigest() == find_model("u2netp-fp16").sha256


def test_a_processor_sees_what_the_float_net_sees(person: np.ndarray) -> None:
    expected, got = alpha("u2netp", person), alpha("u2netp-fp16", person)
    assert (got.shape, got.dtype) == ((288, 320), np.float32)
    assert 0.2 < expected.mean() < 0.8
    assert np.abs(got - expected).max() <= build.TOLERANCE


def test_a_gpus_roundings_cost_little_because_of_what_stays_in_float32(
    source: onnx.ModelProto, shipped: onnx.ModelProto, person: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alpha("u2netp", person)
    off = np.abs(rounded_alpha(shipped, person) - expected)
    assert 0 < off.max() <= build.TOLERANCE
    monkeypatch.setattr(build, "_in_float32", lambda graph: {"1959", "alpha"})
    everything = build.halved(source)
    assert np.abs(rounded_alpha(everything, person) - expected).max() > 2 * off.max()


def test_it_is_float16_with_one_output_and_no_cast_too_many(source: onnx.ModelProto, shipped: onnx.ModelProto) -> None:
    assert precision_of(shipped.SerializeToString()) == "float16"
    assert [shipped.graph.input[0], shipped.graph.output[0]] == [source.graph.input[0], source.graph.output[0]]
    assert len(shipped.graph.output) == 1
    read = {name for node in shipped.graph.node for name in node.input} | {"alpha"}
    assert all(name in read for node in shipped.graph.node for name in node.output)
    casts = [node for node in shipped.graph.node if node.op_type == "Cast"]
    assert len(casts) == 6  # bytes to float, into the net, into and out of what stays in float32, into the end
    assert len({node.input[0] for node in casts}) == len(casts)
    facts = {prop.key: prop.value for prop in shipped.metadata_props}
    assert facts["licence"] == "Apache-2.0"
    assert "float16" in facts["changes"]


def test_weights_are_those_of_the_float_net_rounded(source: onnx.ModelProto, shipped: onnx.ModelProto) -> None:
    whole = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in source.graph.initializer}
    halves = [tensor for tensor in shipped.graph.initializer if tensor.data_type == TensorProto.FLOAT16]
    assert len(halves) > 200
    for tensor in halves:
        assert np.array_equal(onnx.numpy_helper.to_array(tensor), whole[tensor.name].astype(np.float16))


def test_a_graph_of_another_form_is_refused(source: onnx.ModelProto) -> None:
    other = onnx.ModelProto()
    other.CopyFrom(source)
    for node in other.graph.node:
        if build.LARGE_CONSTANT in node.output:
            node.CopyFrom(helper.make_node("Sigmoid", node.input, node.output, name=node.name))
    with pytest.raises(ValueError, match="expected Conv, Relu, Resize"):
        build.halved(other)
