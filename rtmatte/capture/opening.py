"""Opening a media file and choosing its picture stream."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from rtmatte.capture.completeness import lacks_index
from rtmatte.capture.packet_decoder import ffmpeg_said
from rtmatte.errors import InputNotFoundError, NoVideoStreamError, UnreadableInputError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

_TEXT_FORMATS = ("tty",)
"""Demuxers that make "video" of any text file."""
_FASTEST = Fraction(1000)
_MICROSECOND = Fraction(1, 1_000_000)


def open_container(path: Path) -> InputContainer:
    """Opens a local file for reading.

    Raises: `InputNotFoundError`; `UnreadableInputError` for a folder, text, an unknown format or a lost index.
    """
    import av
    import av.error

    if not path.exists():
        raise InputNotFoundError(f"{path} does not exist.", hint="Check the spelling and the folder.")
    if not path.is_file():
        raise UnreadableInputError(f"{path} is not a file: expected a video file.", hint="Name one file.")
    if path.stat().st_size == 0:
        raise UnreadableInputError(f"{path} is empty.", hint="Copy or record it again.")
    try:
        # "file:" so that a name such as 12:30.mp4 isn't taken for a protocol.
        container = av.open(f"file:{path}", metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise UnreadableInputError(f"{path} is text: expected a video file.", hint="Name a video file.")
    return container


def _unreadable(path: Path, error: Exception) -> UnreadableInputError:
    if not isinstance(error, PermissionError) and lacks_index(path):
        return UnreadableInputError(
            f"{path} has no index (moov): the recording or the copy was broken off before it was finished.",
            hint="Copy it again, or repair it with a tool such as untrunc.",
        )
    if isinstance(error, PermissionError):
        return UnreadableInputError(f"{path} may not be read: permission denied.", hint="Change its permissions.")
    return UnreadableInputError(
        f"{path} cannot be read as video: {ffmpeg_said(error)}.",
        hint="Check that it is a video file and plays elsewhere.",
    )


def choose_video(container: InputContainer, path: Path, notices: list[str]) -> av.VideoStream:
    """The main video stream: cover pictures don't count, the one marked as default goes before the others.

    Adds a notice if others are left out. Raises: `NoVideoStreamError`; `UnreadableInputError` without a decoder.
    """
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
    if not streams:
        kinds = sorted({stream.type for stream in container.streams})
        raise NoVideoStreamError(
            f"{path} has no video stream: expected one, got {', '.join(kinds) or 'no streams at all'}.",
            hint="Name a file with moving pictures.",
        )
    chosen = next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])
    if len(streams) > 1:
        notices.append(
            f"The file has {len(streams)} video streams; only number {chosen.index} was used, the others were left out."
        )
    if chosen.codec_context is None:
        raise UnreadableInputError(
            f"{path} holds video in a format that this FFmpeg has no decoder for.", hint="Convert it to H.264 first."
        )
    return chosen


def reported_rate(stream: av.VideoStream) -> Fraction | None:
    """The frame rate that the container claims, or FFmpeg guesses; None where neither makes sense."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= _FASTEST:
            return rate
    return None


def container_seconds(container: InputContainer) -> Fraction | None:
    """How long the file says it is; None if it doesn't say."""
    if not container.duration or container.duration <= 0:
        return None
    duration, start = container.duration, container.start_time or 0
    if "matroska" in container.format.name and 0 < start < duration:
        duration -= start  # FFmpeg's own Matroska files give the time of their end
    return duration * _MICROSECOND
