"""rtmatte image"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rtmatte.cli import options, speaking
from rtmatte.settings import BEST_IMAGE, ImageSettings


def image(
    context: typer.Context,
    source: options.Input,
    output: options.Output,
    background: options.Background = ImageSettings.background,
    fit: options.FitOption = ImageSettings.fit,
    model: options.Model = ImageSettings.model,
    model_spec: options.ModelSpec = ImageSettings.model_spec,
    device: options.DeviceOption = ImageSettings.device,
    threads: options.Threads = ImageSettings.threads,
    refiner: options.RefinerOption = ImageSettings.refiner,
    keep: options.Keep = None,
    drop: options.Drop = None,
    edge_colors: options.EdgeColors = ImageSettings.edge_colors,
    spill: options.Spill = ImageSettings.spill,
    quality: options.Quality = "normal",
    encoder_quality: Annotated[
        int | None, typer.Option("--encoder-quality", help="1 to 100, for JPEG; makes WebP lossy.")
    ] = ImageSettings.encoder_quality,
    max_megapixels: Annotated[
        float, typer.Option("--max-megapixels", help="Refuse larger pictures.")
    ] = ImageSettings.max_megapixels,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Cut out what stands in front, or put it before a new background.

    rtmatte image portrait.jpg -o portrait.png
    """
    from rtmatte.runs.stills import run_image

    best = options.best_of(context, quality, BEST_IMAGE)
    settings = options.settings(ImageSettings, locals(), keep=tuple(keep or ()), drop=tuple(drop or ()), **best)
    report = run_image(source, output, settings)
    width, height = report.size_wh
    lines = [f"{output}: {width}x{height} in {report.seconds:.2f} s"]
    lines.append(f"  model      {report.model} on {speaking.placed(report.provider, report.provider_reason)}")
    lines += [f"  note: {notice}" for notice in report.notices]
    speaking.say_result(asdict(report), lines, as_json=json, quiet=quiet)
