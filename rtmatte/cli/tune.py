"""rtmatte tune"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rtmatte.cli import options, speaking
from rtmatte.settings import LiveSettings

if TYPE_CHECKING:
    from rich.table import Table

    from rtmatte.runs.tune.tuner import Tuning

_LEAST_WIDTH = 128
_USUAL_SIZE = "1280x720"


def tune(
    frame_rate_requested: options.TargetRate = LiveSettings.frame_rate_requested,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the picture.")] = _USUAL_SIZE,
    model: options.LiveModel = LiveSettings.model,
    model_spec: options.ModelSpec = LiveSettings.model_spec,
    device: options.DeviceOption = LiveSettings.device,
    threads: options.Threads = LiveSettings.threads,
    when_slow: options.WhenSlowOption = LiveSettings.when_slow,
    max_cpu_percent: options.MaxCpu = LiveSettings.max_cpu_percent,
    again: Annotated[bool, typer.Option("--again", help="Measure, although there are kept measurements.")] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Show what 'rtmatte webcam' chooses on this machine, and the table that it decides from.

    rtmatte tune --target-fps 60

    Measured once, in five seconds at most, on drawn frames with the run's own stages; kept for this machine and
    version.
    """
    from rtmatte.matting.devices import require_device
    from rtmatte.runs.tune.tuner import tune as run_tune

    settings = options.settings(LiveSettings, locals(), size_wh=options.size_wh(size))
    assert settings.size_wh is not None

    def before_measuring() -> None:
        if not quiet:
            speaking.say("measuring, five seconds at most")

    require_device(settings.device)  # before a minute is spent on compiling
    found = run_tune(settings, settings.size_wh, again=again, everything=True, before_measuring=before_measuring)
    if json:
        speaking.print_json(found.as_dict())
    else:
        _print(found)
    if not quiet:
        for notice in found.notices:
            speaking.say(f"note: {notice}")


def _print(found: Tuning) -> None:
    from rich.console import Console

    from rtmatte.runs.tune.words import target_line, when

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _LEAST_WIDTH)
    width, height = found.size_wh
    console.print(f"{target_line(found.target)} at {width}x{height}, {when(found.kept, found.seconds)}", markup=False)
    console.print(_table(found))
    for reason, candidates in _left_out(found).items():
        console.print(f"{reason}: {', '.join(candidates)}", markup=False)
    console.print(f"chosen: {found.summary}", markup=False)


def _table(found: Tuning) -> Table:
    """What was measured, the best mattes first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from rtmatte.runs.tune.quality import MAD
    from rtmatte.runs.tune.words import masks_of, verdict

    caption = "on: device, threads; MAD x1e3: expected error of the matte, smaller is better; see docs/quality.md"
    table = Table(box=SIMPLE_HEAD, caption=caption, caption_justify="left")
    for head in ("model", "net", "on", "masks"):
        table.add_column(head)
    for head in ("net ms\np50/p95", "net\nfps", "a frame\nms", "MAD"):
        table.add_column(head, justify="right")
    table.add_column("verdict", min_width=18)
    for row in sorted(found.rows, key=lambda row: row.mad):
        candidate, took = row.candidate, row.measured
        if took is None:
            continue
        table.add_row(
            candidate.model,
            " ".join(filter(None, (_size(row.input_wh), _short(row.precision)))),
            f"{row.provider.removesuffix('ExecutionProvider')}, {candidate.threads}",
            masks_of(candidate),
            f"{took.estimate_ms_p50:.1f}/{took.estimate_ms_p95:.1f}",
            f"{1e3 / took.estimate_ms_p50:.0f}",
            f"{took.frame_ms:.1f}",
            f"{row.mad:.1f}" if candidate.model in MAD else "",
            verdict(row, found.chosen, found.target),
            style="bold green" if row == found.chosen else None,
        )
    return table


def _size(size_wh: tuple[int, int] | None) -> str:
    return "" if size_wh is None else f"{size_wh[0]}x{size_wh[1]}"


def _short(precision: str) -> str:
    """`fp32/fp16` for `float32, weights float16`."""
    return precision.replace(", weights ", "/").replace("float", "fp")


def _left_out(found: Tuning) -> dict[str, list[str]]:
    """What wasn't measured, by the reason why."""
    from rtmatte.runs.tune.words import name_of

    left_out: dict[str, list[str]] = {}
    for row in found.rows:
        if row.measured is None:
            left_out.setdefault(row.reason, []).append(name_of(row.candidate))
    return left_out
