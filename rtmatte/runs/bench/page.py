"""The result as one page that needs nothing else: no scripts, no fonts, no pictures from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from rtmatte.runs.bench.plot import plot
from rtmatte.runs.bench.words import (
    bound_line,
    changed_line,
    gpu_memory,
    gpu_note,
    label_of,
    mebibytes,
    ran_on,
    spread_line,
)

_END_TO_END = (
    *("case", "fps", "lowest", "highest", "latency p50", "p95", "p99 ms"),
    *("first frame", "memory", "GPU memory"),
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
td:first-child, th:first-child { text-align: left; }
svg { width: 100%; height: auto; }
"""


def page(result: dict[str, Any], comparison: dict[str, Any] | None) -> str:
    """HTML of a result as it is kept, and of what came out against an older one."""
    measured = [case for case in result["cases"] if case["rounds"]]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>rtmatte bench</title>',
        f"<style>{_STYLE}</style></head><body>",
        plot(result).svg(),
        "<h2>End to end</h2>",
        _table(_END_TO_END, map(_end_to_end, measured)),
        "<h2>Stages, milliseconds a frame (p50 / p95 / p99)</h2>",
        _stages(measured),
        "<ul>",
        *(f"<li>{escape(f'{label_of(case)}: {bound_line(case)}; on {ran_on(case)}')}</li>" for case in measured),
        "</ul>",
        *([_comparison(comparison)] if comparison is not None else []),
        f"<p>{escape(gpu_note(result))}</p>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _end_to_end(case: dict[str, Any]) -> tuple[str, ...]:
    fps, latency = case["fps"], case["latency_ms"]
    return (
        label_of(case),
        *(f"{fps[which]:.1f}" for which in ("median", "min", "max")),
        *(f"{latency[which]:.1f}" for which in ("p50", "p95", "p99")),
        f"{case['first_frame_s']:.2f} s",
        mebibytes(case["peak_bytes"]),
        gpu_memory(case),
    )


def _stages(cases: list[dict[str, Any]]) -> str:
    stages = list(dict.fromkeys(stage for case in cases for stage in case["stages_ms"]))
    rows = (
        (
            label_of(case),
            *(
                " / ".join(f"{case['stages_ms'][stage][which]:.1f}" for which in ("p50", "p95", "p99"))
                for stage in stages
            ),
        )
        for case in cases
    )
    return _table(("case", *stages), rows)


def _comparison(comparison: dict[str, Any]) -> str:
    rows = []
    for one in comparison["differences"]:
        for name in ("fps", "latency"):
            ratio = one[name]
            if ratio is not None:
                spread = f"{ratio['ratio']:.3g} {spread_line(ratio)}"
                rows.append((one["label"], name, spread, ratio["verdict"] + changed_line(one)))
        if one["only_in"]:
            rows.append((one["label"], "", "", f"only in the {one['only_in']} result"))
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in comparison["warnings"])
    heads = ("case", "of", "new over old (99 % interval)", "verdict")
    return f"<h2>Against the older result</h2>\n{_table(heads, rows)}\n{warnings}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n{body}\n</table>"
