"""Builds rtmatte/weights/u2netp-int8.onnx out of the shipped u2netp.onnx. Same bytes every time, nothing is downloaded.

    python -m models.build_u2netp_int8
    python -m models.build_u2netp_int8 --calibrate FOLDER    # measures value ranges on clips and photographs

Input and output are those of u2netp.onnx. Weights have seven bits, one scale for each output channel; activations have
eight over the ranges in calibration/u2netp.json. Before it is rounded the graph is written in another way, the same
function (`rewriting.py`): the first convolution reads bytes, and the six heads, which make one channel each, are 1x1
convolutions to nine. Two places stay in float:

- the convolution at the end of the decoder's second stage, with what leads to it. One of its channels is 226 all over,
  whatever the picture; weights of up to 5.6, where the others have 0.1 at most, make it hundreds, and the bias takes
  them away again. Rounded to int8 these weights leave the others one step each, and alpha was off by 0.37 on average.
  Scaling channels (0.31 at best) doesn't help, since it is the products that are uneven.
- what becomes of the heads' nine channels: their sums, the logits, and alpha.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from models import int8, rewriting
from models.build_u2netp import METADATA, TARGET
from models.pictures import clip_pictures, real_pictures

NAME = "u2netp-int8"
SOURCE = TARGET
CALIBRATION = Path(__file__).resolve().parent / "calibration" / "u2netp.json"
KINDS = ("Conv", "Relu", "Add", "Resize", "Concat", "MaxPool")
LARGE_CONSTANT = "1685"
"""What the convolution behind the channel of 226 writes, after its ReLU; upstream's name, as all of them."""
HEADS = ("1856", "1857", "1877", "1897", "1917", "1937")
"""What the six heads write."""
TOLERANCE = 1e-2
"""Of the mean difference of alpha from u2netp.onnx, on each of four photographs."""


def leading_to_large_constant(graph: onnx.GraphProto, kinds: tuple[str, ...]) -> list[onnx.NodeProto]:
    """The node that writes `LARGE_CONSTANT` and those before it, in their order, of these kinds.

    Raises:
        ValueError: the graph has others there.
    """
    writer = {name: node for node in graph.node for name in node.output}
    found = [writer[LARGE_CONSTANT]]
    while len(found) < len(kinds):
        found.insert(0, writer[found[0].input[0]])
    got = [node.op_type for node in found]
    if got != list(kinds):
        raise ValueError(f"expected {', '.join(kinds)} before {LARGE_CONSTANT}, got {', '.join(got)}")
    return found


def in_float(model: onnx.ModelProto) -> list[str]:
    """The names of the nodes that aren't rounded."""
    found = leading_to_large_constant(model.graph, ("Resize", "Concat", "Conv", "Relu"))
    behind = {f"{head}_taps" for head in HEADS}
    for node in model.graph.node:
        if behind.intersection(node.input):
            behind.update(node.output)
            found.append(node)
    return [node.name for node in found]


def source() -> onnx.ModelProto:
    """The function of u2netp.onnx, written for int8, with a name on every node."""
    model = onnx.load_from_string(SOURCE.read_bytes())
    rewriting.bytes_first(model, "input_scale", "input_offset")
    rewriting.by_taps(model, HEADS)
    int8.name_nodes(model)
    return model


def calibrate(folder: Path) -> dict[str, Any]:
    """Value ranges over the clips in a folder and four photographs, to be written as JSON."""
    pictures: list[NDArray[np.uint8]] = [picture[None] for picture in clip_pictures(folder, (320, 256), each=2)]
    if not pictures:
        raise SystemExit(f"expected clips in {folder}, got none")
    pictures += [picture[None] for picture in real_pictures((320, 320))]
    return {"pictures": len(pictures), "ranges": int8.value_ranges(source(), pictures, KINDS)}


def quantised(model: onnx.ModelProto, calibration: dict[str, Any]) -> onnx.ModelProto:
    """The int8 graph."""
    ranges = {name: (low, high) for name, (low, high) in calibration["ranges"].items()}
    ranges[rewriting.PIXELS] = rewriting.range_of_pixels(model)
    result = int8.quantise(model, ranges, KINDS, in_float(model))
    rewriting.without_rounding_bytes(result)
    changes = METADATA["changes"].replace("weights unchanged", "int8, but for one convolution and the last sums")
    helper.set_model_props(result, {**METADATA, "name": NAME, "changes": changes})
    onnx.checker.check_model(result, full_check=True)
    return result


def differences(ours: bytes) -> list[float]:
    """Mean absolute difference of alpha from u2netp.onnx, for each of the photographs."""
    import onnxruntime

    whole, small = (
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]) for data in (SOURCE.read_bytes(), ours)
    )
    found = []
    for picture in real_pictures((320, 320)):
        (expected,), (got,) = (session.run(["alpha"], {"image": picture[None]}) for session in (whole, small))
        found.append(float(np.abs(expected - got).mean()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calibrate", type=Path, metavar="FOLDER", help="measure ranges on clips; no graph is written")
    parser.add_argument("--target", type=Path, default=TARGET.with_name(f"{NAME}.onnx"))
    arguments = parser.parse_args()
    if arguments.calibrate:
        CALIBRATION.write_text(json.dumps(calibrate(arguments.calibrate)) + "\n")
        return
    ours = quantised(source(), json.loads(CALIBRATION.read_text())).SerializeToString(deterministic=True)
    off = differences(ours)
    print(f"mean abs alpha difference on four photographs: {', '.join(f'{d:.1e}' for d in off)} (allowed {TOLERANCE})")
    if not max(off) <= TOLERANCE:
        raise SystemExit("the built graph is too far from u2netp.onnx; it was not written")
    arguments.target.write_bytes(ours)
    print(f"{arguments.target}: {len(ours)} bytes, sha256 {hashlib.sha256(ours).hexdigest()}")


if __name__ == "__main__":
    main()
