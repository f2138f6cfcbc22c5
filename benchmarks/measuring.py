"""What all benchmarks share: a place for results, with the machine's description."""

from __future__ import annotations

import json
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from rtmatte.runs.bench.machine import describe_machine


def keep(path: Path | None, figures: dict[str, Any]) -> None:
    """Prints the figures as JSON and, with a path, writes them there with the machine and the command."""
    print(json.dumps(figures, indent=2))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = "python " + " ".join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])
        path.write_text(json.dumps({"command": command, "machine": describe_machine(), **figures}, indent=2) + "\n")


def spread(values: list[float]) -> dict[str, float]:
    """Of the rounds of a benchmark."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
