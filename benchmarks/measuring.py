"""What all benchmarks share: a description of the machine and a place for results."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Processor, cores, system and versions, for the results file."""
    import av
    import cv2
    import numba
    import numpy as np

    processor = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pyav": av.__version__,
        "numba": numba.__version__,
    }


def keep(path: Path | None, figures: dict[str, Any]) -> None:
    """Prints the figures as JSON and, with a path, writes them there with the machine and the command."""
    print(json.dumps(figures, indent=2))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        command = "python " + " ".join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])
        path.write_text(json.dumps({"command": command, "machine": machine(), **figures}, indent=2) + "\n")
