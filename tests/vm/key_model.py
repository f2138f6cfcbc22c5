"""A model that is right about the test pictures and takes no time: whatever has the room's colour is background."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_MORE_MAGENTA_THAN = 60.0
_OPSET = 18
_SPEC = """\
[input]
layout = "nhwc"
dtype = "uint8"
long_side = 320

[output]
layout = "nhw"
same_size = true
"""


def build_key_model(path: Path) -> None:
    """Writes an ONNX file and, beside it, the spec that `rtmatte --model FILE.onnx` reads: RGB bytes in, alpha out."""
    nodes = [
        helper.make_node("Cast", ["picture"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Split", ["values"], ["red", "green", "blue"], axis=3, num_outputs=3),
        helper.make_node("Min", ["red", "blue"], ["lesser"]),
        helper.make_node("Sub", ["lesser", "green"], ["magenta"]),
        helper.make_node("Less", ["magenta", "limit"], ["is_person"]),
        helper.make_node("Cast", ["is_person"], ["alpha_of_channel"], to=TensorProto.FLOAT),
        helper.make_node("Squeeze", ["alpha_of_channel", "channel_axis"], ["alpha"]),
    ]
    constants = [
        numpy_helper.from_array(np.float32(_MORE_MAGENTA_THAN), "limit"),
        numpy_helper.from_array(np.array([3], np.int64), "channel_axis"),
    ]
    graph = helper.make_graph(
        nodes,
        "key",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, ["n", "h", "w"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    path.with_suffix(".toml").write_text(_SPEC)
