"""The figures of `scaling.py` as a picture: points as measured, and the straight line through them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rtmatte.runs.bench.drawing import Drawing, Line, Rectangle, Text

_WIDTH, _LEFT, _PLOT_W, _PLOT_H, _ROW = 1040, 90, 400, 210, 300
_SECOND = _LEFT + _PLOT_W + 110
_LABEL_W = 34
_INK, _SOFT, _GRID = "#222222", "#666666", "#dddddd"
_COLORS, _LABELS_Y = ("#0072b2", "#d55e00"), (-9, 17)


def write_plot(result: dict[str, Any], path: Path) -> None:
    """Length above, size below; whichever there is."""
    drawing = Drawing(_WIDTH)
    drawing.shapes += [
        Text(24, 38, "Cost of a file: longer, larger", 22),
        Text(24, 60, "Blue: by the clock. Orange: of all cores together. Lines: least squares.", 13, color=_SOFT),
    ]
    y = 100.0
    for part, unit, key, costs, title in (
        ("length", "minutes of clip", "minutes", ("seconds", "cpu_seconds"), "Seconds"),
        ("size", "megapixels", "megapixels", ("ms_per_frame", "cpu_ms_per_frame"), "Milliseconds a frame"),
    ):
        if part not in result:
            continue
        points = result[part]["points"]
        x = [point[key] for point in points]
        _panel(drawing, _LEFT, y, title, unit, x, [[point[cost] for point in points] for cost in costs])
        _panel(drawing, _SECOND, y, "Peak memory, MB", unit, x, [[point["peak_mb"] for point in points]])
        y += _ROW
    drawing.height = round(y)
    drawing.write_png(path)


def _panel(
    drawing: Drawing, left: float, top: float, title: str, unit: str, x: list[float], series: list[list[float]]
) -> None:
    """One diagram from 0 on both axes, with the line of least squares through each series."""
    step = _round_step(1.1 * max(map(max, series)))
    most_x, most_y = max(x) * 1.05, 4 * step
    bottom = top + _PLOT_H

    def place(value_x: float, value_y: float) -> tuple[float, float]:
        return left + value_x / most_x * _PLOT_W, bottom - value_y / most_y * _PLOT_H

    drawing.shapes.append(Text(left, top - 10, title, 15))
    for number in range(5):
        _, level = place(0, number * step)
        drawing.shapes += [
            Line(left, level, left + _PLOT_W, level, _GRID),
            Text(left - 8, level + 4, f"{number * step:g}", 11, "end", _SOFT),
        ]
    for y, color, label_y in zip(series, _COLORS, _LABELS_Y, strict=False):
        slope, offset = np.polyfit(x, y, 1)
        begin = max(0.0, -offset / slope) if slope > 0 else 0.0
        ends = (place(at, float(slope * at + offset)) for at in (begin, most_x))
        drawing.shapes.append(Line(*next(ends), *next(ends), color))
        free_from = left
        for across, up, value in ((*place(*point), point[1]) for point in zip(x, y, strict=True)):
            drawing.shapes.append(Rectangle(across - 3, up - 3, 6, 6, color))
            if across > free_from:
                text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
                drawing.shapes.append(Text(across, up + label_y, text, 11, "middle", color))
                free_from = across + _LABEL_W
    drawing.shapes += [
        Line(left, bottom, left + _PLOT_W, bottom, _INK),
        *(Text(place(at, 0)[0], bottom + 16, f"{at:.3g}", 11, "middle", _SOFT) for at in x if at >= most_x / 20),
        Text(left + _PLOT_W / 2, bottom + 34, unit, 12, "middle", _SOFT),
    ]


def _round_step(most: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, four of which reach that far."""
    power = 10.0 ** np.floor(np.log10(most / 4))
    return float(next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= most / 4))
