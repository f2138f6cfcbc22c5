"""Everything of a clip that isn't its picture: audio, subtitles, cover art, fonts, chapters, metadata.

Copied packet by packet where the new container takes the codec; otherwise re-encoded, or left out, with a notice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

_BOOKKEEPING = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration", "handler_name", "vendor_id"}
"""Metadata that describes the old file, not its content."""


class _Carrier(Protocol):
    """Turns one packet of an old stream into packets of a new one; `None` is the end of the stream."""

    def __call__(self, packet: Packet[Stream] | None) -> Iterable[Packet[Stream]]: ...


class Companions:
    """The other streams of the clip at `path`, on their way into `target`.

    Made before the first frame is encoded (it adds the streams), then driven by the video's clock: `advance` muxes all
    packets up to a time, `finish` the rest, so that the interleaving stays right without a second thread.
    `notices` says what could not be copied as it was.
    """

    def __init__(self, path: Path, target: OutputContainer) -> None:
        self.notices: list[str] = []
        self._path = path
        self._target = target
        self._source = av.open(str(path))
        self._carriers: dict[int, _Carrier] = {}
        target.metadata.update(_content_metadata(self._source.metadata))
        if chapters := self._source.chapters():
            target.set_chapters(chapters)
        for stream in self._source.streams:
            carrier = self._add(stream)
            if carrier is None:
                stream.discard = Discard.all
            else:
                self._carriers[stream.index] = carrier
        if not self._carriers:
            # An open MP4 keeps a table of all its packets in memory.
            self._source.close()
        self._packets = self._read()
        self._waiting: Packet[Stream] | None = next(self._packets, None)
        self.shift_seconds = Fraction(0)

    def advance(self, until_seconds: Fraction) -> None:
        """Muxes every packet that starts at or before that time."""
        while self._waiting is not None and _seconds(self._waiting) + self.shift_seconds <= until_seconds:
            self._mux(self._waiting)
            self._waiting = next(self._packets, None)

    def finish(self) -> None:
        """Muxes what is left and flushes the re-encoders."""
        while self._waiting is not None:
            self._mux(self._waiting)
            self._waiting = next(self._packets, None)
        for carrier in self._carriers.values():
            self._target.mux(list(carrier(None)))

    def close(self) -> None:
        """Closes the old file; may be called twice."""
        self._source.close()

    def _read(self) -> Iterator[Packet[Stream]]:
        if not self._carriers:
            return
        streams = [self._source.streams[index] for index in self._carriers]
        try:
            for packet in self._source.demux(streams):
                if not packet.size:
                    continue
                if packet.dts is None and packet.stream.disposition & Disposition.attached_pic:
                    packet.pts = packet.dts = 0
                if packet.dts is not None:
                    yield packet
        except (av.error.FFmpegError, OSError) as error:
            self.notices.append(f"{self._path.name}: audio and subtitles end early, the file is damaged ({error}).")

    def _mux(self, packet: Packet[Stream]) -> None:
        if self.shift_seconds:
            ticks = round(self.shift_seconds / packet.time_base)
            packet.pts = packet.pts + ticks if packet.pts is not None else None
            packet.dts = packet.dts + ticks if packet.dts is not None else None
        self._target.mux(list(self._carriers[packet.stream.index](packet)))

    def _add(self, stream: Stream) -> _Carrier | None:
        if isinstance(stream, AudioStream):
            return self._add_audio(stream)
        if isinstance(stream, SubtitleStream):
            return self._add_subtitle(stream)
        if isinstance(stream, AttachmentStream):
            self._add_attachment(stream)
        elif isinstance(stream, VideoStream):
            if stream.disposition & Disposition.attached_pic:
                return self._copy(stream, "cover art")
        elif stream.type != "data" or not self._source.chapters():  # MP4 keeps chapters a second time as data
            self._leave_out(stream, f"{stream.type} stream")
        return None

    def _copy(self, stream: Stream, what: str) -> _Carrier | None:
        if not self._takes(stream):
            self._leave_out(stream, what)
            return None
        copy = self._target.add_stream_from_template(stream)
        _describe(copy, stream)

        def carry(packet: Packet[Stream] | None) -> Iterable[Packet[Stream]]:
            if packet is None:
                return []
            packet.stream = copy
            return [packet]

        return carry

    def _add_audio(self, stream: AudioStream) -> _Carrier | None:
        if self._takes(stream):
            return self._copy(stream, "audio")
        codec = self._target.default_audio_codec
        # libopus takes five rates, not 44.1 kHz; the resampler inside the encoder does the rest.
        codec, rate = ("libopus", 48000) if codec == "opus" else (codec, stream.codec_context.sample_rate)
        encoder = self._target.add_stream(codec, rate=rate)
        assert isinstance(encoder, AudioStream)
        encoder.codec_context.layout = stream.codec_context.layout.name
        encoder.codec_context.bit_rate = 96_000 * max(1, stream.codec_context.layout.nb_channels)
        _describe(encoder, stream)
        self.notices.append(
            f"Audio stream {stream.index} re-encoded from {stream.codec_context.name} to {encoder.codec_context.name}: "
            f"{self._target.format.name} does not take it as it is."
        )

        def carry(packet: Packet[Stream] | None) -> Iterable[Packet[Stream]]:
            for frame in stream.decode(cast("Packet[AudioStream] | None", packet)):
                yield from cast("Iterable[Packet[Stream]]", encoder.encode(frame))
            if packet is None:
                yield from cast("Iterable[Packet[Stream]]", encoder.encode(None))

        return carry

    def _add_subtitle(self, stream: SubtitleStream) -> _Carrier | None:
        if self._takes(stream):
            return self._copy(stream, "subtitles")
        codec = "mov_text" if "mov_text" in self._target.supported_codecs else self._target.default_subtitle_codec
        decoder = stream.codec_context
        with contextlib.suppress(av.error.FFmpegError):  # an unknown format has no header, and is left out below
            decoder.open(strict=False)
        if codec == "none" or not decoder.subtitle_header:
            self._leave_out(stream, "subtitles")
            return None
        encoder = self._target.add_stream(codec)
        assert isinstance(encoder, SubtitleStream)
        encoder.codec_context.subtitle_header = decoder.subtitle_header
        time_base = stream.time_base or Fraction(1, 1000)
        encoder.time_base = encoder.codec_context.time_base = time_base
        _describe(encoder, stream)
        self.notices.append(f"Subtitle stream {stream.index} converted from {decoder.name} to {codec}.")

        def carry(packet: Packet[Stream] | None) -> Iterable[Packet[Stream]]:
            subtitle = decoder.decode2(packet) if packet is not None else None
            if packet is None or subtitle is None:
                return []
            encoded = encoder.codec_context.encode_subtitle(subtitle)
            encoded.pts = encoded.dts = packet.pts
            encoded.duration = packet.duration
            encoded.time_base = packet.time_base
            encoded.stream = encoder
            return [encoded]

        return carry

    def _add_attachment(self, stream: AttachmentStream) -> None:
        if "matroska" in self._target.format.name:
            self._target.add_attachment(
                stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data
            )
        else:
            self._leave_out(stream, f"attachment {stream.name}")

    def _takes(self, stream: Stream) -> bool:
        context = stream.codec_context
        return context is not None and context.codec.canonical_name in self._target.supported_codecs

    def _leave_out(self, stream: Stream, what: str) -> None:
        codec = stream.codec_context.name if stream.codec_context is not None else "unknown codec"
        self.notices.append(
            f"Stream {stream.index} ({what}, {codec}) left out: {self._target.format.name} can't hold it."
        )


def _describe(new: Stream, old: Stream) -> None:
    new.metadata.update(_content_metadata(old.metadata))
    new.disposition = old.disposition


def _content_metadata(metadata: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if key.lower() not in _BOOKKEEPING}


def _seconds(packet: Packet[Stream]) -> Fraction:
    assert packet.dts is not None
    return packet.dts * packet.time_base
