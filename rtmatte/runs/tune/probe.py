"""Measures a candidate on this machine: the net, and what the live run does beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from rtmatte.frame import Frame
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.matting.net_spec import NetSpec, read_net_spec
from rtmatte.matting.precision import precision_of
from rtmatte.matting.registry import find_model
from rtmatte.matting.weights import read_verified
from rtmatte.runs.tune.decide import Measured
from rtmatte.runs.tune.stand_in import Beside, StandIn
from rtmatte.settings import LiveSettings

_WARM_UP_RUNS = 2
_LEAST_RUNS, _OWN_S, _CARRIED_S = 5, 0.35, 0.5
"""A candidate is measured so often at least, and so long, if the time suffices."""
_FEWEST_RUNS = 2
"""With fewer, nothing is said about it."""
_HOPELESS_INTERVALS = 2.0
"""A net that takes so many frame intervals is measured no longer than needed for that."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that can be measured; `input_wh` is what its net sees of the frames."""

    matter: Matter
    input_wh: tuple[int, int] | None
    precision: str


class Prober(Protocol):
    """What loads and measures; replaced in tests."""

    def load(self, model: str, threads: int) -> Loaded:
        """Raises: what `load_matter` raises."""
        ...

    def measure(self, loaded: Loaded, *, carried: bool, deadline: float) -> Measured | None:
        """Takes part of a second; ends at `deadline` (of the monotonic clock) at the latest, but for the net's last
        run. None: there was no time for two runs.

        Raises: whatever the model raises.
        """
        ...


class Probe:
    """On drawn frames of the run's size, with the run's own stages. Owned by one thread."""

    def __init__(self, settings: LiveSettings, size_wh: tuple[int, int], should_stop: Callable[[], bool]) -> None:
        self._settings = settings
        self._size_wh = size_wh
        self._should_stop = should_stop
        self._stand_in = StandIn(settings, size_wh)

    def load(self, model: str, threads: int) -> Loaded:
        settings = self._settings
        matter = load_matter(model, model_spec=settings.model_spec, device=settings.device, threads=threads)
        # Of the registry's models one may be another one on this device.
        net, data = net_of(settings, model if _is_own(settings, model) else matter.name)
        input_wh = None
        if net.family == "image":
            _, (height, width) = net.input.shapes(self._size_wh, Fraction(1))
            input_wh = width, height
        return Loaded(matter, input_wh, precision_of(data))

    def measure(self, loaded: Loaded, *, carried: bool, deadline: float) -> Measured | None:
        frame = self._stand_in.framed(self._stand_in.captured())
        for _ in range(_WARM_UP_RUNS):
            if time.monotonic() >= deadline or self._should_stop():
                return None
            shape_hw = loaded.matter.estimate(frame).shape
        if carried:
            return self._carried(loaded.matter, frame, shape_hw, deadline)
        self._stand_in.done(frame)
        return self._own(loaded.matter, deadline)

    def _own(self, matter: Matter, deadline: float) -> Measured | None:
        """One thread does everything, as the live run's composer does."""
        estimates: list[float] = []
        frames: list[float] = []
        used = time.process_time()
        end = time.monotonic() + _OWN_S
        while self._goes_on(estimates, end, deadline) and not self._hopeless(estimates):
            captured = self._stand_in.captured()
            begun = time.monotonic()
            estimates.append(self._stand_in.show_own(captured, matter))
            frames.append(time.monotonic() - begun)
        return _measured(estimates, frames, time.process_time() - used)

    def _carried(self, matter: Matter, frame: Frame, shape_hw: tuple[int, ...], deadline: float) -> Measured | None:
        """The net runs all the time; another thread carries its masks on and shows the frames."""
        estimates: list[float] = []
        used = time.process_time()
        end = time.monotonic() + _CARRIED_S
        with Beside(self._stand_in, shape_hw) as beside:
            while self._goes_on(estimates, end, deadline):
                begun = time.monotonic()
                matter.estimate(frame)
                estimates.append(time.monotonic() - begun)
        used = time.process_time() - used
        self._stand_in.done(frame)
        return _measured(estimates, beside.frame_seconds, used)

    def _hopeless(self, estimates: list[float]) -> bool:
        """Whether a few runs are enough to see that each frame can't have its own mask."""
        return len(estimates) >= _FEWEST_RUNS and min(estimates) > _HOPELESS_INTERVALS / self._stand_in.frame_rate

    def _goes_on(self, estimates: list[float], end: float, deadline: float) -> bool:
        now = time.monotonic()
        enough = len(estimates) >= _LEAST_RUNS and now >= end
        no_time = bool(estimates) and now + estimates[-1] > deadline
        return not (enough or no_time or now >= deadline or self._should_stop())


def _measured(estimates: list[float], frames: list[float], cpu_seconds: float) -> Measured | None:
    if min(len(estimates), len(frames)) < _FEWEST_RUNS:
        return None
    p50, p95 = np.percentile(estimates, (50, 95)) * 1e3
    return Measured(
        estimate_ms_p50=float(p50),
        estimate_ms_p95=float(p95),
        frame_ms=float(np.median(frames)) * 1e3,
        cpu_ms=cpu_seconds / len(frames) * 1e3,
    )


def net_of(settings: LiveSettings, model: str) -> tuple[NetSpec, bytes]:
    """What a model eats and gives, and its file's content.

    Raises: as `load_matter`, but for the runtime.
    """
    path = Path(model)
    if not _is_own(settings, model):
        row = find_model(model)
        return row.net, read_verified(row)
    return read_net_spec(settings.model_spec or path.with_suffix(".toml")), path.read_bytes()


def names_behind(settings: LiveSettings, model: str) -> tuple[str, ...]:
    """The model's name, or those of the models of which one takes its place, by device."""
    if _is_own(settings, model):
        return (model,)
    return tuple(row.name for row in find_model(model).by_device or (find_model(model),))


def _is_own(settings: LiveSettings, model: str) -> bool:
    """Whether it is a file of the user's, not one of the registry's names."""
    return settings.model_spec is not None or Path(model).suffix == ".onnx"
