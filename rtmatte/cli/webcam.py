"""rtmatte webcam"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from rtmatte.cli import options, speaking
from rtmatte.settings import LiveSettings

if TYPE_CHECKING:
    from rtmatte.runs.live.status import LiveStatus

Backgrounds = Annotated[
    list[str],
    typer.Option(
        "-b",
        "--background",
        metavar="WHAT",
        help="blur, blur:0.7, '#00b140', a colour name, or a picture or clip file; give several to switch between.",
    ),
]


def webcam(
    camera: Annotated[
        str,
        typer.Option(
            "--camera", help="default, an index, a path, (part of) a name, an id of 'rtmatte cameras list', file:PATH."
        ),
    ] = LiveSettings.camera,
    loop: Annotated[bool, typer.Option("--loop", help="Begin a file: camera again at its end.")] = LiveSettings.loop,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="Size of the picture [default: 1280x720].")
    ] = None,
    frame_rate_requested: options.TargetRate = LiveSettings.frame_rate_requested,
    output: Annotated[
        str, typer.Option("--output", help="The virtual camera: auto, a device such as /dev/video10, or null.")
    ] = LiveSettings.output,
    background: Backgrounds = list(LiveSettings.backgrounds),  # noqa: B006 - typer copies it
    fit: options.FitOption = LiveSettings.fit,
    safe_frame: Annotated[
        Path | None, typer.Option("--safe-frame", help="A picture to show whenever there is nothing safe to show.")
    ] = LiveSettings.safe_frame,
    mirror: Annotated[bool, typer.Option("--mirror", help="Show the picture mirrored.")] = LiveSettings.mirror,
    preview: Annotated[
        bool, typer.Option("--preview", help="A window with what is sent, and keys (h shows them).")
    ] = LiveSettings.preview,
    focus: options.FocusOption = LiveSettings.focus,
    skip_still: options.SkipStill = LiveSettings.skip_still,
    smoothing_s: options.Smoothing = LiveSettings.smoothing_s,
    refiner: options.RefinerOption = LiveSettings.refiner,
    people: options.PeopleOption = LiveSettings.people,
    edge_colors: options.EdgeColors = LiveSettings.edge_colors,
    spill: options.Spill = LiveSettings.spill,
    clean_plate: options.CleanPlate = LiveSettings.clean_plate,
    plate: options.Plate = LiveSettings.plate,
    light_wrap: options.LightWrap = LiveSettings.light_wrap,
    when_slow: options.WhenSlowOption = LiveSettings.when_slow,
    away_after_s: Annotated[
        float | None,
        typer.Option("--away-after", metavar="SECONDS", help="A 'be right back' card once nobody was there so long."),
    ] = LiveSettings.away_after_s,
    max_cpu_percent: options.MaxCpu = LiveSettings.max_cpu_percent,
    idle: Annotated[
        bool, typer.Option("--idle/--no-idle", help="Rest while no program reads the virtual camera.")
    ] = LiveSettings.idle,
    stats: Annotated[
        Path | None, typer.Option("--stats", help="Append a line of JSON with all counters to this file every second.")
    ] = LiveSettings.stats,
    metrics_port: Annotated[
        int | None, typer.Option("--metrics-port", help="Serve the counters to Prometheus on this port of 127.0.0.1.")
    ] = LiveSettings.metrics_port,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Stop after so long.")] = None,
    model: options.LiveModel = LiveSettings.model,
    model_spec: options.ModelSpec = LiveSettings.model_spec,
    device: options.DeviceOption = LiveSettings.device,
    threads: options.Threads = LiveSettings.threads,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Replace the background of a camera, live, and show the result to other programs as a virtual camera.

    rtmatte webcam --camera Logitech --background office.jpg --preview

    What other programs see is the composite or a card, never the room: also while the model loads, fails, or the camera
    is unplugged.
    """
    from rtmatte.runs.live.run import run_live

    settings = options.settings(
        LiveSettings,
        locals(),
        backgrounds=tuple(background),
        size_wh=None if size is None else options.size_wh(size),
    )
    line = _StatusLine(quiet=quiet, seconds=seconds)
    speaking.stop_on_signals(line.stop)
    status = run_live(settings, on_status=line.show, stop=line.stop)
    line.clear()
    speaking.say_result(status.as_dict(), _summary(status), as_json=json, quiet=quiet)


class _StatusLine:
    """One line that is written over, on a terminal; elsewhere a line whenever what is shown changes."""

    def __init__(self, *, quiet: bool, seconds: float | None) -> None:
        self.stop = Event()
        self._quiet = quiet
        self._seconds = seconds
        self._rewrites = sys.stderr.isatty()
        self._told = ""
        self._chosen = ""
        self._missed: tuple[str, ...] = ()

    def show(self, status: LiveStatus) -> None:
        if self._seconds is not None and status.seconds >= self._seconds:
            self.stop.set()
        if self._quiet:
            return
        if not self._told:
            width, height = status.size_wh
            speaking.say(f"{status.camera} ({status.camera_detail}) to {status.output}, {width}x{height}. Ctrl-C ends.")
        if status.device_notices != self._missed:
            self._missed = status.device_notices
            if self._missed:
                self.clear()
                speaking.say(f"note: {' '.join(self._missed)}")
        if status.chosen != self._chosen:
            self.clear()
            speaking.say(f"chosen: {status.chosen}")
            self._chosen = status.chosen
        event = _event_of(status)
        if event != self._told:
            self.clear()
            speaking.say(event)
            self._told = event
        if self._rewrites and status.showing == "picture":
            print(f"\r\033[K{_rates_of(status)}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._rewrites and not self._quiet:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _event_of(status: LiveStatus) -> str:
    """What a user should know of a change, in a line."""
    if status.output_problem:
        return f"virtual camera: {status.output_problem}"
    if status.camera_state == "lost":
        return f"camera: {status.camera_detail}"
    if status.showing != "picture":
        return f"showing a card: {status.showing}"
    return f"showing the picture: {status.model} on {status.provider}, background {status.background}"


def _rates_of(status: LiveStatus) -> str:
    return (
        f"{status.frame_rate_sent:.1f} fps, latency {status.latency_ms_p50:.0f}/{status.latency_ms_p95:.0f}/"
        f"{status.latency_ms_p99:.0f} ms (p50/p95/p99), model {status.estimate_ms_p50:.0f} ms, masks {status.masks}, "
        f"dropped {status.dropped}, cpu {status.cpu_percent:.0f} %"
    )


def _summary(status: LiveStatus) -> list[str]:
    lines = [
        f"{status.output}: {status.sent} frames and {status.cards} cards in {status.seconds:.1f} s",
        f"  frames     captured {status.captured}, dropped {status.dropped}, replaced {status.replaced}, "
        f"sent {status.sent}",
        f"  latency    {status.latency_ms_p50:.1f} / {status.latency_ms_p95:.1f} / {status.latency_ms_p99:.1f} ms "
        f"(p50/p95/p99), without the model {status.overhead_ms_p95:.1f} ms (p95)",
        f"  model      {status.model} on {speaking.placed(status.provider, status.provider_reason)}, "
        f"{status.estimate_ms_p50:.1f} ms, masks {status.masks}",
        f"  faults     {status.faults} of frames, {status.output_faults} of the virtual camera, camera reopened "
        f"{status.reopened} times",
    ]
    return lines + ([f"  last fault {status.fault}"] if status.fault else [])
