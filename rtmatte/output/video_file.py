"""Composited frames into an encoded clip, opaque or transparent."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from rtmatte.errors import OutputWriteError
from rtmatte.frame import I420, U8, Frame, VideoFormat
from rtmatte.output.clip_writer import ClipWriter
from rtmatte.output.encoders import EncoderPreference, VideoCodec, choose_encoder, codec_for
from rtmatte.output.packets import PacketWriter
from rtmatte.output.sink import ClipSink


class VideoFileSink(ClipSink):
    """Writes I420 frames to `path`; the container goes by its suffix, the encoder by `codec` and `encoder`.

    With `keep_alpha` the clip is transparent: colours straight (not premultiplied), alpha beside them. `quality` runs
    from 1 to 100. `companions_from` names the input whose audio, subtitles, chapters and metadata go along. Odd sizes
    are kept where the encoder can; where it can't (H.264, HEVC) the last column or row is repeated once, with a notice.
    `threads` and `packets` as for `ClipWriter`.

    Raises: `OutputExistsError`, `OutputWriteError`, `UnsupportedOutputError`.
    """

    def __init__(
        self,
        path: Path,
        video: VideoFormat,
        *,
        codec: VideoCodec | None = None,
        quality: int = 70,
        encoder: EncoderPreference = "auto",
        keep_alpha: bool = False,
        companions_from: Path | None = None,
        overwrite: bool = False,
        threads: int | None = None,
        packets: PacketWriter | None = None,
    ) -> None:
        chosen_codec = codec_for(path.suffix, codec, alpha=keep_alpha)
        row = choose_encoder(chosen_codec, encoder, video.size_wh, quality, alpha=keep_alpha)
        width, height = video.size_wh
        coded_wh = (width + width % 2, height + height % 2) if row.even_only else video.size_wh
        self.encoder = row.name
        self._keep_alpha = keep_alpha
        self._size_wh = video.size_wh
        self._pix_fmt = row.pix_fmt
        self.writer = ClipWriter(
            path,
            video,
            row,
            size_wh=coded_wh,
            quality=quality,
            companions_from=companions_from,
            overwrite=overwrite,
            threads=threads,
            packets=packets,
        )
        self.notices = self.writer.notices
        if coded_wh != video.size_wh:
            self.notices.append(
                f"{chosen_codec} needs even sizes: {width}x{height} became {coded_wh[0]}x{coded_wh[1]} by repeating "
                "the last column or row (--codec av1 or a .webm keeps the size)."
            )
        # One frame is enough: what an encoder keeps for later makes it unwritable, and it is replaced then.
        self._frame = av.VideoFrame(*coded_wh, "yuva420p" if keep_alpha else "yuv420p")
        self._frame.colorspace = video.color.matrix_code
        self._frame.color_range = 2 if video.color.full_range else 1

    def send(self, frame: Frame, alpha_u8: U8 | None) -> None:
        """Encodes one I420 frame of the size announced; copies it, so the picture is free afterwards."""
        picture = frame.picture
        if not isinstance(picture, I420) or picture.size_wh != self._size_wh:
            raise OutputWriteError(f"Expected an I420 frame of {self._size_wh}, got another kind or size.")
        self._frame.make_writable()
        planes: list[U8] = list(picture.planes)
        if self._keep_alpha:
            if alpha_u8 is None:
                raise OutputWriteError("Expected alpha with every frame of a transparent clip, got none.")
            planes.append(alpha_u8)
        for destination, plane in zip(self._frame.planes, planes, strict=True):
            copy_plane(plane, destination)
        coded = self._frame if self._frame.format.name == self._pix_fmt else self._frame.reformat(format=self._pix_fmt)
        self.writer.encode(coded, frame.pts, frame.duration, frame.time_base)


def copy_plane(plane: U8, destination: av.video.plane.VideoPlane) -> None:
    """Copies (H, W) into a plane, whose lines may be padded; one pixel more is filled by repeating the edge."""
    rows = np.frombuffer(memoryview(destination), np.uint8).reshape(destination.height, destination.line_size)
    height, width = plane.shape
    np.copyto(rows[:height, :width], plane)
    if destination.width > width:
        rows[:height, width] = plane[:, -1]
    if destination.height > height:
        rows[height, : destination.width] = rows[height - 1, : destination.width]
