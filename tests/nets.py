"""Small generated graphs of the forms that nets have: what they answer is easy to say, what they eat is upstream's."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from rtmatte.matting.load import matter_for
from rtmatte.matting.matter import Matter
from rtmatte.matting.net_spec import HOUSE_OUTPUT, NetSpec, house_input
from rtmatte.matting.session import OnnxSession

STATES = ("r1", "r2", "r3", "r4")


def image_net(
    *,
    input_name: str = "input.1",
    output_name: str = "1959",
    classes: int = 1,
    halve: bool = False,
    layout: str = "nchw",
    fixed_hw: tuple[int, int] | None = None,
    batch: int | str = 1,
) -> bytes:
    """float32 (`batch`, 3, H, W) in; the channels' mean out, (`batch`, classes, H, W): class k gets k + 1 times that.

    `layout` "nhwc": in and out with the channels last. `halve`: the output has half the height and width.
    """
    height, width = fixed_hw or ("H", "W")
    channel_axis = 1 if layout == "nchw" else 3
    given = [batch, 3, height, width] if layout == "nchw" else [batch, height, width, 3]
    factors = np.arange(1, classes + 1, dtype=np.float32)
    shape = [1, classes, 1, 1] if layout == "nchw" else [1, 1, 1, classes]
    nodes = [
        helper.make_node("ReduceMean", [input_name], ["mean"], axes=[channel_axis], keepdims=1),
        helper.make_node("Mul", ["mean", "factors"], ["scaled"]),
        helper.make_node(
            "AveragePool" if halve else "Identity",
            ["scaled"],
            [output_name],
            **({"kernel_shape": [2, 2], "strides": [2, 2]} if halve else {}),
        ),
    ]
    return _model(nodes, {"factors": factors.reshape(shape)}, {input_name: given}, [output_name])


def mixing_net() -> bytes:
    """As `image_net` with a free batch, but less a tenth of the mean of all pictures of the run."""
    nodes = [
        helper.make_node("ReduceMean", ["input.1"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("ReduceMean", ["mean"], ["all"], axes=[0], keepdims=1),
        helper.make_node("Mul", ["all", "tenth"], ["little"]),
        helper.make_node("Sub", ["mean", "little"], ["1959"]),
    ]
    return _model(nodes, {"tenth": np.array(0.1, np.float32)}, {"input.1": ["N", 3, "H", "W"]}, ["1959"])


def stubborn_net(*, folds: bool) -> bytes:
    """It says that it takes batches; what is inside knows one picture only, or `folds` several into one.

    The shape that it brings pictures to is computed, so that the runtime doesn't see through it.
    """
    constants = {
        "nothing": np.zeros(4, np.float32),
        "wanted": np.array([1, 3, -1, 32] if folds else [1, 3, 32, 32], np.float32),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input.1"], ["light"], keepdims=0),
        helper.make_node("Mul", ["light", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "wanted"], ["sides"]),
        helper.make_node("Cast", ["sides"], ["shape"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["input.1", "shape"], ["one"]),
        helper.make_node("ReduceMean", ["one"], ["1959"], axes=[1], keepdims=1),
    ]
    return _model(nodes, constants, {"input.1": ["N", 3, 32, 32]}, ["1959"])


def recurrent_net() -> bytes:
    """RVM's form. Each state becomes half itself and half the picture's mean; pha is the first one, fgr the picture."""
    nodes = [helper.make_node("ReduceMean", ["src"], ["mean"], axes=[1], keepdims=1)]
    nodes.append(helper.make_node("Mul", ["mean", "half"], ["half_mean"]))
    for state in STATES:
        nodes.append(helper.make_node("Mul", [f"{state}i", "half"], [f"{state}half"]))
        nodes.append(helper.make_node("Add", [f"{state}half", "half_mean"], [f"{state}o"]))
    nodes.append(helper.make_node("Identity", ["src"], ["fgr"]))
    nodes.append(helper.make_node("Identity", ["r1o"], ["pha"]))
    nodes.append(helper.make_node("Identity", ["downsample_ratio"], ["ratio"]))
    states: dict[str, list[Any]] = {f"{state}i": ["N", "C", "h", "w"] for state in STATES}
    inputs = {"src": [1, 3, "H", "W"], **states, "downsample_ratio": [1]}
    outputs = ["fgr", "pha", *(f"{state}o" for state in STATES), "ratio"]
    return _model(nodes, {"half": np.array([0.5], np.float32)}, inputs, outputs)


def _model(
    nodes: list[Any], constants: dict[str, np.ndarray], inputs: dict[str, list[Any]], outputs: list[str]
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "generated",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def u2netp_over(session: OnnxSession, *, long_side: int = 320) -> Matter:
    """A session used as the registry uses U²-Net-p, with a longer side of so many pixels."""
    return matter_for(
        NetSpec(input=house_input(fit="pad", long_side=long_side), output=HOUSE_OUTPUT), session, name="u2netp"
    )


def sam2_encoder() -> bytes:
    """SAM 2's form: the picture's mean over channels, pooled to the sides of the three features."""
    nodes = [helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1)]
    sides = {"high_res_feats_0": 256, "high_res_feats_1": 128, "image_embed": 64}
    for name, side in sides.items():
        step = 1024 // side
        nodes.append(helper.make_node("AveragePool", ["mean"], [name], kernel_shape=[step, step], strides=[step, step]))
    return _model(nodes, {}, {"image": [1, 3, 1024, 1024]}, list(sides))


def sam2_decoder() -> bytes:
    """SAM 2's form. The first mask is what is bright, the second what is dark, the third nothing; what it thinks of
    them is the mean x of points to keep less that of points to drop: of the first, 1 less that: of the second."""
    constants = {
        "steep": np.array(50, np.float32),
        "one": np.array(1, np.float32),
        "half": np.array(0.5, np.float32),
        "side": np.array(1024, np.float32),
        "x": np.array([0], np.int64),
        "never": np.full((1, 1, 256, 256), -9, np.float32),
        "low": np.full((1, 1), -9, np.float32),
    }
    nodes = [
        helper.make_node("Mul", ["high_res_feats_0", "steep"], ["bright"]),
        helper.make_node("Neg", ["bright"], ["dark"]),
        helper.make_node("Concat", ["bright", "dark", "never"], ["masks"], axis=1),
        helper.make_node("Gather", ["point_coords", "x"], ["xs_deep"], axis=2),
        helper.make_node("Div", ["xs_deep", "side"], ["xs_shares"]),
        helper.make_node("ReduceMean", ["xs_shares"], ["xs_flat"], axes=[2], keepdims=0),
        helper.make_node("Sub", ["point_labels", "half"], ["signs"]),
        helper.make_node("Mul", ["xs_flat", "signs"], ["signed"]),
        helper.make_node("ReduceSum", ["signed"], ["first_half"], keepdims=1),
        helper.make_node("Add", ["first_half", "first_half"], ["first"]),
        helper.make_node("Sub", ["one", "first"], ["second"]),
        helper.make_node("Concat", ["first", "second", "low"], ["iou_predictions"], axis=1),
        helper.make_node("Identity", ["image_embed"], ["unused_0"]),
        helper.make_node("Identity", ["high_res_feats_1"], ["unused_1"]),
        helper.make_node("Identity", ["mask_input"], ["unused_2"]),
        helper.make_node("Identity", ["has_mask_input"], ["unused_3"]),
    ]
    inputs = {
        "image_embed": [1, 1, 64, 64],
        "high_res_feats_0": [1, 1, 256, 256],
        "high_res_feats_1": [1, 1, 128, 128],
        "point_coords": [1, "N", 2],
        "point_labels": [1, "N"],
        "mask_input": [1, 1, 256, 256],
        "has_mask_input": [1],
    }
    unused = [f"unused_{number}" for number in range(4)]
    return _model(nodes, constants, inputs, ["masks", "iou_predictions", *unused])
