"""The result as a picture: frame rates with their spread, and where the time of a frame goes."""

from __future__ import annotations

from typing import Any

from rtmatte.runs.bench.drawing import Drawing, Line, Rectangle, Text
from rtmatte.runs.bench.words import label_of, machine_line, source_line

_WIDTH, _LEFT, _RIGHT = 1040, 260, 90
_ROW, _BAR = 34, 18
_INK, _SOFT, _GRID = "#222222", "#666666", "#dddddd"
_BAR_COLOR = "#0072b2"
_STAGE_COLORS = {
    "decode": "#999999",
    "estimate": "#0072b2",
    "smooth": "#56b4e9",
    "refine": "#009e73",
    "composite": "#e69f00",
    "compose": "#e69f00",
    "encode": "#d55e00",
    "send": "#d55e00",
}
"""Okabe and Ito's palette: told apart with any kind of colour vision."""


def plot(result: dict[str, Any]) -> Drawing:
    """A drawing of a result as it is kept (`BenchResult.as_dict`)."""
    drawing = Drawing(_WIDTH)
    measured = [case for case in result["cases"] if case["rounds"]]
    text = drawing.shapes.append
    text(Text(24, 38, "rtmatte bench", 22))
    text(Text(24, 62, machine_line(result["machine"]), 13, color=_SOFT))
    text(Text(24, 82, source_line(result), 13, color=_SOFT))
    y = _rates(drawing, measured, 124)
    y = _work(drawing, measured, y + 30)
    y = _missing(drawing, [case for case in result["cases"] if not case["rounds"]], y)
    for note in result["notes"]:
        text(Text(24, y, note, 12, color=_SOFT))
        y += 18
    drawing.height = round(y + 10)
    return drawing


def _rates(drawing: Drawing, cases: list[dict[str, Any]], y: float) -> float:
    """Bars of frames a second; a line from the slowest to the fastest round. Where the next thing begins."""
    drawing.shapes.append(Text(24, y, "Frames a second (median of the rounds; the line spans all rounds)", 15))
    y += 14
    scale = _axis(drawing, y, len(cases), max((case["fps"]["max"] for case in cases), default=1.0), "")
    for case in cases:
        fps, middle = case["fps"], y + _ROW / 2
        drawing.shapes += [
            Text(_LEFT - 10, middle + 5, label_of(case), anchor="end"),
            Rectangle(_LEFT, middle - _BAR / 2, fps["median"] * scale, _BAR, _BAR_COLOR),
            Line(_LEFT + fps["min"] * scale, middle, _LEFT + fps["max"] * scale, middle, _INK),
            *(Line(x, middle - 4, x, middle + 4, _INK) for x in (_LEFT + fps[end] * scale for end in ("min", "max"))),
            Text(_LEFT + fps["max"] * scale + 8, middle + 5, f"{fps['median']:.1f}"),
        ]
        y += _ROW
    return y + 24


def _work(drawing: Drawing, cases: list[dict[str, Any]], y: float) -> float:
    """Stacked bars of what each stage works for a frame."""
    stages = list(dict.fromkeys(stage for case in cases for stage in case["stages_ms"]))
    title = "Milliseconds of work a frame, mean (stages overlap: the sum can be more than the time between two frames)"
    drawing.shapes.append(Text(24, y, title, 15))
    x = float(_LEFT)
    y += 24
    for stage in stages:
        drawing.shapes += [Rectangle(x, y - 10, 12, 12, _STAGE_COLORS[stage]), Text(x + 17, y, stage)]
        x += 100
    y += 12
    totals = [sum(times["mean"] for times in case["stages_ms"].values()) for case in cases]
    scale = _axis(drawing, y, len(cases), max(totals, default=1.0), " ms")
    for case, total in zip(cases, totals, strict=True):
        middle, x = y + _ROW / 2, float(_LEFT)
        for stage, times in case["stages_ms"].items():
            width = times["mean"] * scale
            drawing.shapes.append(Rectangle(x, middle - _BAR / 2, width, _BAR, _STAGE_COLORS[stage]))
            x += width
        drawing.shapes += [
            Text(_LEFT - 10, middle + 5, label_of(case), anchor="end"),
            Text(x + 8, middle + 5, f"{total:.1f}"),
        ]
        y += _ROW
    return y + 40


def _axis(drawing: Drawing, y: float, rows: int, largest: float, unit: str) -> float:
    """Grid lines at round numbers with their labels below; pixels a unit."""
    scale = (_WIDTH - _LEFT - _RIGHT) / largest
    step = _round_step(largest)
    bottom = y + rows * _ROW
    for number in range(int(largest / step) + 1):
        x = _LEFT + number * step * scale
        drawing.shapes += [
            Line(x, y, x, bottom, _GRID),
            Text(x, bottom + 15, f"{number * step:g}{unit}", 11, "middle", _SOFT),
        ]
    return scale


def _round_step(largest: float) -> float:
    """1, 2 or 5 times a power of ten, so that there are four to ten of them."""
    step = 10.0**-6
    while largest / step > 10:
        for factor in (2, 2.5, 2):
            step *= factor
            if largest / step <= 10:
                break
    return step


def _missing(drawing: Drawing, cases: list[dict[str, Any]], y: float) -> float:
    for case in cases:
        drawing.shapes.append(Text(24, y, f"{label_of(case)}: {case['status']}, {case['reason']}"[:140], 12))
        y += 18
    return y
