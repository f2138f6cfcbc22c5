"""Writes tiny clips with PyAV: every frame carries its number in its pixels. The named cases are in `clips.py`.

The number is read back with `rtmatte.capture.synthetic.read_frame_number`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from rtmatte.capture.synthetic import draw_test_pattern
from rtmatte.frame import I420, ColorTags

SIZE_WH = (128, 96)
FRAME_COUNT = 12
RATE = Fraction(25)
TICKS = 12800
"""Default time base: 1/12800 s, 512 ticks a frame at 25 fps."""

UNTAGGED = ColorTags()
BT601 = ColorTags(6, 6, 6, full_range=False, range_tagged=True)
BT709 = ColorTags(1, 1, 1, full_range=False, range_tagged=True)
BT2020 = ColorTags(9, 9, 14, full_range=False, range_tagged=True)
FULL_BT709 = ColorTags(1, 1, 1, full_range=True, range_tagged=True)
PQ = ColorTags(9, 9, 16, full_range=False, range_tagged=True)
HLG = ColorTags(9, 9, 18, full_range=False, range_tagged=True)

DrawFrame = Callable[[I420, int], None]

_LOSSLESS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "ultrafast", "crf": "12", "threads": "1", "g": "12", "bf": "0"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:lossless=1:bframes=0:pools=none:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "threads": "1"},
    "ffv1": {"slicecrc": "1", "level": "3", "g": "1"},
}


@dataclass(frozen=True)
class Audio:
    """A sine in a stream of its own."""

    hz: float = 440.0
    language: str = "und"
    codec: str = "aac"
    sample_rate: int = 48000
    seconds: float | None = None
    """None: as long as the video."""


@dataclass(frozen=True)
class Subtitles:
    """Text subtitles: (start second, end second, text) each."""

    language: str = "und"
    lines: Sequence[tuple[float, float, str]] = ((0.0, 0.2, "one"), (0.2, 0.4, "two"))


@dataclass(frozen=True)
class ClipSpec:
    """Everything that can be said of a clip. `pts` are in units of `time_base`; None: constant `frame_rate` from 0."""

    size_wh: tuple[int, int] = SIZE_WH
    frame_count: int = FRAME_COUNT
    frame_rate: Fraction = RATE
    time_base: Fraction = Fraction(1, TICKS)
    pts: Sequence[int] | None = None
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    codec_options: dict[str, str] = field(default_factory=dict)
    color: ColorTags = UNTAGGED
    rotation: int = 0
    """Degrees counter-clockwise that a player must turn the picture by, as `VideoFrame.rotation` says."""
    hflip: bool = False
    vflip: bool = False
    display_matrix: Sequence[int] | None = None
    sample_aspect_ratio: Fraction | None = None
    first_number: int = 0
    draw: DrawFrame = draw_test_pattern
    audio: Sequence[Audio] = ()
    subtitles: Sequence[Subtitles] = ()
    chapters: Sequence[tuple[float, float, str]] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    cover: bool = False
    second_video: bool = False
    """A further video stream, inverted, without the default disposition."""
    container_options: dict[str, str] = field(default_factory=dict)

    def frame_pts(self) -> list[int]:
        if self.pts is not None:
            return list(self.pts)
        return [round(n / self.frame_rate / self.time_base) for n in range(self.frame_count)]

    def durations(self) -> list[int]:
        pts = self.frame_pts()
        usual = round(1 / self.frame_rate / self.time_base)
        return [later - earlier for earlier, later in pairwise(pts)] + [usual] * (len(pts) > 0)


def write_clip(path: Path, **options: Any) -> Path:
    """Writes a clip as the fields of `ClipSpec` say; the container follows the extension."""
    return write_spec(path, ClipSpec(**options))


def write_spec(path: Path, spec: ClipSpec) -> Path:
    options = {"fflags": "+bitexact", **spec.container_options}
    with av.open(str(path), "w", container_options=options) as container:
        container.metadata.update(spec.metadata)
        video = [add_video(container, spec)]
        if spec.second_video:
            video.append(add_video(container, spec))
        audio = [add_audio(container, wanted) for wanted in spec.audio]
        texts = [_add_subtitles(container, wanted) for wanted in spec.subtitles]
        cover = _add_cover(container, path) if spec.cover else None
        if spec.chapters:
            container.set_chapters([_chapter(n, *chapter) for n, chapter in enumerate(spec.chapters)])
        if spec.second_video:
            video[0].disposition, video[1].disposition = av.stream.Disposition.default, av.stream.Disposition(0)
        container.start_encoding()
        if cover is not None:
            container.mux(cover)
        for stream, wanted in zip(texts, spec.subtitles, strict=True):
            container.mux(_subtitle_packets(stream, wanted))
        for stream, wanted in zip(audio, spec.audio, strict=True):
            container.mux(audio_packets(stream, wanted, spec))
        for stream in video:
            container.mux(video_packets(stream, spec))
    return path


def add_video(container: av.container.OutputContainer, spec: ClipSpec) -> av.VideoStream:
    stream = container.add_stream(spec.codec, rate=spec.frame_rate)
    stream.width, stream.height = spec.size_wh
    stream.pix_fmt = spec.pix_fmt
    stream.codec_context.time_base = spec.time_base
    stream.time_base = spec.time_base
    stream.options = {**_LOSSLESS.get(spec.codec, {}), **spec.codec_options}
    stream.codec_context.flags |= int(av.codec.context.Flags.bitexact)
    stream.codec_context.colorspace = spec.color.matrix_code
    stream.codec_context.color_primaries = spec.color.primaries_code
    stream.codec_context.color_trc = spec.color.transfer_code
    if spec.color.range_tagged:
        stream.codec_context.color_range = 2 if spec.color.full_range else 1
    if spec.sample_aspect_ratio is not None:
        stream.codec_context.sample_aspect_ratio = spec.sample_aspect_ratio
    if spec.display_matrix is not None:
        stream.set_display_matrix(spec.display_matrix)
    elif spec.rotation or spec.hflip or spec.vflip:
        stream.set_display_rotation(spec.rotation, hflip=spec.hflip, vflip=spec.vflip)
    return stream


def video_packets(stream: av.VideoStream, spec: ClipSpec) -> list[av.Packet]:
    """All packets of the video, with exact pts and durations."""
    packets: list[av.Packet] = []
    pts = spec.frame_pts()
    inverted = stream.index > 0
    for number, value in enumerate(pts):
        picture = I420.allocate(spec.size_wh, spec.color)
        spec.draw(picture, spec.first_number + number)
        if inverted:
            np.bitwise_not(picture.buffer, out=picture.buffer)
        frame = as_video_frame(picture, spec.pix_fmt)
        frame.pts, frame.time_base = value, spec.time_base
        packets += stream.encode(frame)
    packets += stream.encode(None)
    durations = dict(zip(pts, spec.durations(), strict=True))
    for packet in packets:
        packet.duration = durations[packet.pts]
    return packets


def as_video_frame(picture: I420, pix_fmt: str) -> av.VideoFrame:
    """An av frame with the same content in another pixel format, matrix and range kept."""
    frame = av.VideoFrame(*picture.size_wh, "yuv420p")
    for plane, values in zip(frame.planes, picture.planes, strict=True):
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        rows[:, : plane.width] = values
    space = {"bt601": "ITU601", "bt709": "ITU709", "bt2020": "BT2020"}[picture.color.matrix(picture.size_wh[1])]
    span = 2 if picture.color.full_range else 1
    rgb = pix_fmt.startswith(("rgb", "bgr", "gbr", "argb"))
    return frame.reformat(
        format=pix_fmt,
        src_colorspace=space,
        dst_colorspace=space,
        src_color_range=span,
        dst_color_range=2 if rgb else span,
    )


def add_audio(container: av.container.OutputContainer, wanted: Audio) -> av.AudioStream:
    stream = container.add_stream(wanted.codec, rate=wanted.sample_rate)
    stream.layout = "mono"
    stream.time_base = Fraction(1, wanted.sample_rate)
    stream.codec_context.flags |= int(av.codec.context.Flags.bitexact)
    stream.metadata["language"] = wanted.language
    return stream


def audio_packets(stream: av.AudioStream, wanted: Audio, spec: ClipSpec) -> list[av.Packet]:
    pts = spec.frame_pts()
    start = float(pts[0] * spec.time_base) if pts else 0.0
    seconds = wanted.seconds if wanted.seconds is not None else float(sum(spec.durations()) * spec.time_base)
    count = round(seconds * wanted.sample_rate)
    samples = (np.sin(2 * np.pi * wanted.hz * np.arange(count) / wanted.sample_rate) * 8000).astype(np.int16)
    packets: list[av.Packet] = []
    resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=wanted.sample_rate)
    step = stream.codec_context.frame_size or 1024
    for begin in range(0, count, step):
        frame = av.AudioFrame.from_ndarray(samples[None, begin : begin + step], format="s16", layout="mono")
        frame.sample_rate = wanted.sample_rate
        frame.pts, frame.time_base = round(start * wanted.sample_rate) + begin, Fraction(1, wanted.sample_rate)
        for ready in resampler.resample(frame):
            packets += stream.encode(ready)
    return packets + stream.encode(None)


def _add_subtitles(container: av.container.OutputContainer, wanted: Subtitles) -> av.subtitles.stream.SubtitleStream:
    text_codec = "mov_text" if "mp4" in container.format.name or "mov" in container.format.name else "srt"
    stream = container.add_stream(text_codec)
    stream.codec_context.subtitle_header = (
        b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
        b"Style: Default,Arial,16\n\n[Events]\nFormat: Layer, Start, End, Style, Text\n"
    )
    stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = wanted.language
    return stream


def _subtitle_packets(stream: av.subtitles.stream.SubtitleStream, wanted: Subtitles) -> Iterable[av.Packet]:
    for number, (start, end, text) in enumerate(wanted.lines):
        ass = f"{number},0,Default,,0,0,0,,{text}".encode()
        subtitle = av.subtitles.subtitle.SubtitleSet.create(ass, 0, round(1000 * (end - start)), 0)
        packet = stream.codec_context.encode_subtitle(subtitle)
        packet.stream = stream
        packet.time_base = Fraction(1, 1000)
        packet.pts = packet.dts = round(1000 * start)
        packet.duration = round(1000 * (end - start))
        yield packet


def _chapter(number: int, start: float, end: float, title: str) -> av.container.core.Chapter:
    base = Fraction(1, 1000)
    return {
        "id": number + 1,
        "start": round(start * 1000),
        "end": round(end * 1000),
        "time_base": base,
        "metadata": {"title": title},
    }


def _add_cover(container: av.container.OutputContainer, path: Path) -> av.Packet | None:
    jpeg = cv2.imencode(".jpg", np.full((32, 32, 3), (0, 128, 255), np.uint8))[1].tobytes()
    if path.suffix in (".mkv", ".webm"):
        container.add_attachment("cover.jpg", "image/jpeg", jpeg)
        return None
    stream = container.add_mux_stream("mjpeg", width=32, height=32)
    stream.disposition = av.stream.Disposition.attached_pic
    packet = av.Packet(jpeg)
    packet.stream = stream
    packet.time_base = Fraction(1, 90000)
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    return packet
