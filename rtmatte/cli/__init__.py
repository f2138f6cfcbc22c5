"""From the command line to a run: the only place that prints. One file a subcommand.

Exit codes: 0 done; 1 the run failed; 2 wrong usage; 3 the input can't be used; 4 the output can't be written; 5 no
usable model or runtime; 6 done, but the input was damaged or cut short; 130 interrupted.
"""

from __future__ import annotations

import typer

from rtmatte.cli import bench, cameras, demo, doctor, image, models, tune, video, webcam
from rtmatte.cli.speaking import say_errors

app = typer.Typer(
    name="rtmatte",
    help="Background removal for video and stills, in real time, on your own machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("webcam")(webcam.webcam)
app.command("video")(video.video)
app.command("image")(image.image)
app.command("bench")(bench.bench)
app.command("tune")(tune.tune)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(cameras.app, name="cameras")


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from rtmatte import __version__

        print(__version__)
        raise typer.Exit


def main() -> None:
    """The `rtmatte` command."""
    with say_errors():
        app()
