"""What a finished run over a clip tells about itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.output.sink import Sink
from rtmatte.stats import LatencyHistogram, StageTime, stage_time


@dataclass(frozen=True, slots=True)
class Report:
    """A run over a clip.

    `damaged` counts input packets or frames with errors; `truncated`: the input ends before its own index says.
    `jobs`: how many processes did it side by side; `provider` is that of each, and `stages` count all of them.
    `speed` is input seconds per second of work (None where the input has no duration). `stages` in the order of the
    pipeline, each with the time it worked for one frame, without the time it waited. `provider_reason`: why the model
    ran there. `propagated` counts the frames that it wasn't asked about, since motion told their masks.
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
    provider_reason: str = ""
    propagated: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON."""
        return asdict(self)


def clip_report(
    source: Path,
    target: Path,
    clip: VideoFileSource,
    sink: Sink,
    *,
    seconds: float,
    frames: int,
    damaged: int,
    truncated: bool,
    model: str,
    provider: str,
    provider_reason: str,
    background: str,
    times: Mapping[str, LatencyHistogram],
    notices: Iterable[str],
    jobs: int = 1,
    propagated: int = 0,
) -> Report:
    """Of a run from a file to a file, in which every frame that comes in goes out; `times` by stage, in order."""
    return Report(
        source=str(source),
        target=str(target),
        size_wh=clip.format.size_wh,
        frames_in=frames,
        frames_out=frames,
        dropped=0,
        damaged=damaged,
        truncated=truncated,
        seconds=seconds,
        frame_rate=frames / seconds,
        speed=clip.duration_seconds / seconds if clip.duration_seconds else None,
        model=model,
        provider=provider,
        encoder=sink.encoder,
        background=background,
        stages=tuple(stage_time(name, histogram) for name, histogram in times.items()),
        notices=tuple(notices),
        jobs=jobs,
        provider_reason=provider_reason,
        propagated=propagated,
    )
