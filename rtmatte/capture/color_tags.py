"""What a decoded frame says of its colours, and how swscale is told so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rtmatte.frame import ColorTags, Matrix

if TYPE_CHECKING:
    import av

_LIMITED, _FULL = 1, 2  # AVCOL_RANGE_*
_SWS_CS: dict[Matrix, int] = {"bt709": 1, "bt601": 5, "bt2020": 9}
_BT709, _BT601 = 1, 6


def is_grey(frame: av.VideoFrame) -> bool:
    """Luma only, with or without transparency."""
    return frame.format.name.startswith(("gray", "ya", "mono"))


def is_rgb(frame: av.VideoFrame) -> bool:
    """Red, green and blue, or a palette of them: not YUV, so that a matrix must be chosen."""
    return frame.format.is_rgb or frame.format.has_palette or frame.format.is_bayer


def tags_of(frame: av.VideoFrame) -> ColorTags:
    """The tags of the I420 picture that a frame becomes, without any change of its matrix and range.

    YUV keeps its own. RGB has no matrix: it becomes BT.709 from 720 lines up and BT.601 below, limited range. FFmpeg
    takes untagged grey for full range.
    """
    tags = ColorTags(
        matrix_code=int(frame.colorspace),
        primaries_code=int(frame.color_primaries),
        transfer_code=int(frame.color_trc),
        full_range=frame.color_range == _FULL or frame.format.name.startswith("yuvj"),
        range_tagged=frame.color_range in (_LIMITED, _FULL),
    )
    if is_rgb(frame):
        return replace(tags, matrix_code=_BT709 if frame.height >= 720 else _BT601, full_range=False, range_tagged=True)
    if is_grey(frame) and not tags.range_tagged:
        return replace(tags, full_range=True)
    return tags


def swscale_matrix(tags: ColorTags, height: int) -> int:
    """swscale's number (SWS_CS_*) of a matrix."""
    return _SWS_CS[tags.matrix(height)]


def swscale_range(full_range: bool) -> int:
    """FFmpeg's number (AVCOL_RANGE_*) of a range."""
    return _FULL if full_range else _LIMITED
