"""Lines in a scenario's log that say when it got how far."""

from __future__ import annotations

import sys
import time


def tell(text: str) -> None:
    sys.stdout.write(f"[{time.monotonic():7.2f}] {text}\n")
    sys.stdout.flush()
