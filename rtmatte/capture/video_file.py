"""Video files, decoded with PyAV: every frame once, upright, with the time stamp that the file gives it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from rtmatte.capture.completeness import is_cut_short
from rtmatte.capture.frame_reader import FrameReader
from rtmatte.capture.hardware_decoder import Decoder, open_on_hardware
from rtmatte.capture.opening import choose_video, container_seconds, open_container, reported_rate
from rtmatte.capture.packet_decoder import PacketDecoder
from rtmatte.capture.segment import Segment
from rtmatte.capture.timeline import Timeline
from rtmatte.errors import InputError, NoFramesError
from rtmatte.frame import ColorTags, Frame, VideoFormat
from rtmatte.pool import PicturePool

if TYPE_CHECKING:
    import av

_USUAL_RATE = Fraction(25)


class VideoFileSource:
    """The frames of a file's main video stream as I420, in the matrix and range of the file.

    The first frame is decoded on opening: it tells size, colours and orientation. Pictures come from `pool` and belong
    to the consumer; with no pool given, each is new. `close` may come from any thread.

    Decodes on all cores, or by `threads`: with fewer, it is longer on its way but comes in no bursts that whatever runs
    beside it has to bear. With `decoder="hardware"` a device decodes, see `open_on_hardware`; what is broken inside of
    a picture it may conceal, and then `damaged` doesn't count it. `decoded_by` is what does it: "software", or that
    device as FFmpeg calls it, such as "cuda".

    Raises: `InputNotFoundError`; `UnreadableInputError` for what isn't a clip or has no index; `NoVideoStreamError`;
    `DecoderUnavailableError` where hardware is to decode and can't; while iterating `NoFramesError`, and `InputError`
    once closed or on a second iteration without `rewind`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        pool: PicturePool | None = None,
        threads: int | None = None,
        decoder: Decoder = "software",
    ) -> None:
        self.path = Path(path)
        self.notices: list[str] = []
        self.damaged = 0
        self.truncated = False
        self._pool = pool or PicturePool()
        self._decoder_wanted = decoder
        self._threads = 1 if decoder == "hardware" else threads
        self._segment: Segment | None = None
        self._lock = Lock()
        self._closed = False
        self._open()

    def _open(self) -> None:
        self.decoded_by: str
        if self._decoder_wanted == "hardware":
            self._container, self.decoded_by = open_on_hardware(self.path)
        else:
            self._container, self.decoded_by = open_container(self.path), "software"
        try:
            self._stream = choose_video(self._container, self.path, self.notices)
            self._begin()
            self._first_pts = None if self._first is None else self._first.pts
            self._reader = None if self._first is None else FrameReader(self._first, self._pool)
            self._describe(self._stream)
        except BaseException:
            self._container.close()
            raise

    def _begin(self) -> None:
        """Decodes the first frame from where the file stands."""
        self._iterated = False
        span = None if self._segment is None else self._segment.kept
        self._decoder = PacketDecoder(self.path, self._container, self._stream, threads=self._threads, span=span)
        self._frames = self._decoder.frames()
        self._first = next(self._frames, None)

    def rewind(self) -> None:
        """Makes the file ready to be iterated again from its beginning; counters and notices go on.

        Seeks; only a file in which that doesn't lead back to the first frame is opened anew, since that leaves a
        little memory behind each time.

        Raises: `InputError` once closed; as the constructor where the file has to be opened and can't.
        """
        with self._lock:
            self._check_open()
            self._frames.close()
            if not self._sought_back():
                self._container.close()
                self._open()
            else:
                self._timeline = Timeline(self.format.time_base, self.format.frame_rate_reported or _USUAL_RATE)

    def _sought_back(self) -> bool:
        if not self._sought(self._stream.start_time or 0):
            return False
        return self._first is not None and self._first.pts is not None and self._first.pts == self._first_pts

    def _sought(self, ticks: int) -> bool:
        """Whether the file could be made to stand near that time; then the first frame from there is decoded."""
        import av.error

        try:
            self._container.seek(ticks, stream=self._stream)
        except av.error.FFmpegError:
            return False
        self._begin()
        return True

    def restrict(self, segment: Segment) -> None:
        """Gives only the frames of a segment from now on, in the size and colours of the file's first frame.

        Damage counts where frames are to be kept. To be called before the iteration.

        Raises: `InputError` once closed, or where the file can't be read from there.
        """
        with self._lock:
            self._check_open()
            self._segment, key = segment, segment.key
            self._decoder.span = segment.kept
            if key is None:
                return
            self._frames.close()
            # Containers seek by either time, and some land behind the key frame all the same.
            for ticks in (key.pts, key.dts, self._stream.start_time or 0):
                if self._sought(ticks) and self._first is not None and (self._first.pts or 0) <= segment.begin:
                    return
        raise InputError(f"{self.path.name} can't be read from {segment.begin * self.format.time_base} s on.")

    def _describe(self, stream: av.VideoStream) -> None:
        rate = reported_rate(stream)
        time_base = stream.time_base or 1 / (rate or _USUAL_RATE)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        color, size_wh = ColorTags(), (stream.codec_context.width, stream.codec_context.height)
        if self._reader is not None:
            color, size_wh = self._reader.color, self._reader.size_wh
            aspect = 1 / aspect if self._reader.orientation.swaps_sides else aspect
        self.format = VideoFormat(size_wh, time_base, color, aspect, rate)
        self._timeline = Timeline(time_base, rate or _USUAL_RATE)
        seconds = stream.duration * time_base if stream.duration else container_seconds(self._container)
        self.duration_seconds: float | None = None if seconds is None else float(seconds)
        estimate = round(seconds * rate) if seconds is not None and rate is not None else None
        self.frames_expected: int | None = stream.frames or estimate or None

    def __iter__(self) -> Iterator[Frame]:
        if self._iterated:
            raise InputError(f"{self.path.name} was iterated a second time.", hint="Open it again.")
        self._iterated = True
        decoded = self._next_decoded()
        first_index = index = 0 if self._segment is None else self._segment.first_index
        while decoded is not None:
            frame, picture = decoded, None
            with self._lock:
                self._check_open()
                assert self._reader is not None
                picture = self._reader.read(frame)
                if frame.is_corrupt and self._is_kept(frame):
                    self.damaged += 1
            pts = self._timeline.stamp(frame.pts)
            yield Frame(picture, pts, self.format.time_base, index, frame.duration or None)
            index += 1
            decoded = self._next_decoded()
        self._conclude()
        if index == first_index:
            raise NoFramesError(
                f"{self.path.name} has a video stream, but not a single frame of it could be decoded"
                f"{self._decoder.first_error_text()}.",
                hint="Check that the file plays elsewhere.",
            )

    def _next_decoded(self) -> av.VideoFrame | None:
        with self._lock:
            self._check_open()
            if self._segment is None:
                return self._take()
            while (frame := self._take()) is not None:
                if frame.pts is None or frame.pts >= self._segment.begin:
                    break
            ends_at = self._segment.end
            over = frame is not None and ends_at is not None and (frame.pts or 0) >= ends_at
            return None if over else frame

    def _take(self) -> av.VideoFrame | None:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return next(self._frames, None)

    def _is_kept(self, frame: av.VideoFrame) -> bool:
        return self._segment is None or (frame.pts or 0) >= self._segment.keep_from

    def _check_open(self) -> None:
        if self._closed:
            raise InputError(f"{self.path.name} has been closed.", hint="Open it again.")

    def _conclude(self) -> None:
        """Settles counters and notices when the file has been read to its end."""
        self.damaged += self._decoder.errors
        self.truncated = self._decoder.broke_off or is_cut_short(self.path)
        if self._reader is not None:
            self.notices += self._reader.notices
        self.notices += self._timeline.notices()
        if self._segment is None:
            self.notices += damage_notices(self.damaged, self.first_error_text, truncated=self.truncated)

    @property
    def first_error_text(self) -> str:
        """What the decoder said first of what is damaged, ready to end a sentence; empty without an error."""
        return self._decoder.first_error_text()

    def close(self) -> None:
        """Closes the file; waits for a frame that is being decoded, and for nothing else."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._first = None
                self._frames.close()
                self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def damage_notices(damaged: int, first_error_text: str, *, truncated: bool) -> list[str]:
    """What the user is told of a damaged file; for segments, whoever puts them together does."""
    found = []
    if damaged:
        found.append(f"Damaged packets or frames: {damaged}{first_error_text}.")
    if truncated:
        found.append("The file ends before its own index says; what is there was used.")
    return found
