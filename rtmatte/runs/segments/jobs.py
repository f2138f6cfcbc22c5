"""Processes that work side by side: started, heard, and ended together, whatever happens."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Self

from rtmatte.errors import JobDiedError, StageStalledError
from rtmatte.matting.providers import BY_DEVICE
from rtmatte.runs.segments.worker import Done, Failed, Kept, Message, Task, Unfit

# Not multiprocessing: its new processes run the user's main script once more, which has to be written for it.
_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from rtmatte.runs.segments.worker import main; main()"
)
_TICK_S = 0.1
_STARTING_S = 60.0
"""What a job may take beyond a stage's longest pause without a word: it loads libraries and the model."""
_JOIN_TIMEOUT_S = 10.0


class Jobs:
    """One process for each task, running from construction on; leaving the context ends those that still run.

    Used from one thread, which does nothing but listen; a thread for each process reads from its pipe.
    """

    def __init__(self, tasks: Sequence[Task], *, stall_timeout_s: float) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._heard: Queue[tuple[int, Message | None]] = Queue()
        # What builds for minutes may keep its process from saying a word until there are frames.
        self._may_build = {number for number, task in enumerate(tasks) if _builds(task)}
        self._jobs: list[_Job] = []
        try:
            for number, task in enumerate(tasks):
                self._jobs.append(_Job(number, task, self._heard))
        except BaseException:
            self._end()
            raise

    def messages(self) -> Iterator[tuple[int, Message] | None]:
        """What the jobs tell, each with the task's place, until all are done; None about ten times a second.

        Raises: the error of a job that failed, as it was; `JobDiedError` for one that ended without a result;
        `StageStalledError` for one that says nothing for too long, unless it may still be building what runs its model.
        """
        running = set(range(len(self._jobs)))
        last_heard = dict.fromkeys(running, time.monotonic())
        while running:
            try:
                number, message = self._heard.get(timeout=_TICK_S)
            except Empty:
                self._check_stalled(last_heard[number] for number in running - self._may_build)
                yield None
                continue
            last_heard[number] = time.monotonic()
            if message is None:
                if number in running:
                    raise self._jobs[number].death()
                continue
            if isinstance(message, Failed):
                raise message.error
            if isinstance(message, Kept) and message.frames:
                self._may_build.discard(number)
            if isinstance(message, Done | Unfit):
                running.discard(number)
            yield number, message

    def _check_stalled(self, last_heard: Iterable[float]) -> None:
        now = time.monotonic()
        if any(now - heard > self._stall_timeout_s + _STARTING_S for heard in last_heard):
            raise StageStalledError(
                f"A job said nothing for {self._stall_timeout_s + _STARTING_S:g} s.",
                hint="If the machine or the disk is just slow, allow more with --stall-timeout SECONDS.",
            )

    def _end(self) -> None:
        for job in self._jobs:
            job.kill()
        for job in self._jobs:
            job.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()


def _builds(task: Task) -> bool:
    provider = BY_DEVICE.get(task.settings.device)
    return task.matter is None and provider is not None and provider.builds


class _Job:
    """One process, its pipe and the thread that serves it."""

    def __init__(self, number: int, task: Task, heard: Queue[tuple[int, Message | None]]) -> None:
        self._log: Path = task.folder / f"{task.segment.number}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            )
        self._thread = Thread(target=self._serve, args=(number, task, heard), name=f"rtmatte-job-{number}", daemon=True)
        self._thread.start()

    def _serve(self, number: int, task: Task, heard: Queue[tuple[int, Message | None]]) -> None:
        """Hands the task over and listens until the process ends; its stdin stays open as long as it is wanted."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump(sys.path, self._process.stdin)
            pickle.dump(task, self._process.stdin)
            self._process.stdin.flush()
            while True:
                heard.put((number, pickle.load(self._process.stdout)))
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            heard.put((number, None))

    def death(self) -> JobDiedError:
        """Why the process is no more, as far as it can be told."""
        try:
            code: int | None = self._process.wait(_JOIN_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = None
        said = self._log.read_text(errors="replace").strip().splitlines()
        return JobDiedError(
            f"A job ended without a result (exit code {code}){': ' + said[-1] if said else ''}.",
            hint="Was it out of memory? Each job needs as much as a run by itself; try fewer --jobs.",
        )

    def kill(self) -> None:
        self._process.kill()

    def join(self) -> None:
        self._process.wait()
        self._thread.join(_JOIN_TIMEOUT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was still to be written has nobody to go to
                    pipe.close()
