"""The matte itself as a clip: alpha as grey, lossless."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av

from rtmatte.errors import OutputWriteError, UnsupportedOutputError
from rtmatte.frame import U8, ColorTags, Frame, VideoFormat
from rtmatte.output.clip_writer import ClipWriter
from rtmatte.output.encoders import EncoderRow
from rtmatte.output.packets import PacketWriter
from rtmatte.output.sink import ClipSink
from rtmatte.output.video_file import copy_plane

_ENCODERS = {
    ".mkv": EncoderRow("ffv1", "ffv1", "gray", lambda _q: {"level": "3", "slices": "4", "slicecrc": "1"}),
    ".mov": EncoderRow("png", "ffv1", "gray", lambda _q: {"pred": "up"}),
}


class MatteSink(ClipSink):
    """Writes alpha (0 = background, 255 = foreground) as the luma of a lossless grey clip, without audio.

    FFV1 in .mkv, PNG in .mov (which keeps time stamps exact; Matroska rounds them to milliseconds). `threads` and
    `packets` as for `ClipWriter`.

    Raises: `UnsupportedOutputError` for other containers; `OutputExistsError`, `OutputWriteError`.
    """

    def __init__(
        self,
        path: Path,
        video: VideoFormat,
        *,
        overwrite: bool = False,
        threads: int | None = None,
        packets: PacketWriter | None = None,
    ) -> None:
        row = _ENCODERS.get(path.suffix.lower())
        if row is None:
            raise UnsupportedOutputError(
                f"Cannot write a matte as '{path.suffix}': expected {' or '.join(_ENCODERS)}.",
                hint="These keep alpha without loss.",
            )
        full_range = replace(video, color=ColorTags(full_range=True, range_tagged=True))
        self.encoder = row.name
        self.writer = ClipWriter(
            path,
            full_range,
            row,
            size_wh=video.size_wh,
            quality=100,
            companions_from=None,
            overwrite=overwrite,
            threads=threads,
            packets=packets,
        )
        self.notices = self.writer.notices
        self._frame = av.VideoFrame(*video.size_wh, "gray")
        self._frame.color_range = 2

    def send(self, frame: Frame, alpha_u8: U8 | None) -> None:
        """Encodes the alpha of one frame; its picture isn't looked at."""
        if alpha_u8 is None:
            raise OutputWriteError("Expected alpha with every frame of a matte, got none.")
        self._frame.make_writable()
        copy_plane(alpha_u8, self._frame.planes[0])
        self.writer.encode(self._frame, frame.pts, frame.duration, frame.time_base)
