"""A live run from a file at its own rate into a counting device: rate out, latency, and what the model doesn't explain.

python benchmarks/live.py [CLIP] [--model selfie] [--seconds 30] [--json benchmarks/results/live.json]

Without a clip it is the test pattern at 720p and 30 fps. Overhead is the time from capture to the device's having the
frame, less what the model took for that frame. The first five seconds don't count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import numpy as np
from measuring import keep

from rtmatte.frame import Frame
from rtmatte.output.fake_virtual_camera import CountingCamera
from rtmatte.runs.live.run import run_live
from rtmatte.runs.live.status import LiveStatus
from rtmatte.settings import LiveSettings

_WARM_UP_S = 5.0
_MOST_FPS = 240


@dataclass
class Observed:
    """What was seen of a live run from outside: every frame at the device, and the statuses.

    The room for `most_frames` is taken before, so that watching for an hour doesn't itself look like a leak.
    """

    most_frames: int
    on_status: Callable[[LiveStatus], None]
    began: float = field(default_factory=time.monotonic)
    frames: int = 0

    def __post_init__(self) -> None:
        self._sent_at, self._latencies_ms = (np.full(self.most_frames, np.nan) for _ in range(2))

    def look(self, frame: Frame) -> None:
        """In the sending thread, for composites and cards alike; what is too much isn't kept."""
        now = time.monotonic()
        if self.frames < self.most_frames:
            self._sent_at[self.frames] = now - self.began
            self._latencies_ms[self.frames] = now * 1e3 - frame.pts / 1e6
            self.frames += 1

    def between(self, begin: float, end: float) -> list[float]:
        """Sorted latencies of what was sent in those seconds of the run."""
        chosen = (begin <= self._sent_at) & (self._sent_at < end)
        latencies_ms: list[float] = np.sort(self._latencies_ms[chosen]).tolist()
        return latencies_ms


def percentile(values: list[float], percent: float) -> float:
    """Of sorted values; 0 for none."""
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else 0.0


def observe(settings: LiveSettings, seconds: float, observed: Observed) -> LiveStatus:
    """Runs so long and returns the last status."""
    stop = Event()

    def on_status(status: LiveStatus) -> None:
        observed.on_status(status)
        if status.seconds >= seconds:
            stop.set()

    return run_live(
        settings,
        output=lambda size_wh: CountingCamera(size_wh, on_frame=observed.look),
        on_status=on_status,
        stop=stop,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--model", default="selfie")
    parser.add_argument("--background", default="blur")
    parser.add_argument("--when-slow", default="auto", choices=["auto", "drop", "propagate"])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = LiveSettings(
        camera=f"file:{arguments.clip}" if arguments.clip else "pattern",
        loop=True,
        model=arguments.model,
        backgrounds=(arguments.background,),
        when_slow=arguments.when_slow,
    )
    statuses: list[LiveStatus] = []
    observed = Observed(round(arguments.seconds * _MOST_FPS), statuses.append)
    status = observe(settings, arguments.seconds, observed)
    counted = observed.between(_WARM_UP_S, float("inf"))
    warm = [s for s in statuses if s.seconds > _WARM_UP_S]
    first, last = warm[0], warm[-1]
    keep(
        arguments.json,
        {
            "clip": arguments.clip.name if arguments.clip else "test pattern",
            "size": "x".join(map(str, status.size_wh)),
            "model": status.model,
            "provider": status.provider,
            "masks": status.masks,
            "seconds": last.seconds - first.seconds,
            "fps_captured": (last.captured - first.captured) / (last.seconds - first.seconds),
            "fps_sent": (last.sent - first.sent) / (last.seconds - first.seconds),
            "latency_ms": {f"p{p}": percentile(counted, p) for p in (50, 95, 99)},
            "overhead_ms_p95": sorted(s.overhead_ms_p95 for s in warm)[len(warm) // 2],
            "model_ms_p50": status.estimate_ms_p50,
            "cpu_percent": sorted(s.cpu_percent for s in warm)[len(warm) // 2],
            "dropped": last.dropped - first.dropped,
            "replaced": last.replaced - first.replaced,
            "cards": last.cards - first.cards,
        },
    )


if __name__ == "__main__":
    main()
