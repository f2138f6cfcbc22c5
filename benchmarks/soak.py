"""Hours in minutes: does a live run stay what it was? Memory, latency, and an account of every frame.

python benchmarks/soak.py [CLIP] [--minutes 30] [--model NAME] [--json benchmarks/results/soak.json]

Plays the clip in a loop at its own rate into a counting device. Memory's slope is that of a straight line through the
resident memory after the first tenth of the run (at most three minutes). Latency: the 95th percentile of the last sixth
over that of the first sixth after a ten-second warm-up (five minutes each of thirty).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from live import Observed, observe, percentile
from measuring import keep

from rtmatte.runs.live.status import LiveStatus
from rtmatte.settings import LiveSettings

_MOST_FPS = 60


def soak(settings: LiveSettings, seconds: float) -> dict[str, Any]:
    """The figures of a run of that length."""
    warm_up = min(180.0, seconds / 10)
    points: list[tuple[float, float]] = []  # a few hundred: what is kept here would look like a leak

    def note(status: LiveStatus) -> None:
        due = warm_up if not points else 60 * points[-1][0] + seconds / 300
        if status.seconds >= due and status.memory_bytes:
            points.append((status.seconds / 60, status.memory_bytes / 1e6))

    observed = Observed(round(seconds * _MOST_FPS), note)
    status = observe(settings, seconds, observed)
    minutes, megabytes = np.array(points).T
    slope = float(np.polyfit(minutes, megabytes, 1)[0])
    first = percentile(observed.between(10, 10 + seconds / 6), 95)
    last = percentile(observed.between(seconds * 5 / 6, seconds), 95)
    return {
        "seconds": status.seconds,
        "model": status.model,
        "provider": status.provider,
        "masks": status.masks,
        "memory_mb": {"after_warm_up": points[0][1], "at_the_end": points[-1][1]},
        "memory_mb_per_10_minutes": 10 * slope,
        "latency_ms_p95": {"first_sixth": first, "last_sixth": last, "ratio": last / first},
        "captured": status.captured,
        "sent": status.sent,
        "dropped": status.dropped,
        "replaced": status.replaced,
        "unaccounted": status.captured - status.sent - status.dropped - status.replaced,
        "cards": status.cards,
        "faults": status.faults,
        "fps_sent": status.sent / status.seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--model", default=LiveSettings.model)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = LiveSettings(
        camera=f"file:{arguments.clip}" if arguments.clip else "pattern", loop=True, model=arguments.model
    )
    clip = arguments.clip.name if arguments.clip else "test pattern"
    keep(arguments.json, {"clip": clip, **soak(settings, 60 * arguments.minutes)})


if __name__ == "__main__":
    main()
