"""rtmatte bench"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from rtmatte.cli import options, speaking
from rtmatte.errors import SettingsError
from rtmatte.settings import BenchSettings, Device

if TYPE_CHECKING:
    from rtmatte.runs.bench.run import BenchProgress

_EXIT_NOTHING_RAN = 5
_STDOUT = Path("-")
_MANY = "several with commas"


def bench(
    clip: Annotated[
        Path | None, typer.Argument(help="A clip to measure on [default: a generated one].", show_default=False)
    ] = None,
    camera: Annotated[
        str | None, typer.Option("--camera", help="Measure the live run with this camera; see 'rtmatte webcam'.")
    ] = None,
    models: Annotated[str, typer.Option("--models", help=f"See 'rtmatte models list', {_MANY}.")] = ",".join(
        BenchSettings.models
    ),
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", metavar="WxH,...", help=f"{_MANY} [default: 1280x720, or the clip's]."),
    ] = None,
    devices: Annotated[str, typer.Option("--devices", help=f"{', '.join(get_args(Device))}; {_MANY}.")] = ",".join(
        BenchSettings.devices
    ),
    threads: Annotated[
        str | None, typer.Option("--threads", help=f"Of the model, {_MANY} [default: one a core].")
    ] = None,
    batches: Annotated[
        str | None, typer.Option("--batches", help=f"See --batch of 'rtmatte video', {_MANY} [default: auto].")
    ] = None,
    decoder: options.DecoderOption = BenchSettings.decoder,
    background: options.Background = BenchSettings.background,
    seconds_per_case: Annotated[
        float, typer.Option("--seconds-per-case", help="Measured for each case in each round.")
    ] = BenchSettings.seconds_per_case,
    rounds: Annotated[
        int, typer.Option("--rounds", help="Rounds over all cases; more tell smaller differences from noise.")
    ] = BenchSettings.rounds,
    budget: Annotated[
        float | None, typer.Option("--budget", metavar="SECONDS", help="The most it may take, getting ready apart.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Keep the result as JSON; - for stdout.")
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Keep a line a case as CSV.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the result: .png, or .html with tables.")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", metavar="OLD.json", help="Say what is faster than in an older result.")
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure how fast this machine is: end to end and stage by stage, for models, sizes, devices, threads, batches.

    rtmatte bench --models u2netp,selfie --sizes 640x360,1280x720

    Rounds take turns over the cases. Results hold the hardware's description and no names or paths. Ctrl-C ends it with
    what was measured so far.
    """
    from rtmatte.runs.bench.compare import compare as compare_results
    from rtmatte.runs.bench.compare import read_result
    from rtmatte.runs.bench.files import ResultFiles, with_comparison
    from rtmatte.runs.bench.run import run_bench

    settings = BenchSettings(
        clip=clip,
        camera=camera,
        models=_several(models),
        sizes_wh=tuple(options.size_wh(size, option="--sizes") for size in _several(sizes)),
        devices=_several(devices),
        threads=tuple(_count("--threads", text) for text in _several(threads)),
        batches=tuple(_count("--batches", text) for text in _several(batches)),
        decoder=decoder,
        background=background,
        seconds_per_case=seconds_per_case,
        rounds=rounds,
        budget_s=budget,
    )
    old = read_result(compare) if compare is not None else None
    json_to = None if json == _STDOUT else json
    with ResultFiles(json_to=json_to, csv_to=csv, plot_to=plot, overwrite=overwrite) as files:
        stop = Event()
        speaking.stop_on_signals(stop)
        with _progress(quiet=quiet) as on_progress:
            result = run_bench(settings, on_progress=on_progress, stop=stop).as_dict()
        difference = compare_results(result, old).as_dict() if old is not None else None
        files.write(result, difference)
    if json == _STDOUT:
        speaking.print_json(with_comparison(result, difference))
    elif not quiet:
        from rtmatte.cli.bench_tables import print_tables

        print_tables(result, difference)
    if stop.is_set():
        raise typer.Exit(speaking.EXIT_INTERRUPTED)
    if not any(case["rounds"] for case in result["cases"]):
        raise typer.Exit(_EXIT_NOTHING_RAN)


def _several(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _count(option: str, text: str) -> int:
    if not text.isdecimal():
        raise SettingsError(f"{option}: expected whole numbers, such as 1,2, got {text!r}.")
    return int(text)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[BenchProgress], None] | None]:
    """The plan in a line, and on a terminal a bar that shows the present case."""
    if quiet:
        yield None
        return
    bar: Any = None
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (BarColumn(), TextColumn("{task.completed}/{task.total} runs"), TimeElapsedColumn())
        bar = Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True), transient=True)
    told = False

    def show(progress: BenchProgress) -> None:
        nonlocal told
        if not told:
            speaking.say(_plan_line(progress))
            told = True
            if bar is not None:
                bar.start()
                bar.add_task("", total=progress.plan.runs)
        if bar is not None:
            bar.update(bar.task_ids[0], completed=progress.runs_done, description=progress.doing)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def _plan_line(progress: BenchProgress) -> str:
    plan = progress.plan
    rounds = plan.runs // progress.cases
    cases = f"{progress.cases} case{'s' * (progress.cases > 1)}"
    room = "" if plan.fitting == plan.runs else f" (certain room for {plan.fitting} of {plan.runs} runs)"
    return (
        f"{cases} x {rounds} round{'s' * (rounds > 1)} x {plan.seconds_per_run:.3g} s, "
        f"with loading and warm-up {plan.budget_s:.0f} s at most{room}, after getting ready: a few seconds, once after "
        "an install a minute. Ctrl-C ends it with what there is."
    )
