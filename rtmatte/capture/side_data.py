"""What a decoded frame carries beside its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av


def side_data(frame: av.VideoFrame, kind: str) -> bytes | None:
    """The bytes of one kind of FFmpeg frame side data, such as "DISPLAYMATRIX"; None if the frame has none."""
    every: Any = frame.side_data  # PyAV's stub knows motion vectors only
    for number in range(len(every)):
        data = every[number]
        if data.type.name == kind:
            return bytes(data)
    return None
