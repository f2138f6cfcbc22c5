"""The result as a picture: frame rates with their spread, and where the time of a frame goes."""

from __future__ import annotations

from typing import Any

from rtmatte.runs.bench.drawing import Drawing, Line, Rectangle, Text, text_width, wrapped
from rtmatte.runs.bench.words import label_of, machine_line, source_line

_EDGE, _RIGHT, _GAP = 24, 90, 10
_BARS = 690
"""Pixels of the longest bar; names of cases stand to the left of it, in as much space as they need."""
_ROW, _BAR, _LINE = 34, 18, 20
_LABEL_SIZE = 13
_INK, _SOFT, _GRID = "#222222", "#666666", "#dddddd"
_BAR_COLOR = "#0072b2"
_STAGE_COLORS = {
    "decode": "#999999",
    "framing": "#cc79a7",
    "resize": "#f0e442",
    "estimate": "#0072b2",
    "smooth": "#56b4e9",
    "refine": "#009e73",
    "composite": "#e69f00",
    "encode": "#d55e00",
    "send": "#d55e00",
}
"""Okabe and Ito's palette: told apart with any kind of colour vision."""


def plot(result: dict[str, Any]) -> Drawing:
    """A drawing of a result as it is kept (`BenchResult.as_dict`)."""
    measured = [case for case in result["cases"] if case["rounds"]]
    longest = max((text_width(label_of(case), _LABEL_SIZE) for case in measured), default=0.0)
    left = round(_EDGE + longest + _GAP)
    drawing = Drawing(left + _BARS + _RIGHT)
    drawing.shapes.append(Text(_EDGE, 38, "rtmatte bench", 22))
    y = _paragraph(drawing, machine_line(result["machine"]), 62, 13, _SOFT)
    y = _paragraph(drawing, source_line(result), y, 13, _SOFT)
    y = _rates(drawing, measured, left, y + 22)
    y = _work(drawing, measured, left, y + 30)
    for case in result["cases"]:
        if not case["rounds"]:
            y = _paragraph(drawing, f"{label_of(case)}: {case['status']}, {case['reason']}", y, 12, _INK)
    for note in result["notes"]:
        y = _paragraph(drawing, note, y, 12, _SOFT)
    drawing.height = round(y + _GAP)
    return drawing


def _paragraph(drawing: Drawing, text: str, y: float, size: int, color: str) -> float:
    """As many lines as it needs, the first one at `y`. Where the next thing begins."""
    for line in wrapped(text, size, drawing.width - 2 * _EDGE):
        drawing.shapes.append(Text(_EDGE, y, line, size, color=color))
        y += _LINE
    return y


def _rates(drawing: Drawing, cases: list[dict[str, Any]], left: int, y: float) -> float:
    """Bars of frames a second; a line from the slowest to the fastest round. Where the next thing begins."""
    y = _paragraph(drawing, "Frames a second (median of the rounds; the line spans all rounds)", y, 15, _INK) - 6
    scale = _axis(drawing, left, y, len(cases), max((case["fps"]["max"] for case in cases), default=1.0), "")
    for case in cases:
        fps, middle = case["fps"], y + _ROW / 2
        drawing.shapes += [
            Text(left - _GAP, middle + 5, label_of(case), _LABEL_SIZE, "end"),
            Rectangle(left, middle - _BAR / 2, fps["median"] * scale, _BAR, _BAR_COLOR),
            Line(left + fps["min"] * scale, middle, left + fps["max"] * scale, middle, _INK),
            *(Line(x, middle - 4, x, middle + 4, _INK) for x in (left + fps[end] * scale for end in ("min", "max"))),
            Text(left + fps["max"] * scale + 8, middle + 5, f"{fps['median']:.1f}"),
        ]
        y += _ROW
    return y + 24


def _work(drawing: Drawing, cases: list[dict[str, Any]], left: int, y: float) -> float:
    """Stacked bars of what each stage works for a frame."""
    stages = list(dict.fromkeys(stage for case in cases for stage in case["stages_ms"]))
    title = "Milliseconds of work a frame, mean (stages overlap: the sum can be more than the time between two frames)"
    y = _paragraph(drawing, title, y, 15, _INK) + 4
    x = float(left)
    for stage in stages:
        drawing.shapes += [
            Rectangle(x, y - 10, 12, 12, _STAGE_COLORS[stage]),
            Text(x + 17, y, stage, _LABEL_SIZE),
        ]
        x += 17 + text_width(stage, _LABEL_SIZE) + _GAP
    y += 12
    totals = [sum(times["mean"] for times in case["stages_ms"].values()) for case in cases]
    scale = _axis(drawing, left, y, len(cases), max(totals, default=1.0), " ms")
    for case, total in zip(cases, totals, strict=True):
        middle, x = y + _ROW / 2, float(left)
        for stage, times in case["stages_ms"].items():
            width = times["mean"] * scale
            drawing.shapes.append(Rectangle(x, middle - _BAR / 2, width, _BAR, _STAGE_COLORS[stage]))
            x += width
        drawing.shapes += [
            Text(left - _GAP, middle + 5, label_of(case), _LABEL_SIZE, "end"),
            Text(x + 8, middle + 5, f"{total:.1f}"),
        ]
        y += _ROW
    return y + 40


def _axis(drawing: Drawing, left: int, y: float, rows: int, largest: float, unit: str) -> float:
    """Grid lines at round numbers with their labels below; pixels a unit."""
    scale = _BARS / largest
    step = _round_step(largest)
    bottom = y + rows * _ROW
    for number in range(int(largest / step) + 1):
        x = left + number * step * scale
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
