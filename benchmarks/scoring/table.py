"""Scores as text: a table of one run, and what got better or worse between two."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from scoring.metrics import METRICS, Metric

_WORTH_TELLING = 0.01
"""A change of less than 1 % of the old value is told as none."""


def table(result: dict[str, Any]) -> str:
    """One line a clip and one for the mean; metrics that no clip has are left out. `result` is a run's JSON."""
    shown = [metric for metric in METRICS if result["mean"][metric.name] is not None]
    stages = list(result["mean"]["stage_ms"])
    width = max(len(name) for name in [*result["clips"], "mean"])
    heading = [f"{'':{width}}", *(metric.heading for metric in shown), *(f"{stage} ms" for stage in stages)]
    lines = ["  ".join(heading)]
    for name, clip in [*result["clips"].items(), ("mean", result["mean"])]:
        cells = [f"{_number(clip[metric.name], metric):>{len(metric.heading)}}" for metric in shown]
        cells += [f"{clip['stage_ms'][stage]:{len(stage) + 3}.1f}" for stage in stages]
        lines.append("  ".join([f"{name:{width}}", *cells]))
    return "\n".join(lines)


def comparison(old: dict[str, Any], new: dict[str, Any]) -> str:
    """For each metric the mean, old and new, and each clip that got better or worse by over 1 %."""
    common = [name for name in old["clips"] if name in new["clips"]]
    if not common:
        return "No clip is in both."
    lines = [f"{old['name']} -> {new['name']}, {len(common)} clips in both"]
    lines += [
        f"  note: {name} was judged on {old['clips'][name]['frames']} and {new['clips'][name]['frames']} frames"
        for name in common
        if old["clips"][name]["frames"] != new["clips"][name]["frames"]
    ]
    for metric in METRICS:
        # A result of an older day may lack a metric.
        pairs = {name: tuple(run["clips"][name].get(metric.name) for run in (old, new)) for name in common}
        known = {name: pair for name, pair in pairs.items() if None not in pair}
        if not known:
            continue
        means = [sum(pair[which] for pair in known.values()) / len(known) for which in (0, 1)]
        lines.append(f"{metric.heading:12}  mean {_change(means[0], means[1], metric)}")
        for name, (before, after) in known.items():
            if _verdict(before, after, metric) != "same":
                lines.append(f"{'':14}{name}: {_change(before, after, metric)}")
    return "\n".join(lines)


def read_result(path: Path) -> dict[str, Any]:
    """A result file, as `quality.py` writes it."""
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def _change(before: float, after: float, metric: Metric) -> str:
    return f"{_number(before, metric)} -> {_number(after, metric)}  {_verdict(before, after, metric)}"


def _verdict(before: float, after: float, metric: Metric) -> str:
    if abs(after - before) <= _WORTH_TELLING * abs(before):
        return "same"
    return "better" if (after < before) == (metric.better == "lower") else "WORSE"


def _number(value: float | None, metric: Metric) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{metric.decimals}f}"
