"""The `rtmatte` command in a process that is a copy of this one, which saves the many seconds of importing it anew."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rtmatte.cli import main
from tests.vm.guest.progress import tell

_NOBODY = 65534

_FORK = multiprocessing.get_context("fork")


class Command:
    """Runs from `with` on, is killed at its end at the latest. `said` is what it printed so far.

    `folder` is for files of its own; `as_nobody`: as a user without any right.
    """

    def __init__(self, *arguments: str, as_nobody: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rtmatte-"))
        self.folder.chmod(0o777)
        self._printed = self.folder / "printed"
        self._arguments = arguments
        self._as_nobody = as_nobody
        self._process = _FORK.Process(target=self._run, name="rtmatte")

    @property
    def said(self) -> str:
        return self._printed.read_text() if self._printed.exists() else ""

    def check_alive(self) -> None:
        assert self._process.is_alive(), f"rtmatte ended with {self._process.exitcode}: {self.said}"

    def wait_for_end(self) -> int | None:
        """The exit code of a run that ends by itself; None if it doesn't within two minutes."""
        self._process.join(120)
        tell(f"rtmatte ended with {self._process.exitcode}")
        return self._process.exitcode

    def interrupt(self) -> tuple[int | None, float]:
        """Ctrl-C: the exit code and the seconds until the process was gone."""
        begin = time.monotonic()
        os.kill(self._process.pid or 0, signal.SIGINT)
        return self.wait_for_end(), round(time.monotonic() - begin, 2)

    def __enter__(self) -> Self:
        tell("rtmatte starts")
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
        tell(f"rtmatte said:\n{self.said}")

    def _run(self) -> None:
        descriptor = os.open(self._printed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if self._as_nobody:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        sys.argv = ["rtmatte", *self._arguments]
        main()


def finished(*arguments: str) -> dict[str, object]:
    """Exit code and output of a command that ends by itself."""
    with Command(*arguments) as command:
        exit_code = command.wait_for_end()
    return {"exit_code": exit_code, "said": command.said}
