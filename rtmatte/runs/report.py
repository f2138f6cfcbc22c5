"""What a finished run tells about itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rtmatte.stats import StageTime


@dataclass(frozen=True, slots=True)
class Report:
    """A run over a clip.

    `damaged` counts input packets or frames with errors; `truncated`: the input ends before its own index says.
    `jobs`: how many processes did it side by side; `provider` is that of each, and `stages` count all of them.
    `speed` is input seconds per second of work (None where the input has no duration). `stages` in the order of the
    pipeline, each with the time it worked for one frame, without the time it waited.
    """

    source: str
    target: str
    size_wh: tuple[int, int]
    frames_in: int
    frames_out: int
    dropped: int
    damaged: int
    truncated: bool
    seconds: float
    frame_rate: float
    speed: float | None
    model: str
    provider: str
    encoder: str
    background: str
    stages: tuple[StageTime, ...]
    notices: tuple[str, ...]
    jobs: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON."""
        return asdict(self)
