"""Packets to frames, past whatever is broken in them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av
    from av.container import InputContainer


class PacketDecoder:
    """Decodes one video stream with FFmpeg's own threads: `threads` of them, or one for each core.

    `errors` counts packets that gave no frame but an error, of those shown within `span` where that is given (from the
    first time stamp until before the second, or the end); `broke_off` tells that the file could not be read to its end.
    Neither ends the iteration early: decoding goes on with the next packet.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: av.VideoStream,
        *,
        threads: int | None = None,
        span: tuple[int, int | None] | None = None,
    ) -> None:
        self.errors = 0
        self.broke_off = False
        self._path = path
        self._container = container
        self._stream = stream
        self.span = span
        self._first_error: str | None = None
        self._owed = 0
        """Packets that have given neither a frame nor an error so far."""
        self._newest_packet_pts: int | None = None
        # Of a stream that was read before, as after rewinding, it can't be changed any more.
        if not stream.codec_context.is_open:
            stream.thread_type = "AUTO"
            stream.thread_count = threads or 0

    def frames(self) -> Generator[av.VideoFrame, None, None]:
        """All frames in presentation order."""
        newest_frame_pts: int | None = None
        for packet in self._packets():
            for frame in self._decode(self._stream, packet):
                newest_frame_pts = frame.pts
                yield frame
        if newest_frame_pts is not None and self._owed > 0 and (self._newest_packet_pts or 0) > newest_frame_pts:
            yield from self._lost_tail(newest_frame_pts)

    def first_error_text(self) -> str:
        """What the decoder said first, ready to be put into a sentence; empty without an error."""
        return f" (first: {self._first_error})" if self._first_error else ""

    def _packets(self) -> Iterator[av.Packet[av.VideoStream] | None]:
        """The packets of the stream; None to flush the decoder after a read error."""
        import av.error

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError as error:
                self._note(error)
                self.broke_off = True
                yield None
                return
            if packet.size and not packet.is_discard:
                self._owed += 1
                if packet.pts is not None:
                    self._newest_packet_pts = max(packet.pts, self._newest_packet_pts or packet.pts)
            yield packet

    def _decode(self, stream: av.VideoStream, packet: av.Packet[av.VideoStream] | None) -> list[av.VideoFrame]:
        import av.error

        try:
            frames = stream.decode(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError as error:
            if self._is_within_span(packet):
                self._note(error)
                self.errors += 1
            self._owed -= 1
            return []
        self._owed -= len(frames)
        return frames

    def _is_within_span(self, packet: av.Packet[av.VideoStream] | None) -> bool:
        if self.span is None:
            return True
        begin, end = self.span
        if packet is None or packet.pts is None:
            return end is None
        return begin <= packet.pts and (end is None or packet.pts < end)

    def _note(self, error: av.error.FFmpegError) -> None:
        self._first_error = self._first_error or ffmpeg_said(error)

    def _lost_tail(self, newest_frame_pts: int) -> Iterator[av.VideoFrame]:
        """What an error took with it at the end of the file.

        PyAV ends a flush at the first error, and the frames that other decoding threads still hold are out of reach;
        so the end is decoded once more, by one thread, which gives each packet's error with that packet.
        """
        import av

        errors, owed = self.errors, self._owed
        failed = recovered = 0
        with av.open(f"file:{self._path}", metadata_errors="replace") as container:
            stream = container.streams.video[self._container.streams.video.index(self._stream)]
            stream.thread_type = "SLICE"
            container.seek(newest_frame_pts, stream=stream)
            for packet in container.demux(stream):
                errors_before = self.errors
                for frame in self._decode(stream, packet):
                    if frame.pts is not None and frame.pts > newest_frame_pts:
                        recovered += 1
                        yield frame
                if packet.pts is not None and packet.pts > newest_frame_pts:
                    failed += self.errors - errors_before
        # Some of these errors may have been counted the first time: what is owed and didn't come is the limit.
        self.errors = errors + max(0, min(failed, owed - recovered))


def ffmpeg_said(error: BaseException) -> str:
    """The library's own words for an error."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
