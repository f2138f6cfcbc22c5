"""An old result beside a new one, case by case."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtmatte.errors import InputNotFoundError, UnreadableInputError
from rtmatte.runs.bench.conditions import warnings_of
from rtmatte.runs.bench.noise import Ratio, unpaired_ratio
from rtmatte.runs.bench.result import SCHEMA, SCHEMA_VERSION
from rtmatte.runs.bench.words import label_of

_RAN_ON = ("provider", "precision", "output", "decoder")
"""What `--devices auto`, a model's file, the encoder at hand and `--decoder` decide: the same case may have run on
another one."""
_MEANT_TO_DIFFER = "rtmatte"


@dataclass(frozen=True, slots=True)
class Difference:
    """One case in two results: frame rates and the inverse of median latencies (so that over 1 is faster in both).

    None where one of the results hasn't measured the case; `only_in` says which has ("new", "old", or "" for both).
    `changed` names what the case ran on that isn't the same in both: of "provider", "precision", "output", "decoder".
    """

    label: str
    only_in: str
    changed: tuple[str, ...]
    fps: Ratio | None
    latency: Ratio | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`differences` in the order of the new result; `warnings` are sentences about what else is different between the
    two, and about what made the old one's figures doubtful."""

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
    if found != (SCHEMA, SCHEMA_VERSION):
        raise UnreadableInputError(
            f"{path}: expected schema {SCHEMA}, version {SCHEMA_VERSION}, got {found[0]}, version {found[1]}.",
            hint="Measure again with this version of rtmatte.",
        )
    try:
        for case in result["cases"]:
            case.setdefault("decoder", "software")  # results from before there was a choice
        _rates_by_case(result)
        _warnings(result, result)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnreadableInputError(f"{path} is not a whole result: {type(error).__name__} {error}.") from error
    return dict(result)


def compare(new: dict[str, Any], old: dict[str, Any]) -> Comparison:
    """Two results as they are kept in files."""
    news, olds = _rates_by_case(new), _rates_by_case(old)
    new_cases, old_cases = _measured_by_label(new), _measured_by_label(old)
    differences = []
    for label in dict.fromkeys([*news, *olds]):
        if label in news and label in olds:
            changed = tuple(name for name in _RAN_ON if new_cases[label][name] != old_cases[label][name])
            fps, latency = (unpaired_ratio(a, b) for a, b in zip(news[label], olds[label], strict=True))
            differences.append(Difference(label, "", changed, fps, latency))
        else:
            differences.append(Difference(label, "new" if label in news else "old", (), None, None))
    return Comparison(tuple(differences), tuple(_warnings(new, old)))


def _measured_by_label(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {label_of(case): case for case in result["cases"] if case["rounds"]}


def _rates_by_case(result: dict[str, Any]) -> dict[str, tuple[list[float], list[float]]]:
    """(frames a second, 1 / median latency in seconds) of every round of every measured case."""
    found = {}
    for label, case in _measured_by_label(result).items():
        fps = [float(one["fps"]) for one in case["rounds"]]
        latency = [1e3 / float(one["latency_ms"]["p50"]) for one in case["rounds"]]
        if not all(0 < rate < math.inf for rate in fps + latency):
            raise ValueError(f"{label} has a rate that isn't positive")
        found[label] = fps, latency
    return found


def _warnings(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """What ran on something else, first; then the old result's own doubts; then machine, source and plan."""
    new_cases, old_cases = _measured_by_label(new), _measured_by_label(old)
    told = [
        f"{label}: {sentence}"
        for label, case in new_cases.items()
        if label in old_cases
        for sentence in _not_the_same(case, old_cases[label], _RAN_ON)
    ]
    doubts = [*warnings_of(old["conditions"]), *old["notes"]]
    told += [f"Before: {doubt}" for doubt in dict.fromkeys(doubts)]
    if new["conditions"]["governors"] and old["conditions"]["governors"]:  # both systems tell them
        told += _not_the_same(new["conditions"], old["conditions"], ("governors",))
    of_machines = dict.fromkeys(name for name in [*new["machine"], *old["machine"]] if name != _MEANT_TO_DIFFER)
    told += _not_the_same(new["machine"], old["machine"], of_machines)
    return told + _not_the_same(new, old, ("source", "background", "seconds_per_round"))


def _not_the_same(new: dict[str, Any], old: dict[str, Any], names: Iterable[str]) -> list[str]:
    return [
        f"Not the same {name}: {_told(old.get(name))} before, {_told(new.get(name))} now."
        for name in names
        if old.get(name) != new.get(name)
    ]


def _told(value: object) -> str:
    """As a person would write it."""
    if isinstance(value, dict):
        value = [part for part in value.values() if part]
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
