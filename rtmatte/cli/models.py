"""rtmatte models list | info | pull | verify"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from rtmatte.cli import options, speaking
from rtmatte.errors import WeightsError

if TYPE_CHECKING:
    from rtmatte.matting.registry import ModelSpec

app = typer.Typer(
    no_args_is_help=True, help="What models there are, where they come from, and whether they are intact."
)

Name = Annotated[str, typer.Argument(help="The model's name.", show_default=False)]


@app.command("list")
def list_models() -> None:
    """List the models, one a line: name, size, licence, what for, and whether it is here."""
    from rtmatte.matting.registry import MODELS

    for spec in MODELS:
        print(f"{spec.name}\t{_megabytes(spec)}\t{spec.licence}\t{spec.task}\t{_whereabouts(spec)}")


def _megabytes(spec: ModelSpec) -> str:
    return f"{sum(file.size_bytes for file in spec.files) / 1e6:.1f} MB"


def _whereabouts(spec: ModelSpec) -> str:
    from rtmatte.matting.weights import weights_file

    if spec.shipped:
        return "shipped"
    return "pulled" if all(weights_file(file).is_file() for file in spec.files) else f"rtmatte models pull {spec.name}"


@app.command("info")
def info(name: Name) -> None:
    """Show where a model comes from, its licence, its input and output, and what it is bad at."""
    from rtmatte.matting.registry import find_model
    from rtmatte.matting.weights import weights_file

    spec = find_model(name)
    rows: dict[str, object] = {
        "name": spec.name,
        "task": spec.task,
        "notes": spec.notes,
        "licence": spec.licence + ("" if spec.permissive else " (not permissive)"),
        "sources": ", ".join(spec.sources),
        "file": f"{weights_file(spec)} ({_whereabouts(spec)})",
        "size_bytes": spec.size_bytes,
        "sha256": spec.sha256 or "not published",
        "md5": spec.md5 or "",
        "family": spec.net.family,
    }
    if spec.net.family == "image":
        rows |= {"input": spec.net.input, "output": spec.net.output}
    for other in spec.files[1:]:
        rows["and"] = f"{weights_file(other)}, {other.size_bytes} bytes, sha256 {other.sha256}"
    for title, value in rows.items():
        if value != "":
            print(f"{title:10} {value}")


@app.command("pull")
def pull(
    name: Name,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept a licence that is not permissive, without being asked.")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Fetch a model that doesn't come with the package; check it; keep it for later.

    The folder is the user's cache, or what RTMATTE_MODELS says. Proxies are taken from the environment.
    """
    from rtmatte.matting.pull import pull as pull_model
    from rtmatte.matting.registry import find_model

    spec = find_model(name)
    if not quiet and not spec.shipped:
        speaking.say(f"{spec.name}: {spec.licence}, {_megabytes(spec)}, from {' or '.join(spec.sources)}")
    if not spec.permissive and not accept_licence and sys.stdin.isatty():
        accept_licence = typer.confirm(f"{spec.licence} is not a permissive licence. Accept it?", err=True)
    with _bar(quiet=quiet) as show:
        file = pull_model(spec, accept_licence=accept_licence, on_bytes=show)
    print(file)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[int, int | None], None] | None]:
    """Bytes, speed and time left on stderr; None if `quiet` or not a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda there, total: bar.update(task, completed=there, total=total)


@app.command("verify")
def verify(name: Annotated[str | None, typer.Argument(help="One model [default: all that are here].")] = None) -> None:
    """Check that the files are the ones that were published (sha256, or MD5 where upstream gives only that)."""
    from rtmatte.matting.registry import MODELS, find_model
    from rtmatte.matting.weights import verify as verify_weights
    from rtmatte.matting.weights import weights_file

    failed: WeightsError | None = None
    for spec in [find_model(name)] if name else [s for s in MODELS if s.shipped or weights_file(s).is_file()]:
        try:
            verify_weights(spec)
        except WeightsError as error:
            speaking.say(f"{spec.name}: DAMAGED. {error}")
            failed = error
        else:
            known = [f"sha256 {file.sha256}" if file.sha256 else f"md5 {file.md5}" for file in spec.files]
            print(f"{spec.name}: ok, {' and '.join(known)}")
    if failed is not None:
        raise typer.Exit(failed.exit_code)
