"""Decoded frames of any pixel format, read as upright I420 pictures in the matrix and range they came in."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from rtmatte.capture.color_tags import is_grey, is_rgb, swscale_matrix, swscale_range, tags_of
from rtmatte.capture.orientation import orientation_of
from rtmatte.capture.tone_map import TONE_MAPPED, TRANSFER_OF_CODE, ToneMapper, peak_of
from rtmatte.frame import I420, U8
from rtmatte.pool import PicturePool

if TYPE_CHECKING:
    import av

_Planes: TypeAlias = tuple[U8, U8, U8]
_I420_FORMATS = ("yuv420p", "yuvj420p", "yuva420p")
_NEUTRAL_CHROMA = 128


class FrameReader:
    """Made for the first frame, which decides size, colours and orientation; later frames that differ are fitted to it.

    8-bit 4:2:0 is copied plane by plane into a picture of the pool, everything else goes through swscale first. HDR is
    tone-mapped. `notices` says what was converted. Releases the GIL in copies and conversions; for one thread.
    """

    def __init__(self, first: av.VideoFrame, pool: PicturePool) -> None:
        from av.video.reformatter import VideoReformatter

        self.notices: list[str] = []
        self.orientation = orientation_of(first)
        self.color = tags_of(first)
        self._pool = pool
        self._stored_wh = (first.width, first.height)
        self._size_changed = False
        self._reformatter = VideoReformatter()
        self._tone_mapper: ToneMapper | None = None
        self._grey_chroma = np.full(((first.height + 1) // 2, (first.width + 1) // 2), _NEUTRAL_CHROMA, np.uint8)
        if transfer := TRANSFER_OF_CODE.get(first.color_trc):
            self.color = TONE_MAPPED
            self._tone_mapper = ToneMapper(transfer, peak_of(first), self._stored_wh)
            self.notices.append(f"HDR video ({transfer}) was tone-mapped to standard dynamic range, BT.709, 8 bit.")
        self._describe(first)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Upright."""
        return self.orientation.upright_wh(self._stored_wh)

    def read(self, frame: av.VideoFrame) -> I420:
        """The picture of a frame, in a buffer of the pool."""
        if (frame.width, frame.height) != self._stored_wh and not self._size_changed:
            self._size_changed = True
            width, height = self._stored_wh
            self.notices.append(
                f"The video changes size from {width}x{height} to {frame.width}x{frame.height} on its way; "
                f"everything was scaled to {width}x{height}."
            )
        picture = self._pool.acquire(self.size_wh, self.color)
        for plane, target in zip(self._planes(frame), picture.planes, strict=True):
            self.orientation.write(plane, target)
        return picture

    def _describe(self, frame: av.VideoFrame) -> None:
        if not self.orientation.exact:
            self.notices.append(
                "The video is marked as turned by an angle that is no multiple of 90 degrees; the nearest was taken."
            )
        if any(component.is_alpha for component in frame.format.components):
            self.notices.append("The transparency of the input video was ignored.")
        if frame.interlaced_frame:
            self.notices.append("The video is interlaced; its lines were kept as they are, not deinterlaced.")

    def _planes(self, frame: av.VideoFrame) -> _Planes:
        """Views of three planes in stored orientation that keep their frame alive."""
        if self._tone_mapper is not None:
            return _three(self._tone_mapper(frame))
        tags = tags_of(frame)
        same_size = (frame.width, frame.height) == self._stored_wh
        same_range = tags.full_range == self.color.full_range
        if is_grey(frame) and same_range:
            # swscale would take any grey for full range.
            grey = frame if frame.format.name == "gray" and same_size else self._reformat(frame, "gray", True, True)
            return _view(grey, 0), self._grey_chroma, self._grey_chroma
        same_matrix = tags.matrix(frame.height) == self.color.matrix(self._stored_wh[1])
        if frame.format.name in _I420_FORMATS and same_size and same_range and same_matrix:
            return _three(frame)
        source_full = tags.full_range or is_rgb(frame)
        return _three(self._reformat(frame, "yuv420p", source_full, self.color.full_range))

    def _reformat(self, frame: av.VideoFrame, pixel_format: str, source_full: bool, full: bool) -> av.VideoFrame:
        from av.video.reformatter import Interpolation

        width, height = self._stored_wh
        return self._reformatter.reformat(
            frame,
            width,
            height,
            pixel_format,
            src_colorspace=swscale_matrix(tags_of(frame), frame.height),
            dst_colorspace=swscale_matrix(self.color, height),
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP,
            src_color_range=swscale_range(source_full),
            dst_color_range=swscale_range(full),
        )


def _three(frame: av.VideoFrame) -> _Planes:
    return _view(frame, 0), _view(frame, 1), _view(frame, 2)


def _view(frame: av.VideoFrame, number: int) -> U8:
    """(H, W) view of an 8-bit plane, rows padded."""
    plane = frame.planes[number]
    rows: U8 = np.frombuffer(memoryview(plane), np.uint8, plane.height * plane.line_size)
    return rows.reshape(plane.height, plane.line_size)[:, : plane.width]
