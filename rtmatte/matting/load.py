"""From a model's name or file to something that mattes."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from rtmatte.errors import SettingsError, WeightsError
from rtmatte.matting.batch_size import BATCH_ON_A_DEVICE
from rtmatte.matting.batched import Batched
from rtmatte.matting.image_net import ImageNet
from rtmatte.matting.matter import Matter
from rtmatte.matting.mirrored import Mirrored
from rtmatte.matting.net_spec import NetSpec, read_net_spec
from rtmatte.matting.providers import Device
from rtmatte.matting.registry import find_model
from rtmatte.matting.rvm import Rvm
from rtmatte.matting.session import OnnxSession, default_threads
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.matting.still import SkipsStill
from rtmatte.matting.subject_box import SubjectBox
from rtmatte.matting.weights import read_verified

Focus: TypeAlias = Literal["whole", "near", "fast"]

_MOST_AT_ONCE = 4
"""A guess for machines with more than the two cores measured; each frame at once takes a net's memory again."""
_SHARES = {"near": 1.0, "fast": 0.5}
_STEP = 64
"""Between the sides of a net's pictures of a part, in pixels: few sizes, each of which is prepared once."""


def load_matter(
    name: str | Path = "u2netp",
    *,
    model_spec: str | Path | None = None,
    device: Device = "auto",
    threads: int | None = None,
    sample_aspect_ratio: Fraction = Fraction(1),
    focus: Focus = "whole",
    both_ways: bool = False,
    skip_still: bool = False,
    side_by_side: bool = False,
    batch: int | None = 1,
) -> Matter:
    """A model, its file verified, ready to run. Allocates; takes a few tenths of a second.

    `name` is one of the registry's, or the path of your own .onnx file; then `model_spec` is the TOML file that says
    what it eats and gives (docs in `rtmatte/matting/net_spec.py`), by default the one beside it: `net.onnx`,
    `net.toml`. `sample_aspect_ratio` is that of the frames to come (width / height of one pixel).
    `focus` "near" shows the net the part of the picture that holds everybody, at no more pixels than the whole would
    have, "fast" at half as many (`rtmatte/matting/subject_box.py`); a net whose picture has one size only, or that
    remembers, sees the whole all the same. With `both_ways` it sees each picture in a mirror as well, unless it
    remembers (`rtmatte/matting/mirrored.py`). With `skip_still` the model doesn't run on frames in which nothing has
    moved (`rtmatte/matting/still.py`). With `side_by_side` a net without memory that runs on the CPU gets no more than
    a part of the threads for one frame, and works on several (`rtmatte/matting/side_by_side.py`): more frames a second,
    each of them later. With a `batch` over 1 a net without memory whose graph allows it gets so many frames in one run
    and works on one run at a time (`rtmatte/matting/batched.py`); None: what suits the device that comes up.

    Raises:
        UnknownModelError: no such model.
        WeightsError: its file is missing, damaged or swapped, or not yet pulled.
        RuntimeNotInstalledError, RuntimeConflictError, ProviderUnavailableError: as `OnnxSession`.
        SettingsError: an argument or the spec out of range, or a spec that doesn't fit the graph.
    """
    path = Path(name)
    if model_spec is not None or path.suffix == ".onnx":
        net, label = read_net_spec(Path(model_spec or path.with_suffix(".toml"))), path.stem
        data, elsewhere = _own(path), None
    else:
        row = find_model(str(name))
        on_cores, elsewhere = row.by_device or (row, None)
        net, label, data = row.net, on_cores.name, read_verified(on_cores)
    all_threads = default_threads() if threads is None else threads
    at_once = max(1, min(all_threads, _MOST_AT_ONCE))
    apart = net.family == "image" and focus == "whole"  # frames can be answered without each other
    if not side_by_side or not apart or batch not in (None, 1) or device not in ("auto", "cpu"):
        at_once = 1
    # Twins share the session's threads, of which each caller is one. Other providers give all of them to one frame.
    session = OnnxSession(
        data,
        elsewhere=None if elsewhere is None else partial(read_verified, elsewhere),
        device=device,
        threads=all_threads,
        cpu_threads=all_threads - at_once + 1,
    )
    if elsewhere is not None and not session.on_cores:
        label = elsewhere.name
    if at_once > 1 and session.on_cpu:
        twins = [session, *(session.twin() for _ in range(at_once - 1))]
        each = (matter_for(net, one, name=label, sample_aspect_ratio=sample_aspect_ratio) for one in twins)
        matters = [Mirrored(one) if both_ways else one for one in each]
        return SideBySide(matters, skip_still=skip_still, threads=all_threads)
    if batch is None:
        batch = 1 if session.on_cores else BATCH_ON_A_DEVICE
    if batch > 1 and apart and session.takes_batches:
        image_net = ImageNet(session, net, name=label, sample_aspect_ratio=sample_aspect_ratio)
        return Batched(Mirrored(image_net) if both_ways else image_net, batch, skip_still=skip_still)
    matter = matter_for(net, session, name=label, sample_aspect_ratio=sample_aspect_ratio)
    both_ways = both_ways and net.family == "image"
    if both_ways:
        matter = Mirrored(matter)
    if focus != "whole":
        matter = _focused(matter, net, session, sample_aspect_ratio, _SHARES[focus], both_ways)
    return SkipsStill(matter) if skip_still else matter


def matter_for(net: NetSpec, session: OnnxSession, *, name: str, sample_aspect_ratio: Fraction = Fraction(1)) -> Matter:
    """The class of the spec's family over a session.

    Raises:
        SettingsError: the spec doesn't fit the graph, or the ratio isn't positive.
    """
    if net.family == "prompted":
        raise SettingsError(
            f"{name} cuts out what is clicked in a still: expected another model here.",
            hint=f"In clips it tells who was clicked: --keep X,Y --click-model {name}, with a model that finds people.",
        )
    if net.family == "recurrent":
        return Rvm(session, name=name, sample_aspect_ratio=sample_aspect_ratio)
    return ImageNet(session, net, name=name, sample_aspect_ratio=sample_aspect_ratio)


def _focused(
    matter: Matter, net: NetSpec, session: OnnxSession, sample_aspect_ratio: Fraction, share: float, both_ways: bool
) -> Matter:
    eats = net.input
    if net.family != "image" or eats.size_wh is not None or not net.output.same_size:
        return matter
    step = math.lcm(eats.multiple, _STEP)
    sides = [side for side in range(step, eats.long_side + 1, step) if 2 * side >= eats.long_side]

    def near(size_wh: tuple[int, int]) -> Matter:
        stretched = replace(net, input=replace(eats, fit="stretch", size_wh=size_wh))
        part: Matter = matter_for(stretched, session, name=matter.name)
        return Mirrored(part) if both_ways else part

    return SubjectBox(matter, near, sides, share=share, sample_aspect_ratio=sample_aspect_ratio)


def _own(path: Path) -> bytes:
    if path.suffix != ".onnx":
        raise SettingsError(f"expected the path of an .onnx file with a model spec, got {path}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"the model can't be read: expected {path}, got {error}") from error
