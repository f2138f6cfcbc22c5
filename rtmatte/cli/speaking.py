"""How every subcommand talks: errors and progress on stderr, results on stdout."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any

from rtmatte.errors import RtmatteError

if TYPE_CHECKING:
    from rtmatte.runs.progress import Progress
    from rtmatte.runs.report import Report

EXIT_DAMAGED_INPUT = 6
EXIT_INTERRUPTED = 130


class _Interrupted(BaseException):
    """Ctrl-C or SIGTERM; typer would end the process on a plain KeyboardInterrupt without a word."""


@contextmanager
def say_errors() -> Iterator[None]:
    """Turns our errors into one or two lines and an exit code; lets everything unexpected through with its traceback.

    SIGTERM is treated as Ctrl-C, so that a stopped run cleans up after itself too.
    """
    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        raise _Interrupted

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except (RtmatteError, _Interrupted) as error:
        # Libraries that are interrupted while they load report that as an error of their own.
        if interrupted or not isinstance(error, RtmatteError):
            say("rtmatte: interrupted; no output was kept.")
            sys.exit(EXIT_INTERRUPTED)
        say(f"rtmatte: {error.message}")
        if error.hint:
            say(f"  {error.hint}")
        sys.exit(error.exit_code)


def stop_on_signals(stop: Event) -> None:
    """The first Ctrl-C or SIGTERM ends the run in good order; the second, at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        at_once = signal.getsignal(number)

        def on_signal(number: int, _frame: object, at_once: Any = at_once) -> None:
            stop.set()
            signal.signal(number, at_once)

        signal.signal(number, on_signal)


def say(text: str) -> None:
    """One line for the user, on stderr."""
    print(text, file=sys.stderr)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object for machines, on stdout."""
    print(json.dumps(value, indent=2))


def say_result(value: dict[str, Any], lines: Iterable[str], *, as_json: bool, quiet: bool) -> None:
    """What a run came to: as JSON on stdout, or in `lines` for people."""
    if as_json:
        print_json(value)
    elif not quiet:
        for line in lines:
            say(line)


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr with frames, fps, speed against real time and time left; None if `quiet` or not a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total} frames"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")

        def show(progress: Progress) -> None:
            frame_rate = progress.frames_done / progress.elapsed_seconds
            rate = f"{frame_rate:.1f} fps"
            if progress.duration_seconds and progress.frames_expected:
                rate += f", {frame_rate * progress.duration_seconds / progress.frames_expected:.2f}x real time"
            bar.update(
                task,
                description=f"pass {progress.number} of {progress.passes}" if progress.passes > 1 else "",
                completed=progress.frames_done,
                total=progress.frames_expected,
                rate=rate,
            )

        yield show


def placed(provider: str, reason: str) -> str:
    """What a model runs on, and why there."""
    return f"{provider} ({reason})" if reason else provider


def report_lines(report: Report) -> list[str]:
    """The final report for people."""
    width, height = report.size_wh
    speed = f", {report.speed:.2f}x real time" if report.speed is not None else ""
    propagated = f", masks of {report.propagated} from those around them" if report.propagated else ""
    jobs = f", {report.jobs} jobs side by side" if report.jobs > 1 else ""
    lines = [
        f"{report.target}: {report.frames_out} frames of {width}x{height} in {report.seconds:.1f} s "
        f"({report.frame_rate:.1f} fps{speed})",
        f"  frames     in {report.frames_in}, out {report.frames_out}, dropped {report.dropped}, "
        f"damaged {report.damaged}{propagated}{', INPUT CUT SHORT' if report.truncated else ''}",
        f"  model      {report.model} on {placed(report.provider, report.provider_reason)}{jobs}",
        f"  background {report.background}; encoder {report.encoder}",
        "  ms a frame (p50/p95) "
        + "  ".join(f"{stage.stage} {stage.p50_ms:.1f}/{stage.p95_ms:.1f}" for stage in report.stages),
    ]
    return lines + [f"  note: {notice}" for notice in report.notices]
