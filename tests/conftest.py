"""What every test gets: no thread of ours may outlive it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

_CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    yield
    deadline = time.monotonic() + 5
    while leaked := [thread.name for thread in threading.enumerate() if thread.name.startswith("rtmatte-")]:
        assert time.monotonic() < deadline, f"threads left running: {leaked}"
        time.sleep(0.01)


@pytest.fixture(scope="session", autouse=True)
def _tuning_of_the_tests_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Measurements of the user's machine are neither read nor replaced, by other processes neither."""
    with patch.dict(os.environ, {"RTMATTE_TUNING": str(tmp_path_factory.mktemp("tuning"))}):
        yield


@pytest.fixture(scope="session")
def real_clips() -> Path:
    """The folder of real clips with exact truth; tests that need it are skipped where it isn't."""
    if not _CLIPS.is_dir():
        pytest.skip("real clips are not on this machine")
    return _CLIPS
