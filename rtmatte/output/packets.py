"""Encoded packets of a part of a clip, kept in a file until all parts can be joined.

No container does that: each rounds or shifts time stamps in its own way, and here they have to stay as they are.
"""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.video.stream import VideoStream
from numpy.typing import NDArray


class PacketWriter:
    """Writes packets to `path`, one after the other; the file is for `PacketReader` alone.

    `pts` and `dts` of all packets in their order, in units of the encoder's time base. One thread at a time.

    Raises: OSError, as on a full disk.
    """

    def __init__(self, path: Path) -> None:
        self.pts: array[int] = array("q")
        self.dts: array[int] = array("q")
        self._file = path.open("wb")

    def write(self, packet: Packet[VideoStream]) -> None:
        """Appends a packet with its times and side data. Raises: ValueError for one without times."""
        if packet.pts is None or packet.dts is None:
            raise ValueError("expected an encoded packet with its times, got one without")
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        side = [(data.data_type, bytes(data)) for data in packet.iter_sidedata()]
        pickle.dump((bytes(packet), packet.pts, packet.duration, packet.is_keyframe, side), self._file)

    def close(self) -> None:
        """May be called more than once."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class PacketReader:
    """The packets that a `PacketWriter` wrote to `path`, read one at a time; `pts` and `dts` are the writer's."""

    path: Path
    pts: array[int]
    dts: array[int]

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        with self.path.open("rb") as file:
            for _ in self.pts:
                coded, pts, duration, is_keyframe, side = pickle.load(file)
                packet = cast("Packet[VideoStream]", Packet(coded))
                packet.pts, packet.duration, packet.is_keyframe = pts, duration, is_keyframe
                for kind, content in side:
                    # The type stubs don't know the constructor.
                    data = PacketSideData(packet_sidedata_type_from_literal(kind), len(content))  # type: ignore[call-arg]
                    data.update(content)
                    packet.set_sidedata(data, move=True)
                yield packet


def joined_decoding_times(parts: Sequence[PacketReader]) -> array[int]:
    """When each packet of parts in a row is to be decoded: rising, and never after it is shown.

    The encoders didn't know of each other: theirs would overlap at the seams. As an encoder that reorders by up to d
    frames does for a whole clip, packet n gets the n−d-th time at which a frame is shown; the first d get those of the
    first part. Allocates.
    """
    pts = np.concatenate([np.frombuffer(part.pts, np.int64) for part in parts])
    shown = np.sort(pts)
    first = np.frombuffer(parts[0].dts, np.int64)
    lead = int(np.count_nonzero(first < shown[0]))
    delay = max(lead, _reordering(pts, shown))
    before = first[:lead] if delay == lead else shown[0] - np.arange(delay, 0, -1)
    times = np.concatenate([before, shown])[: pts.size]
    return array("q", times.tobytes())


def _reordering(pts: NDArray[np.int64], shown: NDArray[np.int64]) -> int:
    """By how many places a packet comes at most after the place at which it is shown."""
    return max(0, int((np.arange(pts.size) - np.searchsorted(shown, pts)).max()))
