"""One video stream and its companions in a container that appears only when it is complete."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import av.error
from av.codec.context import Flags
from av.packet import Packet
from av.video.stream import VideoStream

from rtmatte.errors import OutputWriteError, UnsupportedOutputError
from rtmatte.frame import VideoFormat
from rtmatte.machine import usable_cores
from rtmatte.output.companions import Companions
from rtmatte.output.encoders import EncoderRow
from rtmatte.output.packets import PacketReader, PacketWriter, joined_decoding_times
from rtmatte.output.staging import StagedFile

_LARGEST_TIMESCALE = 1_000_000_000
"""MP4 holds 32 bits of it; a nanosecond is finer than any frame."""
_LONGEST_REORDER_S = 3600
"""Far more than any encoder holds a frame back, far less than an undefined number."""
_MILLISECOND_CONTAINERS = (".mkv", ".webm")


class ClipWriter:
    """Encodes frames with one encoder and muxes them, with exactly the time stamps they come with.

    `size_wh` is the coded size. Of `companions_from` (the input file, or None) all that isn't video is carried over.
    `threads`: of the encoder, where it can be told; None: as its row says. With `packets`, encoded packets go there, as
    a part of a clip that another writer of the same encoder appends, and no file is published.
    All calls come from one thread, but for `publish` and `discard`, which end it.

    Raises: `OutputExistsError`, `OutputWriteError` (disk full, no permission), `UnsupportedOutputError`.
    """

    def __init__(
        self,
        target: Path,
        video: VideoFormat,
        encoder: EncoderRow,
        *,
        size_wh: tuple[int, int],
        quality: int,
        companions_from: Path | None,
        overwrite: bool,
        threads: int | None = None,
        packets: PacketWriter | None = None,
    ) -> None:
        self.notices: list[str] = []
        self._threads = threads
        self._packets = packets
        self._has_encoded = False
        self._file = StagedFile(target, overwrite=overwrite)
        self._companions: Companions | None = None
        self._shift_ticks: int | None = None
        try:
            with self._readable_errors():
                self.time_base = self._output_time_base(video.time_base)
                self._container = av.open(str(self._file.path), "w", container_options=self._muxer_options(target))
                self._stream = self._add_video(video, encoder, size_wh, quality)
                if companions_from is not None:
                    self._companions = Companions(companions_from, self._container)
                self._container.start_encoding()
        except BaseException:
            self._file.discard()
            raise

    def encode(self, frame: av.VideoFrame, pts: int, duration: int | None, time_base: Fraction) -> None:
        """Encodes one frame to be shown from `pts` for `duration`, both in units of `time_base`."""
        scale = time_base / self.time_base
        ticks = round(pts * scale)
        if self._packets is not None:
            self._shift_ticks = 0
        elif self._shift_ticks is None:
            self._begin_at(ticks)
        self._has_encoded = True
        frame.pts = ticks + (self._shift_ticks or 0)
        frame.duration = round(duration * scale) if duration else 0
        frame.time_base = self.time_base
        with self._readable_errors():
            self._mux(self._stream.encode(frame))

    @property
    def header(self) -> bytes:
        """What a decoder must know before the first packet, as the encoder says; packets of equal headers go together.

        Empty where the encoder puts it into its packets.
        """
        return self._stream.codec_context.extradata or b""

    def append(self, parts: Sequence[PacketReader]) -> None:
        """Muxes the packets of whole parts, one after the other in order of time; instead of `encode`."""
        decoding_times = joined_decoding_times(parts)
        self._begin_at(min(parts[0].pts))
        shift = self._shift_ticks or 0
        with self._readable_errors():
            for packet, dts in zip(chain.from_iterable(parts), decoding_times, strict=True):
                packet.pts, packet.dts = (packet.pts or 0) + shift, dts + shift
                packet.time_base, packet.stream = self.time_base, self._stream
                self._mux([packet])

    def publish(self) -> None:
        """Flushes the encoder, completes the container and gives the file its name."""
        try:
            with self._readable_errors():
                if self._has_encoded:
                    self._mux(self._stream.encode(None))
                if self._packets is not None:
                    self._packets.close()
                    self.discard()
                    return
                if self._companions is not None:
                    self._companions.finish()
                    self.notices += self._companions.notices
                self._container.close()
            self._file.publish()
        except BaseException:
            self.discard()
            raise
        if self._companions is not None:
            self._companions.close()

    def discard(self) -> None:
        """Leaves nothing behind; safe after any failure."""
        # Closing writes the trailer, which fails on the full disk that may have brought us here.
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            self._container.close()
        if self._companions is not None:
            self._companions.close()
        if self._packets is not None:
            self._packets.close()
        self._file.discard()

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None and not self._is_plausible_dts(packet):
                packet.dts = packet.pts
            if self._packets is not None:
                self._packets.write(packet)
                continue
            if self._companions is not None and packet.dts is not None:
                self._companions.advance(packet.dts * packet.time_base)
            self._container.mux(packet)

    def _is_plausible_dts(self, packet: Packet[VideoStream]) -> bool:
        """x265 sometimes leaves the decoding time of a clip of two frames undefined, a number of any size."""
        assert packet.pts is not None
        longest_reorder = _LONGEST_REORDER_S * packet.time_base.denominator
        return packet.dts is not None and packet.pts - longest_reorder <= packet.dts <= packet.pts

    def _add_video(
        self, video: VideoFormat, encoder: EncoderRow, size_wh: tuple[int, int], quality: int
    ) -> VideoStream:
        rate = video.frame_rate_reported or Fraction(30)
        options = encoder.options(quality)
        if self._threads is not None and "x265-params" in options:
            options["x265-params"] += f":pools={self._threads}"
        stream = self._container.add_stream(encoder.name, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        threads = self._threads or encoder.threads(usable_cores())
        if threads is not None:
            context.thread_count = threads
        context.width, context.height = size_wh
        context.pix_fmt = encoder.pix_fmt
        context.time_base = stream.time_base = self.time_base
        context.flags |= Flags.frame_duration  # else the last frame lasts as long as the nominal frame rate says
        context.sample_aspect_ratio = video.sample_aspect_ratio
        if encoder.codec == "hevc" and self._file.target.suffix.lower() in (".mp4", ".mov", ".m4v"):
            context.codec_tag = "hvc1"  # the tag that Apple's players insist on
        color = video.color
        context.colorspace, context.color_primaries, context.color_trc = (
            color.matrix_code,
            color.primaries_code,
            color.transfer_code,
        )
        if color.range_tagged or color.full_range:
            context.color_range = 2 if color.full_range else 1
        return stream

    def _output_time_base(self, time_base: Fraction) -> Fraction:
        if self._file.target.suffix.lower() in _MILLISECOND_CONTAINERS and 1000 % time_base.denominator:
            self.notices.append(
                f"{self._file.target.suffix} keeps times in whole milliseconds: time stamps are rounded to the nearest "
                "(write .mp4 or .mov to keep them exact)."
            )
        if time_base.denominator > _LARGEST_TIMESCALE:
            self.notices.append(f"Time stamps in units of {time_base} s are rounded to the nearest nanosecond.")
        return Fraction(1, min(time_base.denominator, _LARGEST_TIMESCALE))

    def _muxer_options(self, target: Path) -> dict[str, str]:
        if target.suffix.lower() in (".mp4", ".mov", ".m4v"):
            timescale = str(self.time_base.denominator)
            # movie_timescale: edit lists (a start other than 0) are in its units, milliseconds unless told.
            return {"video_track_timescale": timescale, "movie_timescale": timescale, "movflags": "+faststart"}
        return {}

    def _begin_at(self, ticks: int) -> None:
        """Containers can't show what comes before time 0: everything is moved by the same amount instead."""
        self._shift_ticks = max(0, -ticks)
        if self._shift_ticks:
            seconds = self._shift_ticks * self.time_base
            self.notices.append(f"The input starts {float(seconds):.3f} s before time 0: all streams moved by as much.")
            if self._companions is not None:
                self._companions.shift_seconds = seconds

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        target = self._file.target
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            if isinstance(error, OutputWriteError):
                raise
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OutputWriteError(
                    f"Cannot write {target}: {error.strerror or 'no space left'}. Nothing was kept.",
                    hint="Free some space or write to another disk.",
                ) from error
            raise OutputWriteError(f"Cannot write {target}: {error}. Nothing was kept.") from error
        except ValueError as error:
            if isinstance(error, UnsupportedOutputError):
                raise
            raise UnsupportedOutputError(f"Cannot write {target}: {error}.") from error
