"""rtmatte video"""

from __future__ import annotations

from typing import Annotated

import typer

from rtmatte.cli import options, speaking
from rtmatte.settings import BEST_VIDEO, Codec, Encoder, VideoSettings


def video(
    context: typer.Context,
    source: options.Input,
    output: options.Output,
    background: options.Background = VideoSettings.background,
    fit: options.FitOption = VideoSettings.fit,
    matte: Annotated[bool, typer.Option("--matte", help="Write alpha itself, lossless (.mkv, .mov).")] = False,
    model: options.Model = VideoSettings.model,
    model_spec: options.ModelSpec = VideoSettings.model_spec,
    device: options.DeviceOption = VideoSettings.device,
    threads: options.Threads = VideoSettings.threads,
    batch: options.Batch = VideoSettings.batch,
    focus: options.FocusOption = VideoSettings.focus,
    skip_still: options.SkipStill = VideoSettings.skip_still,
    smoothing_s: options.Smoothing = VideoSettings.smoothing_s,
    refiner: options.RefinerOption = VideoSettings.refiner,
    people: options.PeopleOption = VideoSettings.people,
    keep: options.Keep = None,
    drop: options.Drop = None,
    click_model: options.ClickModel = VideoSettings.click_model,
    edge_colors: options.EdgeColors = VideoSettings.edge_colors,
    spill: options.Spill = VideoSettings.spill,
    clean_plate: options.CleanPlate = VideoSettings.clean_plate,
    plate: options.Plate = VideoSettings.plate,
    light_wrap: options.LightWrap = VideoSettings.light_wrap,
    both_ways: options.BothWays = VideoSettings.both_ways,
    two_pass: Annotated[
        bool, typer.Option("--two-pass", help="Go through the clip twice: calmer edges, since masks know what comes.")
    ] = VideoSettings.two_pass,
    propagate: Annotated[
        bool,
        typer.Option(
            "--propagate/--no-propagate",
            help="With --two-pass: ask the model about every second frame only, where motion tells the rest.",
        ),
    ] = VideoSettings.propagate,
    quality: options.Quality = "normal",
    codec: Annotated[
        Codec | None,
        typer.Option("--codec", help="Video codec [default: the container's usual one]."),
    ] = VideoSettings.codec,
    encoder_quality: Annotated[
        int, typer.Option("--encoder-quality", help="1 (small) to 100 (best).")
    ] = VideoSettings.encoder_quality,
    encoder: Annotated[
        Encoder,
        typer.Option("--encoder", help="auto tries the hardware and falls back to software."),
    ] = VideoSettings.encoder,
    decoder: options.DecoderOption = VideoSettings.decoder,
    stall_timeout_s: Annotated[
        float,
        typer.Option(
            "--stall-timeout",
            help="Seconds on one frame after which a run counts as stalled, not counting what TensorRT builds first.",
        ),
    ] = VideoSettings.stall_timeout_s,
    jobs: options.Jobs = VideoSettings.jobs,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put a new background behind the people in a clip, or write it transparent, or its matte.

    rtmatte video talk.mp4 -o talk-blurred.mp4 --background blur
    """
    from rtmatte.runs.offline import run_video

    best = options.best_of(context, quality, BEST_VIDEO)
    settings = options.settings(VideoSettings, locals(), keep=tuple(keep or ()), drop=tuple(drop or ()), **best)
    with speaking.progress_bar(quiet=quiet) as on_progress:
        report = run_video(source, output, settings, on_progress=on_progress)
    speaking.say_result(report.as_dict(), speaking.report_lines(report), as_json=json, quiet=quiet)
    if report.truncated or report.damaged:
        raise typer.Exit(speaking.EXIT_DAMAGED_INPUT)
