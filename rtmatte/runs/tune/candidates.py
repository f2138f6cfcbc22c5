"""What there is to choose from: a model, threads for it, and own or carried masks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rtmatte.matting.registry import find_model
from rtmatte.settings import LiveSettings, MovingSettings, WhenSlow

AUTO = LiveSettings.model
MODELS = (
    "selfie-multiclass",
    "people",
    "selfie-multiclass-fast",
    "selfie",
    "selfie-square",
)
"""Those that ship and know people. Their number formats and sizes are theirs: a model is a format at a size, `people`
the format that suits the device."""

WORK_MS = {
    "selfie-multiclass": 70.3,
    "people": 27.5,
    "selfie-multiclass-fast": 19.4,
    "selfie": 2.9,
    "selfie-square": 5.7,
}
"""Milliseconds of processor time for a 720p frame on one machine (AMD EPYC with VNNI).

They tell which net is how many times as much work as another.
"""

FALLBACK = MovingSettings.model
"""The model where nothing could be measured in the time there is."""

_MANY_CORES = 4
"""From here on half of the threads may be as fast, with nets as small as these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to matte: `carried` says that masks are carried by optical flow while the model works on the next one."""

    model: str
    threads: int
    carried: bool


def candidates(settings: LiveSettings, size_wh: tuple[int, int], threads: int) -> list[Candidate]:
    """All that the settings leave open for frames of `size_wh`, each once. `threads`: the most that a model may have.

    A model that the settings name is the only one. Half of the threads is tried too, unless the settings say how many:
    for own masks on many cores, for carried ones always, since other cores then do the rest meanwhile.

    Raises: `UnknownModelError`.
    """
    if settings.model != AUTO and settings.model_spec is None and Path(settings.model).suffix != ".onnx":
        find_model(settings.model)
    found = []
    for model in _models(size_wh) if settings.model == AUTO else [settings.model]:
        for carried in _ways(settings.when_slow):
            counts = [threads]
            if settings.threads is None and (carried or threads >= _MANY_CORES):
                counts.append(max(1, threads // 2))
            found += [Candidate(model=model, threads=count, carried=carried) for count in dict.fromkeys(counts)]
    return found


def _models(size_wh: tuple[int, int]) -> list[str]:
    """Without those that are, on frames of this shape, what another one is: the same file at the same size."""
    different: dict[object, str] = {}
    for model in MODELS:
        row = find_model(model)
        different.setdefault((row.file, row.net.input.shapes(size_wh, Fraction(1))), model)
    return list(different.values())


def _ways(when_slow: WhenSlow) -> tuple[bool, ...]:
    match when_slow:
        case "drop":
            return (False,)
        case "propagate":
            return (True,)
    return (False, True)
