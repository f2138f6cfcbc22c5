"""What else decides how fast a machine is at the moment: power, heat, and other programs. Linux tells; others don't."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_OTHERS_SHARE = 0.1
"""Of the processor, for other programs: more, and it is said."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """One moment. None: not readable here.

    `governors`: how the kernel chooses the processor's clock ("performance", "powersave"). `throttled` counts how often
    a core or the package was slowed down for heat since the machine started.
    """

    governors: tuple[str, ...]
    throttled: int | None
    on_battery: bool | None


def read_conditions(root: Path = Path("/sys")) -> Conditions:
    """Reads them; `root` stands in for /sys."""
    cpus = root / "devices/system/cpu"
    governors = {_text(path) for path in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    counters = [
        int(text)
        for kind in ("core", "package")
        for path in cpus.glob(f"cpu[0-9]*/thermal_throttle/{kind}_throttle_count")
        if (text := _text(path)).isdigit()
    ]
    return Conditions(
        governors=tuple(sorted(governors - {""})),
        throttled=sum(counters) if counters else None,
        on_battery=_on_battery(root / "class/power_supply"),
    )


def _on_battery(supplies: Path) -> bool | None:
    """Whether a battery of the machine itself (not of a mouse, say) is being emptied."""
    states = [
        _text(path / "status")
        for path in supplies.glob("*")
        if _text(path / "type") == "Battery" and _text(path / "scope") != "Device"
    ]
    return "Discharging" in states if states else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def as_dict(
    before: Conditions, after: Conditions, *, others_shares: Iterable[float | None], gpu_slowed_by: Iterable[str]
) -> dict[str, Any]:
    """For the results file: as it was at the beginning, how often the machine was slowed down for heat since, the most
    of the processor (0 to 1) that other programs used during a run, and what slowed the GPU down. The last two out of
    what was seen in all runs."""
    since = None
    if before.throttled is not None and after.throttled is not None:
        since = after.throttled - before.throttled
    most = max((share for share in others_shares if share is not None), default=None)
    return {
        **asdict(before),
        "governors": list(before.governors),
        "throttled": since,
        "others_share": most,
        "gpu_slowed_by": sorted(set(gpu_slowed_by)),
    }


def warnings_of(conditions: dict[str, Any]) -> list[str]:
    """Sentences about what makes a result hard to compare, from `as_dict`."""
    told = []
    if "powersave" in conditions["governors"]:
        told.append("The processor's governor is powersave: clocks may be lower than this machine can.")
    if conditions["on_battery"]:
        told.append("The machine ran on battery.")
    if conditions["throttled"]:
        told.append(f"The processor was slowed down for heat {conditions['throttled']} times during the run.")
    if conditions["gpu_slowed_by"]:
        told.append(f"The GPU was slowed down by {' and '.join(conditions['gpu_slowed_by'])}.")
    share = conditions["others_share"]
    if share is not None and share > _OTHERS_SHARE:
        told.append(f"Other programs used up to {share:.0%} of the processor during a run.")
    return told
