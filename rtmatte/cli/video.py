"""rtmatte video"""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rtmatte.cli import options, speaking
from rtmatte.settings import BEST_VIDEO, VideoSettings


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
    focus: options.FocusOption = VideoSettings.focus,
    skip_still: options.SkipStill = VideoSettings.skip_still,
    smoothing: Annotated[
        float, typer.Option("--smoothing", help="Time constant of the mask filter in seconds; 0 = off.")
    ] = VideoSettings.smoothing_s,
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
    quality: options.Quality = "normal",
    codec: Annotated[
        Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"] | None,
        typer.Option("--codec", help="Video codec [default: the container's usual one]."),
    ] = VideoSettings.codec,
    encoder_quality: Annotated[
        int, typer.Option("--encoder-quality", help="1 (small) to 100 (best).")
    ] = VideoSettings.encoder_quality,
    encoder: Annotated[
        Literal["auto", "software", "hardware"],
        typer.Option("--encoder", help="auto tries the hardware and falls back to software."),
    ] = VideoSettings.encoder,
    stall_timeout: Annotated[
        float, typer.Option("--stall-timeout", help="Seconds on one frame after which a run counts as stalled.")
    ] = VideoSettings.stall_timeout_s,
    jobs: options.Jobs = VideoSettings.jobs,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Put a new background behind the people in a clip, or write it transparent, or its matte.

    rtmatte video talk.mp4 -o talk-blurred.mp4 --background blur
    """
    from rtmatte.runs.offline import process_video

    with speaking.progress_bar(quiet=quiet) as on_progress:
        report = process_video(
            source,
            output,
            background=background,
            fit=fit,
            matte=matte,
            **options.by_quality(
                context,
                quality,
                BEST_VIDEO,
                both_ways=both_ways,
                clean_plate=clean_plate,
                two_pass=two_pass,
                refiner=refiner,
            ),
            model=model,
            model_spec=model_spec,
            device=device,
            threads=threads,
            focus=focus,
            skip_still=skip_still,
            smoothing_s=smoothing,
            people=people,
            keep=keep or (),
            drop=drop or (),
            click_model=click_model,
            edge_colors=edge_colors,
            spill=spill,
            plate=plate,
            light_wrap=light_wrap,
            codec=codec,
            encoder_quality=encoder_quality,
            encoder=encoder,
            stall_timeout_s=stall_timeout,
            jobs=jobs,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    if json:
        speaking.print_json(report.as_dict())
    elif not quiet:
        for line in speaking.report_lines(report):
            speaking.say(line)
    if report.truncated or report.damaged:
        raise typer.Exit(speaking.EXIT_DAMAGED_INPUT)
