"""Where finished pictures go: the protocol, and what all sinks into clips have in common."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from rtmatte.frame import U8, Frame

if TYPE_CHECKING:
    from rtmatte.output.clip_writer import ClipWriter


@runtime_checkable
class Sink(Protocol):
    """Takes finished frames in presentation order, from one thread.

    Used as a context manager: a clean exit publishes the result, an exit by an exception leaves nothing behind that
    looks finished. `notices` are sentences for the user (streams re-encoded or left out, sizes changed).
    """

    notices: list[str]
    encoder: str

    def send(self, frame: Frame, alpha_u8: U8 | None) -> None:
        """One frame; `alpha_u8` is (H, W) uint8, 255 = foreground, for sinks that keep transparency, else None.

        Nothing of the frame is kept after the call returns.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ClipSink(Sink, Protocol):
    """A sink into a clip, with what writes it: packets that others have encoded can be appended there."""

    writer: ClipWriter

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.writer.publish()
        else:
            self.writer.discard()
