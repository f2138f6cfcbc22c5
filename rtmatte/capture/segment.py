"""A stretch of a clip that is worked on by itself, and where a clip can be cut into such stretches."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtmatte.capture.opening import choose_video, open_container


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame at which decoding can begin, in units of the stream's time base: when it is shown, and decoded."""

    pts: int
    dts: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The frames from `keep_from` until before `end`, and those from `begin` on that come before, to warm up with.

    All in units of the stream's time base. `first_index`: of the frame at `begin`, counted in the whole clip. `key`:
    where decoding begins, at or before `begin`; None: where the file does. `end` None: to the end of the file.
    """

    number: int
    key: KeyFrame | None
    begin: int
    first_index: int
    keep_from: int
    end: int | None
    last_warm_up: int | None
    """The last frame before `keep_from`."""
    last_kept: int
    """The last frame before `end`."""

    @property
    def kept(self) -> tuple[int, int | None]:
        """From where on frames are kept, and where that ends."""
        return self.keep_from, self.end


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """When all frames of a clip are shown, in rising order, and its key frames, likewise."""

    pts: array[int]
    keys: tuple[KeyFrame, ...]


def read_frame_index(path: Path) -> FrameIndex | None:
    """Reads the packets of a clip's main video stream; nothing is decoded. 8 bytes of memory a frame.

    None where packets don't tell when each frame is shown (only decoding does then), or can't be read to the end.

    Raises: as `open_container` and `choose_video`.
    """
    import av.error

    pts: array[int] = array("q")
    keys: list[KeyFrame] = []
    with open_container(path) as container:
        stream = choose_video(container, path, [])
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                if packet.pts is None:
                    return None
                if packet.is_keyframe:
                    keys.append(KeyFrame(packet.pts, packet.pts if packet.dts is None else packet.dts))
                if not packet.is_discard:
                    pts.append(packet.pts)
        except av.error.FFmpegError:
            return None
    ordered = np.sort(np.asarray(pts, np.int64))
    if not np.diff(ordered).all():
        return None
    return FrameIndex(array("q", ordered.tobytes()), tuple(sorted(keys, key=lambda key: key.pts)))
