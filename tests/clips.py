"""Tiny test clips by name; each function takes a path (and `ClipSpec` fields) and returns the path. Deterministic.

    from tests import clips
    clips.plain(tmp_path / "a.mp4")  # 12 frames of 128x96 H.264 at 25 fps, numbers 0..11 in the pixels
    clips.vfr(tmp_path / "a.mp4", audio=[clips.Audio(language="eng")])
    clips.write_clip(tmp_path / "a.mp4", pix_fmt="yuv422p", ...)

`read_frame_number` of rtmatte.capture.synthetic reads a picture's number back.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.clip_writer import (
    BT601,
    BT709,
    BT2020,
    FRAME_COUNT,
    FULL_BT709,
    HLG,
    PQ,
    RATE,
    SIZE_WH,
    TICKS,
    UNTAGGED,
    Audio,
    ClipSpec,
    Subtitles,
    add_audio,
    add_video,
    audio_packets,
    video_packets,
    write_clip,
    write_spec,
)

__all__ = [
    "BT601",
    "BT709",
    "BT2020",
    "FRAME_COUNT",
    "FULL_BT709",
    "HLG",
    "PQ",
    "RATE",
    "SIZE_WH",
    "TICKS",
    "UNTAGGED",
    "Audio",
    "ClipSpec",
    "Subtitles",
    "write_clip",
    "write_spec",
]

_BLOCK_HEADER_BYTES = 12  # Matroska counts its own block header into a packet's position
VFR_PTS = (0, 300, 900, 2000, 2001, 5000, 5512, 9000)
"""In units of 1/12800 s."""


def plain(path: Path, **options: Any) -> Path:
    """Constant 25 fps H.264, 8-bit 4:2:0, limited range, untagged."""
    return write_clip(path, **options)


def vfr(path: Path, **options: Any) -> Path:
    """Irregular time stamps `VFR_PTS`; the last frame lasts 512 ticks."""
    return write_clip(path, pts=VFR_PTS, **options)


def rotated(path: Path, degrees: int = 90, *, hflip: bool = False, vflip: bool = False, **options: Any) -> Path:
    """Stored as drawn, with a display matrix: turn by `degrees` counter-clockwise, then mirror. MP4 and MOV only."""
    return write_clip(path, rotation=degrees, hflip=hflip, vflip=vflip, **options)


def odd_size(path: Path, **options: Any) -> Path:
    """97x65: VP9 in .webm, FFV1 in .mkv."""
    codec = "libvpx-vp9" if path.suffix == ".webm" else "ffv1"
    return write_clip(path, **{"size_wh": (97, 65), "codec": codec, **options})


def ten_bit(path: Path, **options: Any) -> Path:
    """H.264 4:2:0 with 10 bits (`pix_fmt` to change)."""
    return write_clip(path, **{"pix_fmt": "yuv420p10le", **options})


def full_range(path: Path, **options: Any) -> Path:
    return write_clip(path, color=FULL_BT709, **options)


def hdr_pq(path: Path, **options: Any) -> Path:
    """HEVC lossless, 10 bit, BT.2020, PQ."""
    return write_clip(path, **{"codec": "libx265", "pix_fmt": "yuv420p10le", "color": PQ, **options})


def hdr_hlg(path: Path, **options: Any) -> Path:
    """HEVC lossless, 10 bit, BT.2020, HLG."""
    return write_clip(path, **{"codec": "libx265", "pix_fmt": "yuv420p10le", "color": HLG, **options})


def non_square(path: Path, **options: Any) -> Path:
    """Sample aspect ratio 4:3."""
    return write_clip(path, sample_aspect_ratio=Fraction(4, 3), **options)


def starts_at(path: Path, seconds: float = 5.0, **options: Any) -> Path:
    """First time stamp at `seconds`; audio, if any, too."""
    first = round(seconds * TICKS)
    count = options.pop("frame_count", FRAME_COUNT)
    return write_clip(path, pts=[first + number * TICKS // 25 for number in range(count)], **options)


def b_frames(path: Path, **options: Any) -> Path:
    """H.264 with three B-frames in a row, so that decoding order is not presentation order."""
    return write_clip(path, codec_options={"bf": "3", "b_strategy": "0"}, **options)


def edit_list(path: Path, skip: int = 3, **options: Any) -> Path:
    """MP4 whose edit list leaves out the first `skip` frames: they are in the file but must not be shown."""
    write_clip(path, **options)
    data = bytearray(path.read_bytes())
    entry = data.index(b"elst") + 12
    duration, media_time = struct.unpack_from(">Ii", data, entry)
    movie_scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    struct.pack_into(
        ">Ii", data, entry, duration - round(skip / RATE * movie_scale), media_time + skip * TICKS // int(RATE)
    )
    path.write_bytes(data)
    return path


def many_streams(path: Path, **options: Any) -> Path:
    """Two audio languages (eng 440 Hz, deu 660 Hz), eng and deu subtitles, two chapters, metadata, a cover picture."""
    return write_clip(
        path,
        **{
            "audio": [Audio(440, "eng"), Audio(660, "deu")],
            "subtitles": [Subtitles("eng"), Subtitles("deu", [(0.0, 0.2, "eins"), (0.2, 0.4, "zwei")])],
            "chapters": [(0.0, 0.2, "first"), (0.2, 0.48, "second")],
            "metadata": {"title": "A title", "artist": "Someone", "comment": "Nothing"},
            "cover": True,
            **options,
        },
    )


def transparent(path: Path, **options: Any) -> Path:
    """FFV1 bgra; .mkv."""
    return write_clip(path, **{"codec": "ffv1", "pix_fmt": "bgra", **options})


def raw_h264(path: Path, **options: Any) -> Path:
    """A bare H.264 byte stream without time stamps; give it the extension .264."""
    return write_clip(path, **{"container_options": {"f": "h264"}, **options})


def audio_only(path: Path, **options: Any) -> Path:
    """Half a second of sine and no video stream; .m4a, .mp4 or .mkv."""
    with av.open(str(path), "w", container_options={"fflags": "+bitexact"}) as container:
        wanted = Audio(seconds=0.5)
        stream = add_audio(container, wanted)
        container.start_encoding()
        container.mux(audio_packets(stream, wanted, ClipSpec(**options)))
    return path


def zero_frames(path: Path, **options: Any) -> Path:
    """A video stream that is declared and has no packet, beside an audio stream; .mkv (MP4 would leave it out)."""
    return write_clip(path, pts=(), audio=[Audio(seconds=0.5)], **options)


def size_change(path: Path, **options: Any) -> Path:
    """MPEG transport stream (.ts): the second half of the frames is 160x128 instead of 128x96, numbers go on."""
    count = options.pop("frame_count", FRAME_COUNT)
    half = count // 2
    ticks = 90000 // 25
    in_band = {"x264-params": "repeat-headers=1:annexb=1"}
    with av.open(str(path), "w", format="mpegts", container_options={"fflags": "+bitexact"}) as container:
        output = container.add_mux_stream("h264", rate=RATE, width=SIZE_WH[0], height=SIZE_WH[1])
        for size_wh, first, frames in ((SIZE_WH, 0, half), ((160, 128), half, count - half)):
            spec = ClipSpec(
                size_wh=size_wh,
                time_base=Fraction(1, 90000),
                pts=[90000 + (first + number) * ticks for number in range(frames)],
                first_number=first,
                codec_options=in_band,
            )
            for packet in _annexb_packets(spec):
                packet.stream = output
                container.mux(packet)
    return path


def _annexb_packets(spec: ClipSpec) -> list[av.Packet]:
    with av.open("/dev/null", "w", format="h264") as scratch:
        stream = add_video(scratch, spec)
        return video_packets(stream, spec)


def damaged(path: Path, packets: Sequence[int] = (4, 7), *, how: str = "payload", **options: Any) -> Path:
    """The clip with the bytes of some video packets overwritten, container structures left alone.

    `how`: "payload" keeps each packet's first 40 bytes (slices are found but wrong), "whole" leaves nothing usable.
    """
    write_clip(path, **options)
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(7)
    for number in packets:
        position, size = places[number]
        begin = position + (min(40, size // 2) if how == "payload" else _BLOCK_HEADER_BYTES)
        data[begin : position + size] = noise.integers(0, 256, position + size - begin, np.uint8).tobytes()
    path.write_bytes(data)
    return path


def truncated(path: Path, share: float = 0.6, **options: Any) -> Path:
    """The first `share` of a clip's bytes; MP4 has its index in front, so that what is there can be read."""
    container_options = {"movflags": "+faststart"} if path.suffix in (".mp4", ".mov") else {}
    write_clip(path, **{"frame_count": 30, "container_options": container_options, **options})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def without_index(path: Path, **options: Any) -> Path:
    """An MP4 that was cut before its index (moov) was written: nothing of it can be decoded."""
    write_clip(path, **{"frame_count": 30, **options})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    return path
