"""Options of how the model is asked: from the command line to whoever loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rtmatte.cli import app
from rtmatte.errors import WeightsError
from tests import clips


@pytest.mark.parametrize(
    ("command", "words", "name", "expected"),
    [
        ("video", [], "skip_still", True),
        ("video", ["--no-skip-still"], "skip_still", False),
        ("video", ["--skip-still"], "skip_still", True),
        ("video", [], "focus", "whole"),
        ("video", ["--focus", "near"], "focus", "near"),
        ("video", [], "both_ways", False),
        ("video", [], "batch", None),
        ("video", ["--batch", "3"], "batch", 3),
        ("video", ["--both-ways"], "both_ways", True),
        ("webcam", [], "skip_still", True),
        ("webcam", ["--no-skip-still"], "skip_still", False),
        ("webcam", ["--skip-still"], "skip_still", True),
        ("webcam", [], "focus", "whole"),
        ("webcam", ["--focus", "near"], "focus", "near"),
    ],
)
def test_it_is_an_option(
    command: str, words: list[str], name: str, expected: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def load(*_: Any, **options: Any) -> None:
        asked.append(options[name])
        raise WeightsError("expected a file, got none")

    monkeypatch.setattr("rtmatte.runs.clip_parts.load_matter", load)
    monkeypatch.setattr("rtmatte.runs.live.tuned_model.load_matter", load)
    if command == "video":
        arguments = [str(clips.plain(tmp_path / "in.mp4")), "-o", str(tmp_path / "out.mp4"), "-b", "green"]
    else:
        # A given model, threads and masks leave nothing to be measured.
        arguments = ["--camera", "pattern", "--output", "null", "--model", "selfie", "--threads", "1"]
        arguments += ["--when-slow", "drop", "--seconds", "5"]
    CliRunner().invoke(app, [command, *arguments, *words])
    assert asked
    assert set(asked) == {expected}
