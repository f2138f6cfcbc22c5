"""All scenarios by name, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.vm.guest import ground_scenarios as ground

Findings: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """`run` returns what it found, as JSON can hold it; judging is up to the tests outside."""

    run: Callable[[], Findings]
    timeout_s: float = 90


SCENARIOS: dict[str, Scenario] = {
    "webcam_alone": Scenario(ground.webcam_alone),
    "debian12_fault": Scenario(ground.debian12_fault),
}
