"""The files that a benchmark leaves: JSON, CSV, and a plot as PNG or as a page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from rtmatte.errors import OutputWriteError, UnsupportedOutputError
from rtmatte.output.staging import StagedFile
from rtmatte.runs.bench.page import page
from rtmatte.runs.bench.plot import plot

PLOT_SUFFIXES = (".png", ".html")
_MIB = 2**20
_AS_THEY_ARE = ("device", "threads", "batch", "status", "reason", "net", "provider", "precision", "output", "decoder")
"""Of a case, in a line of CSV."""


class ResultFiles:
    """Opened before anything is measured, so that a file that can't be written is told at once; None: not wanted.

    Raises: `OutputExistsError` unless `overwrite`, `OutputWriteError`, `UnsupportedOutputError` for a plot that is
    neither .png nor .html.
    """

    def __init__(self, *, json_to: Path | None, csv_to: Path | None, plot_to: Path | None, overwrite: bool) -> None:
        if plot_to is not None and plot_to.suffix.lower() not in PLOT_SUFFIXES:
            raise UnsupportedOutputError(f"--plot: expected a file name with .png or .html, got {plot_to.name!r}.")
        self._files: list[tuple[StagedFile, Callable[[Path, dict[str, Any], dict[str, Any] | None], None]]] = []
        draw = _write_png if plot_to is not None and plot_to.suffix.lower() == ".png" else _write_page
        try:
            for target, write in ((json_to, _write_json), (csv_to, _write_csv), (plot_to, draw)):
                if target is not None:
                    self._files.append((StagedFile(target, overwrite=overwrite), write))
        except BaseException:
            self._discard()
            raise

    def write(self, result: dict[str, Any], comparison: dict[str, Any] | None) -> None:
        """Writes all of them; each appears when it is complete.

        Raises: `OutputExistsError`, `OutputWriteError`.
        """
        for file, write in self._files:
            try:
                write(file.path, result, comparison)
            except OSError as error:
                raise OutputWriteError(f"Cannot write {file.target}: {error.strerror or error}.") from error
            file.publish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()

    def _discard(self) -> None:
        for file, _ in self._files:
            file.discard()


def with_comparison(result: dict[str, Any], comparison: dict[str, Any] | None) -> dict[str, Any]:
    """The result with what came out against an older one, if there is one."""
    return result if comparison is None else {**result, "comparison": comparison}


def _write_json(path: Path, result: dict[str, Any], comparison: dict[str, Any] | None) -> None:
    path.write_text(json.dumps(with_comparison(result, comparison), indent=2) + "\n", encoding="utf-8")


def _write_csv(path: Path, result: dict[str, Any], _comparison: dict[str, Any] | None) -> None:
    rows = [_csv_row(case) for case in result["cases"]]
    heads = list(dict.fromkeys(head for row in rows for head in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, heads, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def _csv_row(case: dict[str, Any]) -> dict[str, Any]:
    width, height = case["size_wh"] or ("", "")
    row = {
        "model": case["model"],
        "width": width,
        "height": height,
        **{name: case[name] for name in _AS_THEY_ARE},
        "rounds": len(case["rounds"]),
    }
    if not case["rounds"]:
        return row
    ratio = case["ratio_to_first"] or {"ratio": "", "verdict": ""}
    row |= {f"fps_{which}": value for which, value in case["fps"].items()}
    row |= {"ratio_to_first": ratio["ratio"], "verdict_to_first": ratio["verdict"]}
    row |= {f"latency_{which}_ms": value for which, value in case["latency_ms"].items()}
    row |= {"first_frame_s": case["first_frame_s"]}
    row |= {"bound_by": case["bound"]["by"], "bound_share": case["bound"]["share"]}
    row |= {"peak_mib": _mebibytes(case["peak_bytes"]), "added_mib": _mebibytes(case["added_bytes"])}
    for name, value in (case["gpu"] or {}).items():
        if name.endswith("_bytes"):
            row[f"gpu_{name.removesuffix('_bytes')}_mib"] = _mebibytes(value)
        else:
            row[f"gpu_{name}"] = "; ".join(value) if isinstance(value, list) else value
    for stage, times in case["stages_ms"].items():
        row |= {f"{stage}_{which}_ms": times[which] for which in ("p50", "p95", "p99")}
    return row


def _mebibytes(count: int | None) -> float | str:
    return "" if count is None else round(count / _MIB, 1)


def _write_png(path: Path, result: dict[str, Any], _comparison: dict[str, Any] | None) -> None:
    plot(result).write_png(path)


def _write_page(path: Path, result: dict[str, Any], comparison: dict[str, Any] | None) -> None:
    path.write_text(page(result, comparison), encoding="utf-8")
