"""A `rtmatte webcam` that goes on beside a scenario."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rtmatte.cli import main
from tests.vm.guest import devices
from tests.vm.guest.keyed_rtmatte import add_key_model
from tests.vm.guest.progress import tell

BACKGROUND = "#00b140"
SIZE_WH = (320, 240)
_NOBODY = 65534

_FORK = multiprocessing.get_context("fork")


class LiveRun:
    """The command in a process that is a copy of this one, which saves the half minute of importing everything anew.

    `said` is what it printed so far, `status()` the last line of its `--stats`. Killed at the end of `with` at the
    latest.
    """

    def __init__(self, camera: str, *more: str, as_nobody: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="live-"))
        self.folder.chmod(0o777)
        arguments = [
            *("webcam", "--camera", camera, "--size", f"{SIZE_WH[0]}x{SIZE_WH[1]}", "--fps", "15"),
            *("--output", devices.LOOPBACK, "--background", BACKGROUND, "--model", "key", "--smoothing", "0"),
            *("--when-slow", "drop", "--stats", str(self._stats), *more),
        ]
        self._process = _FORK.Process(target=_run, args=(arguments, self._printed, as_nobody), name="rtmatte")

    @property
    def _stats(self) -> Path:
        return self.folder / "stats.jsonl"

    @property
    def _printed(self) -> Path:
        return self.folder / "printed"

    @property
    def said(self) -> str:
        return self._printed.read_text() if self._printed.exists() else ""

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
            assert self._process.is_alive(), f"rtmatte ended with {self._process.exitcode}: {self.said}"
            return condition()

        seconds = devices.wait_for(holds, f"{what}; status {self.status()}")
        tell(f"rtmatte came to {what} after {seconds:.1f} s")

    def wait_for_end(self) -> int | None:
        """The exit code of a run that ends by itself."""
        self._process.join(60)
        tell(f"rtmatte ended with {self._process.exitcode}")
        return self._process.exitcode

    def interrupt(self) -> tuple[int | None, float]:
        """Ctrl-C: the exit code and the seconds until the process was gone."""
        begin = time.monotonic()
        os.kill(self._process.pid or 0, signal.SIGINT)
        return self.wait_for_end(), time.monotonic() - begin

    def __enter__(self) -> Self:
        tell("rtmatte starts")
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        tell(f"rtmatte said:\n{self.said}last status: {self.status()}")


def _run(arguments: list[str], printed: Path, as_nobody: bool) -> None:
    descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if as_nobody:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
    sys.argv = ["rtmatte", *arguments]
    add_key_model()
    main()
