"""rtmatte models list | info | verify"""

from __future__ import annotations

from typing import Annotated

import typer

from rtmatte.cli import speaking
from rtmatte.errors import WeightsError

app = typer.Typer(
    no_args_is_help=True, help="What models there are, where they come from, and whether they are intact."
)

Name = Annotated[str, typer.Argument(help="The model's name.", show_default=False)]


@app.command("list")
def list_models() -> None:
    """List the models, one a line."""
    from rtmatte.matting.registry import MODELS

    for spec in MODELS:
        print(f"{spec.name}\t{spec.size_bytes / 1e6:.1f} MB\t{spec.licence}\t{spec.task}")


@app.command("info")
def info(name: Name) -> None:
    """Show where a model comes from, its licence, its input and output, and what it is bad at."""
    from dataclasses import fields

    from rtmatte.matting.registry import find_model

    spec = find_model(name)
    for field in fields(spec):
        print(f"{field.name:10} {getattr(spec, field.name)}")


@app.command("verify")
def verify(name: Annotated[str | None, typer.Argument(help="One model [default: all].")] = None) -> None:
    """Check that the shipped files are the ones that were published (sha256)."""
    from rtmatte.matting.registry import MODELS, find_model
    from rtmatte.matting.weights import verify as verify_weights

    failed: WeightsError | None = None
    for spec in [find_model(name)] if name else list(MODELS):
        try:
            verify_weights(spec)
        except WeightsError as error:
            speaking.say(f"{spec.name}: DAMAGED. {error}")
            failed = error
        else:
            print(f"{spec.name}: ok, sha256 {spec.sha256}")
    if failed is not None:
        raise typer.Exit(failed.exit_code)
