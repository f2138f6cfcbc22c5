"""A benchmark's result as tables for a terminal."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from rtmatte.runs.bench.words import (
    bound_line,
    changed_line,
    gpu_memory,
    gpu_note,
    label_of,
    machine_line,
    memory,
    ran_on,
    source_line,
    spread_line,
)

_LEAST_WIDTH = 120
_STAGE_WIDTH, _CASE_WIDTH = 14, 26
"""Columns of the table of stages, so that no figure is cut."""
_COLOR = {"faster": "green", "slower": "red"}


def print_tables(result: dict[str, Any], comparison: dict[str, Any] | None) -> None:
    """On stdout: machine, end to end, stages, what bounds each case, comparison, notes.

    In a file or a pipe lines are as long as they need to be, at least 120.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _LEAST_WIDTH)
    measured = [case for case in result["cases"] if case["rounds"]]
    console.print(machine_line(result["machine"]), markup=False)
    console.print(source_line(result), markup=False)
    if measured:
        console.print(_end_to_end(measured))
        abreast = max(1, (console.width - _STAGE_WIDTH) // _CASE_WIDTH)
        for first in range(0, len(measured), abreast):
            console.print(_stages(measured[first : first + abreast]))
    for case in measured:
        console.print(f"{label_of(case)}: {bound_line(case)}", markup=False)
        console.print(f"  on {ran_on(case)}", markup=False)
    for case in result["cases"]:
        if not case["rounds"]:
            console.print(f"{label_of(case)}: {case['status'].upper()}: {case['reason']}", markup=False)
    if comparison is not None:
        console.print(_comparison(comparison))
        for warning in comparison["warnings"]:
            console.print(f"note: {warning}", markup=False)
    for note in filter(None, [*result["notes"], gpu_note(result)]):
        console.print(f"note: {note}", markup=False)


def _end_to_end(cases: list[dict[str, Any]]) -> Table:
    has_gpu = any(case["gpu"] for case in cases)
    gpu_head = ["GPU memory\n(over before)"] if has_gpu else []
    table = Table(title="End to end", title_justify="left", title_style="bold")
    table.add_column("case")
    heads = ["fps", "rounds", "against first", "latency ms\np50/p95/p99", "first\nframe", "memory\n(over before)"]
    for head in [*heads, *gpu_head]:
        table.add_column(head, justify="right")
    for case in cases:
        fps, latency, ratio = case["fps"], case["latency_ms"], case["ratio_to_first"]
        table.add_row(
            label_of(case),
            f"{fps['median']:.1f}",
            f"{fps['min']:.1f} to {fps['max']:.1f}",
            "–" if ratio is None else _ratio(ratio),
            "/".join(f"{latency[which]:.0f}" for which in ("p50", "p95", "p99")),
            f"{case['first_frame_s']:.2f} s",
            memory(case),
            *([gpu_memory(case)] if has_gpu else []),
        )
    return table


def _stages(cases: list[dict[str, Any]]) -> Table:
    stages = list(dict.fromkeys(stage for case in cases for stage in case["stages_ms"]))
    table = Table(title="Stages: ms a frame, p50/p95/p99", title_justify="left", title_style="bold")
    table.add_column("stage")
    for case in cases:
        table.add_column(label_of(case), justify="right")
    for stage in stages:
        of_cases = (case["stages_ms"][stage] for case in cases)
        table.add_row(stage, *("/".join(_short(times[which]) for which in ("p50", "p95", "p99")) for times in of_cases))
    return table


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def _ratio(ratio: dict[str, Any]) -> str:
    """Two lines: the ratio with its verdict, and the interval that the verdict goes by, if there is one."""
    told = f"{ratio['ratio']:.3g}x, {ratio['verdict']}"
    color = _COLOR.get(ratio["verdict"])
    return f"{f'[{color}]{told}[/]' if color else told}\n{spread_line(ratio)}".rstrip()


def _comparison(comparison: dict[str, Any]) -> Table:
    table = Table(title="Against the older result", title_justify="left", title_style="bold")
    for head in ("case", "fps", "latency p50 (over 1: shorter)"):
        table.add_column(head)
    for one in comparison["differences"]:
        if one["only_in"]:
            table.add_row(one["label"], f"only in the {one['only_in']} result", "")
        else:
            table.add_row(one["label"] + changed_line(one), _ratio(one["fps"]), _ratio(one["latency"]))
    return table
