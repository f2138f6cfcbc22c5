"""What runs in the guest: every scenario in turn, each in a process of its own, its findings as JSON in a folder.

python -m tests.vm.guest FOLDER [SCENARIO...]
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from tests.vm.guest.preload import preload
from tests.vm.guest.scenarios import SCENARIOS, Scenario

_FORK = multiprocessing.get_context("fork")


def main() -> None:
    preload()
    sys.stdout.write(f"imports: {time.monotonic():.0f} s after the boot\n")
    folder, chosen = Path(sys.argv[1]), sys.argv[2:] or list(SCENARIOS)
    for name in chosen:
        _run(name, SCENARIOS[name], folder)


def _run(name: str, scenario: Scenario, folder: Path) -> None:
    """Kills whatever the scenario has left running."""
    begin = time.monotonic()
    process = _FORK.Process(target=_record, args=(name, scenario, folder), name=name)
    process.start()
    process.join(scenario.timeout_s)
    if process.is_alive():
        (folder / f"{name}.json").write_text(json.dumps({"error": f"not through after {scenario.timeout_s} s"}))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    sys.stdout.write(f"{name}: {time.monotonic() - begin:.1f} s\n")
    sys.stdout.flush()


def _record(name: str, scenario: Scenario, folder: Path) -> None:
    """One scenario, what it found or how it failed, and what it and its children printed."""
    os.setpgid(0, 0)
    log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    begin = time.monotonic()
    try:
        result: dict[str, object] = {"findings": scenario.run()}
    except BaseException:
        result = {"error": traceback.format_exc()}
    result["seconds"] = round(time.monotonic() - begin, 1)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
