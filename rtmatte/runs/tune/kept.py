"""Measurements kept from one start to the next: a file for each question, good for the machine that answered it."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtmatte.errors import OutputError
from rtmatte.output.staging import StagedFile
from rtmatte.runs.tune.candidates import Candidate
from rtmatte.runs.tune.decide import Measured, Row

FOLDER_VARIABLE = "RTMATTE_TUNING"
_FORM = 1


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: `about` (frame size, frames a second, and all that the settings say), on `machine`.

    Both are plain values, as JSON gives them back.
    """

    about: Mapping[str, Any]
    machine: Mapping[str, Any]


def kept_folder() -> Path:
    """`$RTMATTE_TUNING`, else in the user's cache folder. It need not exist."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("rtmatte", appauthor=False)) / "tuning"


def kept_file(question: Question, folder: Path) -> Path:
    """Where the answer lies, if there is one."""
    digest = hashlib.sha256(json.dumps(question.about, sort_keys=True).encode()).hexdigest()
    return folder / f"{digest[:16]}.json"


def read_kept(question: Question, candidates: Sequence[Candidate], folder: Path) -> tuple[list[Row] | None, str]:
    """The rows of an earlier run, and a notice for the user or "".

    None: there are none, or they are of another machine or version; or they can't be read, as the notice then says.
    """
    file = kept_file(question, folder)
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return None, ""
    except (OSError, UnicodeDecodeError) as error:
        return None, _unreadable(file, error)
    try:
        kept = json.loads(text)
        if kept["form"] != _FORM or kept["about"] != question.about or kept["machine"] != question.machine:
            return None, ""
        rows = [_row(raw) for raw in kept["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        return None, _unreadable(file, error)
    return (rows, "") if [row.candidate for row in rows] == list(candidates) else (None, "")


def keep(question: Question, rows: Sequence[Row], folder: Path) -> str:
    """Writes them, all at once or not at all. A notice for the user, or ""."""
    content = {
        "form": _FORM,
        "about": question.about,
        "machine": question.machine,
        "rows": [asdict(row) for row in rows],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staged = StagedFile(kept_file(question, folder), overwrite=True)
        try:
            staged.path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
            staged.publish()
        finally:
            staged.discard()
    except (OSError, OutputError) as error:
        return f"The measurements can't be kept and will be made again at the next start: {error}"
    return ""


def _unreadable(file: Path, error: Exception) -> str:
    return f"The measurements kept in {file} can't be read and are made again: {type(error).__name__}: {error}"


def _row(raw: Mapping[str, Any]) -> Row:
    """Raises: `KeyError`, `TypeError`, `ValueError` for what isn't a row."""
    measured, input_wh = raw["measured"], raw["input_wh"]
    if measured is not None and not all(math.isfinite(ms) and ms > 0 for ms in measured.values()):
        raise ValueError(f"expected times over 0, got {measured}")
    return Row(
        candidate=Candidate(**raw["candidate"]),
        input_wh=None if input_wh is None else (int(input_wh[0]), int(input_wh[1])),
        precision=str(raw["precision"]),
        provider=str(raw["provider"]),
        measured=None if measured is None else Measured(**measured),
        reason=str(raw["reason"]),
    )
