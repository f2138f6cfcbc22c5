"""The float16 variants: built from the shipped files, close to them under a GPU's roundings, one output."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from models import build_fp16 as build
from models.half import as_on_a_gpu
from models.pictures import real_pictures
from rtmatte.matting.net_spec import read_net_spec
from rtmatte.matting.precision import precision_of
from rtmatte.matting.registry import SHIPPED, find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified

U2NETP = build.RECIPES["u2netp"]


def alpha(name: str, picture: np.ndarray) -> np.ndarray:
    session = OnnxSession(read_verified(find_model(name)), device="cpu", threads=2)
    return np.asarray(session.start({"image": picture[None]}, ["alpha"]).output[0])


def rounded_alpha(model: onnx.ModelProto, picture: np.ndarray) -> np.ndarray:
    """As a GPU would round it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = as_on_a_gpu(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    return np.asarray(session.run(["alpha"], {"image": picture[None]})[0][0])


@pytest.fixture(params=build.RECIPES.values(), ids=lambda recipe: recipe.name)
def recipe(request: pytest.FixtureRequest) -> build.Recipe:
    found: build.Recipe = request.param
    return found


@pytest.fixture
def shipped(recipe: build.Recipe) -> onnx.ModelProto:
    return onnx.load_from_string(read_verified(find_model(recipe.name)))


@pytest.fixture
def person(recipe: build.Recipe) -> np.ndarray:
    return real_pictures(recipe.size_wh)[0]


def test_every_graph_that_ships_has_one() -> None:
    graphs = {spec.file.removesuffix(".onnx") for spec in SHIPPED if "-int8" not in spec.file}
    halves = {name for name in graphs if name.endswith("-fp16")}
    assert {name.removesuffix("-fp16") for name in halves} == graphs - halves == set(build.RECIPES)


def test_rebuilding_reproduces_the_shipped_bytes(recipe: build.Recipe) -> None:
    data = recipe.build(recipe.read()).SerializeToString(deterministic=True)
    row = find_model(recipe.name)
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (row.sha256, row.size_bytes)
    assert row.net == find_model(recipe.source).net


def test_a_processor_sees_what_the_float_net_sees(recipe: build.Recipe, person: np.ndarray) -> None:
    smaller = person[: person.shape[0] - 64]  # no size is fixed in advance
    for picture in (person, smaller):
        expected, got = alpha(recipe.source, picture), alpha(recipe.name, picture)
        assert (got.shape, got.dtype) == (picture.shape[:2], np.float32)
        assert 0.1 < expected.mean() < 0.8
        assert np.abs(got - expected).mean() <= build.TOLERANCE


def test_a_gpus_roundings_cost_little(recipe: build.Recipe, shipped: onnx.ModelProto, person: np.ndarray) -> None:
    off = np.abs(rounded_alpha(shipped, person) - alpha(recipe.source, person))
    assert 0 < off.mean() <= build.TOLERANCE


def test_u2netp_would_lose_more_without_what_stays_in_float32() -> None:
    person = real_pictures(U2NETP.size_wh)[0]
    expected = alpha("u2netp", person)
    with_it, without = (
        np.abs(rounded_alpha(recipe.build(recipe.read()), person) - expected).max()
        for recipe in (U2NETP, replace(U2NETP, others=lambda _: set()))
    )
    assert without > 2 * with_it


def test_it_is_float16_with_one_output_and_no_cast_too_many(recipe: build.Recipe, shipped: onnx.ModelProto) -> None:
    source = recipe.read()
    assert precision_of(shipped.SerializeToString()) == "float16"
    assert [shipped.graph.input[0], shipped.graph.output[0]] == [source.graph.input[0], source.graph.output[0]]
    assert len(shipped.graph.output) == 1
    read = {name for node in shipped.graph.node for name in node.input} | {"alpha"}
    assert all(name in read for node in shipped.graph.node for name in node.output)
    casts = [node for node in shipped.graph.node if node.op_type == "Cast"]
    # Bytes to float, into the net, into its end; and u2netp's into and out of what stays in float32.
    assert len(casts) == (6 if recipe is U2NETP else 3)
    assert len({node.input[0] for node in casts}) == len(casts)
    facts = {prop.key: prop.value for prop in shipped.metadata_props}
    assert (facts["name"], facts["licence"]) == (recipe.name, "Apache-2.0")
    assert "float16" in facts["changes"]


def test_weights_are_those_of_the_source_rounded(recipe: build.Recipe, shipped: onnx.ModelProto) -> None:
    whole = {
        tensor.name.removesuffix("_half"): onnx.numpy_helper.to_array(tensor)
        for tensor in recipe.read().graph.initializer
    }
    halves = [tensor for tensor in shipped.graph.initializer if tensor.data_type == TensorProto.FLOAT16]
    assert len(halves) > 80
    for tensor in halves:
        assert np.array_equal(onnx.numpy_helper.to_array(tensor), whole[tensor.name].astype(np.float16))


def test_a_graph_with_another_end_is_refused() -> None:
    with pytest.raises(ValueError, match="at the end, ConvTranspose, Sigmoid"):
        build.RECIPES["selfie"].build(build.RECIPES["selfie-multiclass"].read())


def test_graphs_to_be_judged_without_a_gpu_come_with_their_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selfie = build.RECIPES["selfie"]
    monkeypatch.setattr(build, "RECIPES", {"selfie": selfie})
    monkeypatch.setattr("sys.argv", ["build_fp16", "--rounded", str(tmp_path)])
    build.main()
    assert read_net_spec(tmp_path / "selfie-fp16.toml") == find_model("selfie").net
    session = OnnxSession((tmp_path / "selfie-fp16.onnx").read_bytes(), device="cpu")
    person = real_pictures(selfie.size_wh)[0]
    got = np.asarray(session.start({"image": person[None]}, ["alpha"]).output[0])
    assert 0 < np.abs(got - alpha("selfie", person)).mean() <= build.TOLERANCE
