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
    memory,
    ran_on,
    ratio_line,
)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1250px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .5rem; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
td:first-child, th:first-child, td.text, th.text { text-align: left; }
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
        _end_to_end(measured),
        "<h2>Stages, milliseconds a frame (p50 / p95 / p99)</h2>",
        _stages(measured),
        "<ul>",
        *(f"<li>{escape(f'{label_of(case)}: {bound_line(case)}; on {ran_on(case)}')}</li>" for case in measured),
        "</ul>",
        *_missing([case for case in result["cases"] if not case["rounds"]]),
        *([_comparison(comparison)] if comparison is not None else []),
        *(f"<p>{escape(note)}</p>" for note in [gpu_note(result)] if note),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _end_to_end(cases: list[dict[str, Any]]) -> str:
    has_gpu = any(case["gpu"] for case in cases)
    heads = ["case", "fps", "lowest", "highest", "against first (99 % interval)", "latency p50", "p95", "p99 ms"]
    heads += ["first frame", "memory (over before)", *(["GPU memory (over before)"] if has_gpu else [])]
    rows = (
        (
            label_of(case),
            *(f"{case['fps'][which]:.1f}" for which in ("median", "min", "max")),
            ratio_line(case["ratio_to_first"]),
            *(f"{case['latency_ms'][which]:.1f}" for which in ("p50", "p95", "p99")),
            f"{case['first_frame_s']:.2f} s",
            memory(case),
            *([gpu_memory(case)] if has_gpu else []),
        )
        for case in cases
    )
    return _table(tuple(heads), rows)


def _missing(cases: list[dict[str, Any]]) -> list[str]:
    if not cases:
        return []
    rows = ((label_of(case), case["status"], case["reason"]) for case in cases)
    return ["<h2>Without figures</h2>", _table(("case", "", "why"), rows, text_from=1)]


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
                rows.append((one["label"], name, ratio_line(ratio) + changed_line(one)))
        if one["only_in"]:
            rows.append((one["label"], "", f"only in the {one['only_in']} result"))
    warnings = "".join(f"<p>{escape(warning)}</p>" for warning in comparison["warnings"])
    heads = ("case", "of", "new over old (99 % interval)")
    return f"<h2>Against the older result</h2>\n{_table(heads, rows, text_from=1)}\n{warnings}"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]], *, text_from: int | None = None) -> str:
    """The columns from `text_from` on are words, and the first one always is; others are numbers, to the right."""

    def line(tag: str, cells: tuple[str, ...]) -> str:
        kinds = [' class="text"' if text_from is not None and n >= text_from else "" for n in range(len(cells))]
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))

    body = "\n".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table>\n<tr>{line('th', heads)}</tr>\n{body}\n</table>"
