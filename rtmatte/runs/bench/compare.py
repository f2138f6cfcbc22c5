"""An old result beside a new one, case by case."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtmatte.errors import InputNotFoundError, UnreadableInputError
from rtmatte.runs.bench.noise import Ratio, unpaired_ratio
from rtmatte.runs.bench.words import label_of


@dataclass(frozen=True, slots=True)
class Difference:
    """One case in two results: frame rates and the inverse of median latencies (so that over 1 is faster in both).

    None where one of the results hasn't measured the case; `only_in` says which has ("new", "old", or "" for both).
    """

    label: str
    only_in: str
    fps: Ratio | None
    latency: Ratio | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`differences` in the order of the new result; `warnings` say what else is different between the two."""

    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read_result(path: Path) -> dict[str, Any]:
    """A result file that this version can compare with.

    Raises: `InputNotFoundError`; `UnreadableInputError` for anything but a result of this schema and version.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{path} does not exist: expected a result of rtmatte bench --json.") from error
    except (OSError, ValueError) as error:
        raise UnreadableInputError(f"{path} can't be read as JSON: {error}.") from error
    found = (result.get("schema"), result.get("schema_version")) if isinstance(result, dict) else (None, None)
    if found != ("rtmatte-bench", 1):
        raise UnreadableInputError(
            f"{path}: expected schema rtmatte-bench, version 1, got {found[0]}, version {found[1]}.",
            hint="Measure again with this version of rtmatte.",
        )
    try:
        _rates_by_case(result)
        _warnings(result, result)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnreadableInputError(f"{path} is not a whole result: {type(error).__name__} {error}.") from error
    return dict(result)


def compare(new: dict[str, Any], old: dict[str, Any]) -> Comparison:
    """Two results as they are kept in files."""
    news, olds = _rates_by_case(new), _rates_by_case(old)
    differences = []
    for label in dict.fromkeys([*news, *olds]):
        if label in news and label in olds:
            fps, latency = (unpaired_ratio(a, b) for a, b in zip(news[label], olds[label], strict=True))
            differences.append(Difference(label, "", fps, latency))
        else:
            differences.append(Difference(label, "new" if label in news else "old", None, None))
    return Comparison(tuple(differences), tuple(_warnings(new, old)))


def _rates_by_case(result: dict[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """(frames a second, 1 / median latency in seconds) of every round of every measured case."""
    found = {}
    for case in result["cases"]:
        if case["rounds"]:
            label = label_of(case)
            fps = [float(one["fps"]) for one in case["rounds"]]
            latency = [1e3 / float(one["latency_ms"]["p50"]) for one in case["rounds"]]
            if not all(0 < rate < math.inf for rate in fps + latency):
                raise ValueError(f"{label} has a rate that isn't positive")
            found[label] = fps, latency
    return found


def _warnings(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    told = [
        f"Not the same {name}: {old['machine'].get(name)} before, {new['machine'].get(name)} now."
        for name in ("processor", "cores", "gpus", "system", "python", "onnxruntime", "onnxruntime-gpu", "openvino")
        if old["machine"].get(name) != new["machine"].get(name)
    ]
    told += [
        f"Not the same {name}: {old.get(name)} before, {new.get(name)} now."
        for name in ("source", "background", "seconds_per_round")
        if old.get(name) != new.get(name)
    ]
    return told
