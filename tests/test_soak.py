"""The soak benchmark's own code for one minute: what it measures over half an hour must hold from the start."""

from __future__ import annotations

import pytest
from soak import soak

from rtmatte.settings import LiveSettings

_SECONDS = 60.0


@pytest.mark.slow
def test_a_minute_of_live_running_leaves_nothing_behind() -> None:
    figures = soak(LiveSettings(camera="pattern", size_wh=(640, 360), model="selfie", when_slow="drop"), _SECONDS)
    assert figures["seconds"] >= _SECONDS
    assert figures["faults"] == 0
    assert figures["sent"] > 0
    # Every captured frame was sent, or dropped for a newer one, or was in one of the few hands when it ended.
    assert 0 <= figures["unaccounted"] <= 6 + figures["cards"]
    memory = figures["memory_mb"]
    assert memory["at_the_end"] - memory["after_warm_up"] < 8
