"""A `rtmatte webcam` that goes on beside a scenario."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from tests.vm.guest import devices
from tests.vm.guest.command import Command
from tests.vm.guest.progress import tell

BACKGROUND = "#00b140"
SIZE_WH = (320, 240)


def live_arguments(camera: str, model: str, frame_rate: int = 15) -> list[str]:
    """What `rtmatte` is given for a live run: every frame of it with a mask of its own, nothing smoothed."""
    return [
        *("webcam", "--camera", camera, "--size", f"{SIZE_WH[0]}x{SIZE_WH[1]}", "--fps", str(frame_rate)),
        *("--output", devices.LOOPBACK, "--background", BACKGROUND, "--model", model),
        *("--smoothing", "0", "--when-slow", "drop"),
    ]


class LiveRun(Command):
    """With the model that is right about the test pictures. `status()` is the last line of its `--stats`."""

    def __init__(self, camera: str, *, as_nobody: bool = False) -> None:
        super().__init__(*live_arguments(camera, os.environ["RTMATTE_VM_KEY_MODEL"]), as_nobody=as_nobody)
        self._stats = self.folder / "stats.jsonl"
        self._arguments += ("--stats", str(self._stats))

    def status(self) -> dict[str, Any]:
        """Empty before the first line."""
        lines = self._stats.read_text().splitlines(keepends=True) if self._stats.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        return dict(json.loads(whole[-1])) if whole else {}

    def wait_for_first_card(self) -> None:
        """From then on the loopback device can be opened by viewers."""
        self._wait_for(lambda: "capture" in devices.capabilities(devices.LOOPBACK), "a first picture on the loopback")

    def wait_until(self, **expected: object) -> dict[str, Any]:
        """The first status that has these values."""

        def holds() -> bool:
            status = self.status()
            return bool(status) and all(status[name] == value for name, value in expected.items())

        self._wait_for(holds, f"the status {expected}")
        return self.status()

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Fails at once if the run ends."""

        def holds() -> bool:
            self.check_alive()
            return condition()

        seconds = devices.wait_for(holds, what)
        tell(f"rtmatte came to {what} after {seconds:.1f} s")
