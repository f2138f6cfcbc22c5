"""rtmatte demo"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtmatte.cli import options, speaking


def demo(
    folder: Annotated[Path, typer.Option("-o", "--output", help="The folder to write into.")] = Path("rtmatte-demo"),
    seconds: Annotated[float, typer.Option("--seconds", help="Length of the clip.", min=0.2, max=60)] = 3.0,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """See it work, with no file of your own: a hand-held 720p clip of a real portrait, its background blurred.

    Writes input.mp4, output.mp4 and side-by-side.png, and prints the report.
    """
    from rtmatte.runs.demo import run_demo

    with speaking.progress_bar(quiet=quiet) as on_progress:
        report = run_demo(folder, seconds=seconds, on_progress=on_progress)
    advice = f"Look at {folder / 'side-by-side.png'}, then try: rtmatte video YOUR.mp4 -o out.mp4 -b blur"
    lines = [*speaking.report_lines(report), advice]
    speaking.say_result(report.as_dict(), lines, as_json=json, quiet=quiet)
