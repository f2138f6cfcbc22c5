"""All scenarios by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.vm.guest import ground_scenarios as ground
from tests.vm.guest import live_scenarios as live

Findings: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`run` returns what it found, as JSON can hold it; judging is up to the tests outside."""

    run: Callable[[], Findings]
    timeout_s: float = 150


SCENARIOS: dict[str, Scenario] = {
    "webcam_alone": Scenario(ground.webcam_alone),
    "three_starts": Scenario(live.three_starts),
    "unplug_and_replug": Scenario(live.unplug_and_replug),
    "silent_webcam": Scenario(live.silent_webcam),
    "busy_webcam": Scenario(live.busy_webcam),
    "forbidden_and_missing_webcams": Scenario(live.forbidden_and_missing_webcams),
    "output_faults": Scenario(live.output_faults),
    "all_is_well": Scenario(live.all_is_well),
    "whole_way": Scenario(live.whole_way, timeout_s=390),
    "debian12_fault": Scenario(ground.debian12_fault),
}
