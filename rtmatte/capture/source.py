"""Where frames come from: the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from rtmatte.frame import Frame, VideoFormat


@runtime_checkable
class Source(Protocol):
    """Frames in presentation order, upright, each with its own time stamp. Iterated once, by one thread.

    `frames_expected` and `duration_seconds` are what the container claims (None: unknown), for progress only.
    `damaged` counts packets that could not be decoded or frames decoded with errors; `truncated` is true once the
    input turned out to end before its own index says; `notices` are sentences for the user (conversions, streams left
    out). They are final when the iteration has ended.
    """

    format: VideoFormat
    frames_expected: int | None
    duration_seconds: float | None
    damaged: int
    truncated: bool
    notices: list[str]

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Frees the device or file; may be called more than once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
