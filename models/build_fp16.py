"""Builds the float16 variants in rtmatte/weights out of the shipped graphs. Same bytes every time, no download.

    python -m models.build_fp16
    python -m models.build_fp16 --rounded FOLDER     # what benchmarks/quality.py can judge without a GPU

Input and output are the source's: bytes in, float32 alpha out. In between weights and arithmetic are float16, which a
GPU computes in its fast units. What stays in float32:

- in all of them the scaling of the input, which is rounded to float16 once, at its end, and what turns the last
  features into alpha, so that alpha itself has no steps;
- in u2netp the convolution that `build_u2netp_int8` leaves in float, with what leads to it from the one that makes its
  channel of 226: there float16 has steps of 1/8, and weights of up to 5.6 multiply them. On the first two photographs
  (largest and mean difference of alpha, roundings as on a GPU): all in float16 1.2e-1 and 4.6e-3; with the one
  convolution in float32 1.1e-1 and 2.4e-3; with all six nodes 8.5e-3 and 2.6e-4, for 46 kB more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx

from models.build_u2netp import TARGET
from models.build_u2netp_int8 import leading_to_large_constant
from models.half import as_on_a_gpu, halved
from models.pictures import real_pictures
from rtmatte.matting.net_spec import NetSpec
from rtmatte.matting.registry import find_model

TOLERANCE = 2e-3
"""Of the mean difference of alpha from the source, on each of four photographs, rounded as on a GPU. Where an edge is
steep single pixels differ by more."""
WEIGHTS = TARGET.parent
_WEIGHTS_AS_THEY_ARE = re.compile("weights unchanged|rounded weights")
_AROUND = ("Conv", "Relu", "Resize", "Concat", "Conv", "Relu")
"""From the convolution that makes the channel of 226 to the one that takes it away again."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one graph becomes float16.

    `first`: what the network's first convolution reads, the scaled picture. `end`: the operators at the end that stay
    in float32. `others`: what else does, by what is written; in words, `spared`. `size_wh`: of pictures to compare on.
    """

    source: str
    first: str
    end: tuple[str, ...]
    spared: str
    size_wh: tuple[int, int]
    others: Callable[[onnx.GraphProto], set[str]] = lambda _: set()

    @property
    def name(self) -> str:
        return f"{self.source}-fp16"

    def read(self) -> onnx.ModelProto:
        return onnx.load_from_string((WEIGHTS / f"{self.source}.onnx").read_bytes())

    def build(self, source: onnx.ModelProto) -> onnx.ModelProto:
        """The float16 graph.

        Raises:
            ValueError: the graph hasn't the form that this recipe knows.
        """
        facts = {prop.key: prop.value for prop in source.metadata_props}
        changes = _WEIGHTS_AS_THEY_ARE.sub(f"float16, but for {self.spared}", facts["changes"])
        singles = self.others(source.graph) | self._end(source.graph)
        return halved(source, self.name, self.first, singles, {**facts, "name": self.name, "changes": changes})

    def _end(self, graph: onnx.GraphProto) -> set[str]:
        last = list(graph.node[-len(self.end) :])
        kinds = tuple(node.op_type for node in last)
        if kinds != self.end or not any(self.first in node.output for node in graph.node):
            raise ValueError(f"expected {self.first} and, at the end, {', '.join(self.end)}, got {', '.join(kinds)}")
        return {node.output[0] for node in last}


def around_large_constant(graph: onnx.GraphProto) -> set[str]:
    """What the six nodes around U²-Net-p's channel of 226 write. Raises: as `leading_to_large_constant`."""
    return {node.output[0] for node in leading_to_large_constant(graph, _AROUND)}


_U2NETP_END = ("Conv", "Sigmoid", "Squeeze")
_SELFIE_END = ("ConvTranspose", "Sigmoid", "Squeeze")
_CLASSES_END = ("ConvTranspose", "Exp", "Gather", "ReduceSum", "Div", "Mul", "Add", "Clip")
RECIPES = {
    recipe.source: recipe
    for recipe in (
        Recipe("u2netp", "input.1", _U2NETP_END, "one convolution", (320, 320), around_large_constant),
        Recipe("selfie", "t0", _SELFIE_END, "its end", (256, 144)),
        Recipe("selfie-square", "t0", _SELFIE_END, "its end", (256, 256)),
        Recipe("selfie-multiclass", "t0", _CLASSES_END, "its end", (256, 192)),
    )
}


def differences(recipe: Recipe, built: onnx.ModelProto) -> list[tuple[float, float]]:
    """Largest and mean absolute difference of alpha from the source with a GPU's roundings, for each photograph."""
    import onnxruntime

    exact = onnxruntime.SessionOptions()
    exact.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    whole, half = (
        onnxruntime.InferenceSession(model.SerializeToString(), exact, ["CPUExecutionProvider"])
        for model in (recipe.read(), as_on_a_gpu(built))
    )
    found = []
    for picture in real_pictures(recipe.size_wh):
        (expected,), (got,) = (session.run(["alpha"], {"image": picture[None]}) for session in (whole, half))
        off = np.abs(expected - got)
        found.append((float(off.max()), float(off.mean())))
    return found


def _as_toml(net: NetSpec) -> str:
    """A model spec as `rtmatte.matting.net_spec` reads it; JSON's values are TOML's here."""
    lines = []
    for table in ("input", "output"):
        values = asdict(getattr(net, table))
        lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None)]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", type=Path, default=WEIGHTS, help="the folder for the results")
    parser.add_argument("--rounded", type=Path, help="a folder for float32 graphs that round as a GPU; nothing else")
    arguments = parser.parse_args()
    for recipe in RECIPES.values():
        built = recipe.build(recipe.read())
        if arguments.rounded:
            arguments.rounded.mkdir(parents=True, exist_ok=True)
            target = arguments.rounded / f"{recipe.name}.onnx"
            target.write_bytes(as_on_a_gpu(built).SerializeToString())
            target.with_suffix(".toml").write_text(_as_toml(find_model(recipe.source).net))
            continue
        off = differences(recipe, built)
        listed = ", ".join(f"{largest:.1e} ({mean:.1e})" for largest, mean in off)
        print(f"{recipe.name}: largest (mean) alpha difference on four photographs {listed}; allowed ({TOLERANCE})")
        if not max(mean for _, mean in off) <= TOLERANCE:
            raise SystemExit("the built graph is too far from its source; it was not written")
        ours = built.SerializeToString(deterministic=True)
        target = arguments.target / f"{recipe.name}.onnx"
        target.write_bytes(ours)
        print(f"{target}: {len(ours)} bytes, sha256 {hashlib.sha256(ours).hexdigest()}")


if __name__ == "__main__":
    main()
