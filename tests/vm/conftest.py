"""One boot for all tests of this folder: every scenario runs in it, each test then reads what one of them found."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import pytest

from tests.vm.image import MachineUnavailableError, obtain_image
from tests.vm.key_model import build_key_model
from tests.vm.machine import MachineFailedError, run_in_machine
from tests.vm.warm_up import guest_environment, warm_up

_TIMEOUT_S = 560
_WEBCAM_SIZE_WH = (320, 240)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the guest left behind: JSON for each scenario, logs, pictures; and why it ended early, if it did."""

    folder: Path
    failure: str


_REPORT: pytest.StashKey[list[str]] = pytest.StashKey()

FindingsOf: TypeAlias = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="session")
def machine_outcome(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Boots the machine and runs every scenario.

    Only with RTMATTE_VM=1, since it installs packages and takes minutes, and where the machine can be had; with
    RTMATTE_REQUIRE_VM=1 it has to be there. RTMATTE_VM_OUT names a folder for what the guest leaves behind.
    """
    if not (os.environ.get("RTMATTE_VM") or os.environ.get("RTMATTE_REQUIRE_VM")):
        pytest.skip("boots a machine and installs packages for it with apt-get; RTMATTE_VM=1 allows it")
    begin = time.monotonic()
    try:
        image = obtain_image()
    except MachineUnavailableError as error:
        if os.environ.get("RTMATTE_REQUIRE_VM"):
            raise
        pytest.skip(f"no machine with real devices: {error}")
    set_up = time.monotonic()
    chosen = os.environ.get("RTMATTE_VM_OUT")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("vm")
    folder.mkdir(parents=True, exist_ok=True)
    build_key_model(folder / "key.onnx")
    _write_portrait(folder / "portrait.png")
    warm_up(image, folder / "key.onnx", folder)
    warm = time.monotonic()
    failure = ""
    try:
        exit_code = run_in_machine(
            image,
            [sys.executable, "-m", "tests.vm.guest", "/out"],
            folder,
            timeout_s=_TIMEOUT_S,
            environment={
                **guest_environment(image, Path("/out/key.onnx")),
                "RTMATTE_VM_PORTRAIT": "/out/portrait.png",
            },
        )
    except MachineFailedError as error:
        failure = str(error)
    else:
        failure = f"the scenarios' runner ended with {exit_code}" if exit_code else ""
    seconds = {"set-up": set_up - begin, "kernels": warm - set_up, "guest": time.monotonic() - warm}
    request.config.stash[_REPORT] = [
        ", ".join(f"{part} {value:.0f} s" for part, value in seconds.items()),
        *(folder / "console.log").read_text(errors="replace").splitlines(),
    ]
    return Outcome(folder, failure)


@pytest.fixture
def findings_of(machine_outcome: Outcome) -> FindingsOf:
    """What a scenario found; fails with its error and log if it didn't come to its end."""

    def read(scenario: str) -> dict[str, Any]:
        file = machine_outcome.folder / f"{scenario}.json"
        assert file.is_file(), machine_outcome.failure or f"{scenario} left no result"
        result = json.loads(file.read_text())
        log = (machine_outcome.folder / f"{scenario}.log").read_text(errors="replace")
        assert "error" not in result, f"{result['error']}\n{log}"
        findings: dict[str, Any] = result["findings"]
        return findings

    return read


def _write_portrait(path: Path) -> None:
    """A person before a wall with a flag and a model rocket, as the webcam will see her."""
    from skimage import data

    width, height = _WEBCAM_SIZE_WH
    square = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    upper = square[: square.shape[1] * height // width]
    cv2.imwrite(str(path), cv2.resize(upper, _WEBCAM_SIZE_WH, interpolation=cv2.INTER_AREA))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """How long the parts of the machine took, and what its console showed."""
    lines = config.stash.get(_REPORT, [])
    if lines:
        terminalreporter.section("machine with real devices")
    for line in lines:
        terminalreporter.write_line(line)
