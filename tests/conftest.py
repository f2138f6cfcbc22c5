"""What every test gets: no thread of ours may outlive it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while leaked := [thread.name for thread in threading.enumerate() if thread.name.startswith("rtmatte-")]:
        assert time.monotonic() < deadline, f"threads left running: {leaked}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder of real clips with exact truth; tests that need it are skipped where it isn't."""
    if not _CLIPS.is_dir():
        pytest.skip("real clips are not on this machine")
    return _CLIPS
