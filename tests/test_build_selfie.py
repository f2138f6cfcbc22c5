"""The selfie graphs: shipped ones give upstream's alpha; the scripts give the same bytes and lose nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import int8
from models.pictures import real_pictures
from rtmatte.matting.registry import SHIPPED, find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified

GOLDEN = Path(__file__).parent / "golden"
FREE_SIZES = [
    (spec.name, 64 if "multiclass" in spec.file else 16) for spec in SHIPPED if spec.name.startswith("selfie")
]


def alpha_of(name: str, picture_rgb: np.ndarray) -> np.ndarray:
    session = OnnxSession(read_verified(find_model(name)), device="cpu", threads=1)
    height, width = picture_rgb.shape[:2]
    binding = session.bind((1, height, width, 3), (1, height, width))
    binding.input[0] = picture_rgb
    session.run(binding)
    return np.asarray(binding.output[0])


@pytest.mark.parametrize(
    ("name", "golden", "size_wh", "worst", "mean"),
    [
        ("selfie", "selfie_astronaut_alpha.png", (256, 144), 1e-3, 1e-4),
        ("selfie-multiclass", "selfie_multiclass_astronaut_alpha.png", (256, 256), 0.1, 1e-3),
        ("selfie-multiclass-int8", "selfie_multiclass_astronaut_alpha.png", (256, 256), 1.0, 1e-2),
    ],
)
def test_a_portrait_gets_upstreams_alpha(
    name: str, golden: str, size_wh: tuple[int, int], worst: float, mean: float
) -> None:
    expected = cv2.imread(str(GOLDEN / golden), cv2.IMREAD_UNCHANGED) / 65535.0
    difference = np.abs(alpha_of(name, real_pictures(size_wh)[0]) - expected)
    assert expected.mean() > 0.2
    assert difference.max() <= worst
    assert difference.mean() <= mean


@pytest.mark.parametrize(("name", "multiple"), FREE_SIZES)
def test_sizes_are_free(name: str, multiple: int) -> None:
    """A person mirrored is a mirrored alpha, more or less, at a size that upstream's graph doesn't know."""
    person = real_pictures((multiple * 4, multiple * 4))[0]
    alpha = alpha_of(name, person)
    assert alpha.shape == person.shape[:2]
    assert 0 <= alpha.min() <= alpha.max() <= 1
    mirrored = alpha_of(name, np.ascontiguousarray(person[:, ::-1]))[:, ::-1]
    assert np.abs(alpha - mirrored).mean() < 0.1


@pytest.mark.parametrize("name", ["selfie", "selfie-square", "selfie-fp16", "selfie-square-fp16", "selfie-multiclass"])
def test_nothing_is_enlarged_that_a_1x1_convolution_could_have_made_smaller_first(name: str) -> None:
    graph = onnx.load_from_string(read_verified(find_model(name))).graph
    enlarged = {node.output[0] for node in graph.node if node.op_type == "Resize"}
    sizes = {tensor.name.removesuffix("_half"): tuple(tensor.dims) for tensor in graph.initializer}
    pointwise = [node for node in graph.node if node.op_type == "Conv" and sizes[node.input[1]][2:] == (1, 1)]
    assert enlarged
    assert len(pointwise) > 20
    assert not [node.name for node in pointwise if node.input[0] in enlarged]


def scripts() -> Any:
    """The build scripts, where LiteRT's schema is installed and the upstream files have been fetched."""
    pytest.importorskip("ai_edge_litert", reason="the extra `models` is not installed")
    from models import build_selfie, build_selfie_multiclass

    wanted = [*build_selfie.UPSTREAMS.values(), build_selfie_multiclass.UPSTREAM]
    if not all(upstream.cached.exists() for upstream in wanted):
        pytest.skip("the upstream files have not been fetched (the scripts in models/ do)")
    return build_selfie, build_selfie_multiclass


def test_the_scripts_give_the_shipped_bytes_and_upstreams_alpha() -> None:
    selfie, multiclass = scripts()
    for name, source in selfie.UPSTREAMS.items():
        upstream = source.cached.read_bytes()
        built = selfie.convert(name, upstream).SerializeToString(deterministic=True)
        assert hashlib.sha256(built).hexdigest() == find_model(name).sha256
        assert selfie.parity(name, upstream, built) <= 1e-3
    upstream = multiclass.UPSTREAM.cached.read_bytes()
    model = multiclass.convert(upstream)
    assert max(d.max() for d in multiclass.differences(upstream, model.SerializeToString())) <= 1e-3
    calibration = json.loads(multiclass.CALIBRATION.read_text())
    for name, built in (
        ("selfie-multiclass", multiclass.halved(model)),
        ("selfie-multiclass-int8", multiclass.quantised(model, calibration)),
    ):
        assert hashlib.sha256(built.SerializeToString(deterministic=True)).hexdigest() == find_model(name).sha256


def uneven_net() -> onnx.ModelProto:
    """1x1 convolution, ReLU, depthwise 3x3, over uint8 pictures; its channels differ a thousandfold in size."""
    rng = np.random.default_rng(0)
    sizes = np.array([1000, 30, 1, 0.5], np.float32)
    constants = {
        "scale": np.array([1 / 255], np.float32),
        "expand": (rng.random((4, 3, 1, 1)) * sizes[:, None, None, None]).astype(np.float32),
        "expand_bias": (rng.random(4) * sizes).astype(np.float32),
        "each": (rng.random((4, 1, 3, 3)) / sizes[:, None, None, None]).astype(np.float32),
        "each_bias": np.zeros(4, np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["planes"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "expand", "expand_bias"], ["wide"], kernel_shape=[1, 1]),
        helper.make_node("Relu", ["wide"], ["positive"]),
        helper.make_node("Conv", ["positive", "each", "each_bias"], ["out"], kernel_shape=[3, 3], group=4),
    ]
    graph = helper.make_graph(
        nodes,
        "uneven",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, "H", "W", 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    int8.name_nodes(model)
    return model


def answer(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    session = OnnxSession(model.SerializeToString(), device="cpu", threads=1)
    return np.asarray(session.start({"image": picture}, ["out"]).output)


def test_equalising_changes_nothing_in_float_and_saves_int8() -> None:
    pictures = [np.random.default_rng(seed).integers(0, 256, (1, 16, 16, 3), np.uint8) for seed in range(3)]
    plain, even = uneven_net(), uneven_net()
    (group,) = int8.groups(even)
    assert group.tensors == {"wide", "positive"}
    int8.equalise(even, group, int8.channel_peaks(even, group, pictures))
    expected = answer(plain, pictures[0])
    np.testing.assert_allclose(answer(even, pictures[0]), expected, rtol=1e-4, atol=1e-4)

    def error(model: onnx.ModelProto) -> np.ndarray:
        quantised = int8.quantise(model, int8.value_ranges(model, pictures))
        return np.abs(answer(quantised, pictures[0]) - expected).mean(axis=(0, 2, 3)) / expected.std(axis=(0, 2, 3))

    assert error(plain).max() > 0.5  # the small channels are lost
    assert error(even).max() < 0.05


def test_channels_that_anything_else_reads_are_left_alone() -> None:
    model = uneven_net()
    model.graph.node.append(helper.make_node("GlobalAveragePool", ["positive"], ["mean"], name="mean"))
    assert int8.groups(model) == []
