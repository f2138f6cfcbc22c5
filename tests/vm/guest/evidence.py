"""From what a viewer saw to the figures that a test judges."""

from __future__ import annotations

from typing import Any

from tests.vm.guest.stamped_picture import CLOCK_UNITS_PER_SECOND, Stamp
from tests.vm.guest.viewers import Seen


def summary(seen: list[Seen]) -> dict[str, Any]:
    """Counts over the pictures; `in_order`: neither numbers nor times go back, and a number has only one time."""
    stamps = [picture.reading for picture in seen if isinstance(picture.reading, Stamp)]
    latencies = [
        (picture.arrived - picture.reading.captured) % 0x10000 / CLOCK_UNITS_PER_SECOND
        for picture in seen
        if isinstance(picture.reading, Stamp)
    ]
    pairs = [(stamp.number, stamp.captured) for stamp in stamps]
    return {
        "pictures": len(seen),
        "stamped": len(stamps),
        "distinct": len(set(pairs)),
        "in_order": pairs == sorted(pairs) and len({number for number, _ in pairs}) == len(set(pairs)),
        "torn": sum(picture.reading == "torn" for picture in seen),
        "without_stamp": sum(picture.reading is None for picture in seen),
        "most_room_pixels": max((picture.room_pixels for picture in seen), default=0),
        "backgrounds": sorted({picture.background for picture in seen}),
        "latency_s_median": sorted(latencies)[len(latencies) // 2] if latencies else None,
        "stamps": pairs,
    }
