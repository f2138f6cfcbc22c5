"""`rtmatte tune` as a user meets it, on machines that exist on paper and once on this one."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rtmatte.cli import app
from rtmatte.errors import ProviderUnavailableError
from rtmatte.runs import others_watch
from rtmatte.runs.tune import tuner
from tests.fake_machines import BEST_AT_30, FakeMachine, machine
from tests.test_cli import rtmatte


@pytest.fixture
def on_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[FakeMachine]:
    """The last one in the list is measured; nothing else is busy, and nothing is kept from before."""
    machines = [machine()]
    monkeypatch.setenv("RTMATTE_TUNING", str(tmp_path / "kept"))
    monkeypatch.setattr(others_watch, "busy_seconds", lambda: None)
    monkeypatch.setattr(tuner, "default_threads", lambda: 2)
    monkeypatch.setattr(tuner, "compile_stages", lambda _settings: None)
    monkeypatch.setattr(tuner, "Probe", lambda *_arguments: machines[-1])
    return machines


def run_tune(*arguments: str) -> Any:
    done = CliRunner().invoke(app, ["tune", "--device", "cpu", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_the_table_tells_what_is_taken_and_why(on_paper: list[FakeMachine]) -> None:
    done = run_tune()
    lines = done.stdout.splitlines()
    assert re.match(r"30 fps at 1280x720, measured in \d\.\d s", lines[0])
    (chosen,) = [line for line in lines if line.rstrip().endswith(" chosen")]
    took = on_paper[0].takes(BEST_AT_30, 2, carried=False)
    for part in (
        BEST_AT_30,
        "256x192 int8",
        "CPU, 2",
        " own ",
        f"{took.estimate_ms_p50:.1f}/",
        f"{took.frame_ms:.1f}",
        "8.0",
    ):
        assert part in chosen
    assert any("selfie-multiclass " in line and "too slow" in line for line in lines)
    assert any("selfie " in line and "worse matte" in line for line in lines)
    assert f"chosen: {BEST_AT_30} with 2 threads and own masks" in done.stdout
    assert done.stderr == "measuring, five seconds at most\n"


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has this device")
def test_a_device_that_is_not_there_is_told_before_anything_is_measured(on_paper: list[FakeMachine]) -> None:
    done = CliRunner().invoke(app, ["tune", "--device", "coreml"])
    assert isinstance(done.exception, ProviderUnavailableError)
    assert "measuring" not in done.stderr
    assert not on_paper[-1].loads


def test_the_second_time_it_is_read_and_again_measures(on_paper: list[FakeMachine]) -> None:
    first = run_tune("--json")
    on_paper.append(machine(2.5))
    second = run_tune("--json")
    assert second.stderr == ""
    assert not on_paper[-1].loads
    kept, measured = json.loads(second.stdout), json.loads(first.stdout)
    assert (measured["kept"], kept["kept"]) == (False, True)
    assert kept["rows"] == measured["rows"]
    assert "measured before" in run_tune().stdout
    again = json.loads(run_tune("--again", "--json").stdout)
    assert on_paper[-1].loads
    assert again["taken"]["carried"] is True
    assert json.loads(run_tune("--json").stdout)["taken"] == again["taken"]


def test_json_has_the_whole_table(on_paper: list[FakeMachine]) -> None:
    told = json.loads(run_tune("--json", "--target-fps", "25", "--size", "640x480").stdout)
    assert told["target"]["frame_rate"] == 25
    assert told["size_wh"] == [640, 480]
    assert told["machine"]["cores"] >= 1
    (chosen,) = [row for row in told["rows"] if row["chosen"]]
    assert chosen["candidate"] == told["taken"]
    assert {"estimate_ms_p50", "estimate_ms_p95", "frame_ms", "cpu_ms"} == set(chosen["measured"])
    assert all(row["measured"] or row["reason"] for row in told["rows"])
    assert BEST_AT_30 in told["chosen"]


@pytest.mark.parametrize("option", ["--target-fps", "--fps"])
def test_more_frames_ask_for_a_lighter_net(on_paper: list[FakeMachine], option: str) -> None:
    told = json.loads(run_tune("--json", option, "60").stdout)
    assert told["target"]["frame_rate"] == 60
    assert told["taken"]["model"] != BEST_AT_30 or told["taken"]["carried"]


def test_what_is_given_is_not_chosen(on_paper: list[FakeMachine]) -> None:
    given = ("--model", "selfie", "--threads", "1", "--when-slow", "drop")
    told = json.loads(run_tune("--json", *given).stdout)
    assert [row["candidate"] for row in told["rows"]] == [{"model": "selfie", "threads": 1, "carried": False}]
    assert told["rows"][0]["measured"], "measured all the same, to be shown"


def test_notices_are_told_and_quiet_is_quiet(on_paper: list[FakeMachine], tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file where the folder should be")
    assert "note: The measurements can't be kept" in run_tune().stderr
    assert run_tune("--quiet").stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--size", "wide"], 2, "1280x720"),
        (["--size", "641x480"], 2, "even"),
        (["--target-fps", "0"], 2, "1 to 240"),
        (["--model", "nope", "--size", "64x48"], 5, "u2netp"),
    ],
)
def test_what_goes_wrong_is_said(arguments: list[str], code: int, says: str) -> None:
    done = rtmatte("tune", *arguments)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_this_machine(tmp_path: Path) -> None:
    done = rtmatte("tune", "--size", "320x240", "--model", "selfie", "--json")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    own = told["rows"][0]
    assert own["candidate"]["model"] == "selfie"
    assert own["input_wh"] == [256, 144]
    assert own["measured"]["frame_ms"] > own["measured"]["estimate_ms_p50"] > 0
    assert told["taken"]["model"] == "selfie"
