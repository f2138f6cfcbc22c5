"""Which encoder writes a clip: by container, codec, transparency and what this machine really has."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias, cast

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from rtmatte.errors import UnsupportedOutputError

VideoCodec: TypeAlias = Literal["h264", "hevc", "av1", "vp9", "prores", "ffv1"]
EncoderPreference: TypeAlias = Literal["auto", "software", "hardware"]

# SVT-AV1 prints its whole configuration on stderr unless this is set before it starts; 1 = errors only.
os.environ.setdefault("SVT_LOG", "1")

CODECS_BY_SUFFIX: Mapping[str, tuple[VideoCodec, ...]] = {
    ".mp4": ("h264", "hevc", "av1", "vp9"),
    ".m4v": ("h264", "hevc"),
    ".mov": ("h264", "hevc", "prores"),
    ".mkv": ("h264", "hevc", "av1", "vp9", "ffv1"),
    ".webm": ("vp9", "av1"),
}
"""What a container is commonly played with; the first of each is the default."""
ALPHA_CODEC_BY_SUFFIX: Mapping[str, VideoCodec] = {".webm": "vp9", ".mov": "prores", ".mkv": "ffv1"}


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """One FFmpeg encoder and how a quality from 1 to 100 becomes its own options.

    `even_only`: it refuses odd widths and heights. `hardware`: every build lists it, few machines can open it.
    `threads`: how many it gets on a machine of so many cores; None: as many as it likes.
    """

    name: str
    codec: VideoCodec
    pix_fmt: str
    options: Callable[[int], dict[str, str]]
    alpha: bool = False
    hardware: bool = False
    even_only: bool = False
    threads: Callable[[int], int | None] = lambda _cores: None


_MANY_CORES = 8


def _half_the_cores(cores: int) -> int | None:
    """The net is busy beside it. x264 by itself takes three threads on two cores, and 11 ms of the processor for a 720p
    frame instead of 8.8 with one thread, for 3 % more bytes. On larger machines it may choose."""
    return max(1, cores // 2) if cores <= _MANY_CORES else None


def _rate_factor(at_70: int, quality: int) -> str:
    """A constant rate factor: `at_70` for quality 70, one step lower for every three points more."""
    return str(max(1, round(at_70 + (70 - quality) / 3)))


_X264_SEARCH = "subme=1:me=dia:partitions=i4x4,i8x8"
"""Less search than `veryfast`: on three composites 31 to 42 % less processor time for 2 to 10 % more bytes, at the same
PSNR within 0.1 dB. Not to split what comes from other frames (`partitions`) takes 5 to 15 % less again, for as many
bytes within 2 % and the same PSNR within 0.02 dB."""


def _x264(quality: int) -> dict[str, str]:
    return {"preset": "veryfast", "crf": _rate_factor(20, quality), "x264-params": _X264_SEARCH}


def _x265(quality: int) -> dict[str, str]:
    return {"preset": "fast", "crf": _rate_factor(23, quality), "x265-params": "log-level=error"}


def _svt_av1(quality: int) -> dict[str, str]:
    return {"preset": "9", "crf": _rate_factor(32, quality)}


def _vp9(quality: int) -> dict[str, str]:
    return {"deadline": "realtime", "cpu-used": "6", "row-mt": "1", "crf": _rate_factor(31, quality), "b": "0"}


def _vp9_alpha(quality: int) -> dict[str, str]:
    # Alpha is a second stream in step with the first, which alternate reference frames would break.
    return _vp9(quality) | {"auto-alt-ref": "0"}


def _ffv1(_quality: int) -> dict[str, str]:
    return {"level": "3", "slices": "4", "slicecrc": "1"}


def _nvenc(quality: int) -> dict[str, str]:
    return {"preset": "p4", "rc": "vbr", "cq": _rate_factor(22, quality)}


def _quick_sync(quality: int) -> dict[str, str]:
    return {"global_quality": _rate_factor(22, quality)}


def _amf(quality: int) -> dict[str, str]:
    factor = _rate_factor(22, quality)
    return {"rc": "cqp", "qp_i": factor, "qp_p": factor}


def _video_toolbox(quality: int) -> dict[str, str]:
    # FF_QP2LAMBDA = 118; with this flag VideoToolbox reads the value as 118 × quality.
    return {"flags": "+qscale", "global_quality": str(118 * quality)}


ENCODERS: tuple[EncoderRow, ...] = (
    EncoderRow("h264_nvenc", "h264", "yuv420p", _nvenc, hardware=True, even_only=True),
    EncoderRow("h264_videotoolbox", "h264", "yuv420p", _video_toolbox, hardware=True, even_only=True),
    EncoderRow("h264_qsv", "h264", "nv12", _quick_sync, hardware=True, even_only=True),
    EncoderRow("h264_amf", "h264", "yuv420p", _amf, hardware=True, even_only=True),
    EncoderRow("libx264", "h264", "yuv420p", _x264, even_only=True, threads=_half_the_cores),
    EncoderRow("hevc_nvenc", "hevc", "yuv420p", _nvenc, hardware=True, even_only=True),
    EncoderRow("hevc_videotoolbox", "hevc", "yuv420p", _video_toolbox, hardware=True, even_only=True),
    EncoderRow("hevc_qsv", "hevc", "nv12", _quick_sync, hardware=True, even_only=True),
    EncoderRow("hevc_amf", "hevc", "yuv420p", _amf, hardware=True, even_only=True),
    EncoderRow("libx265", "hevc", "yuv420p", _x265, even_only=True),
    EncoderRow("av1_nvenc", "av1", "yuv420p", _nvenc, hardware=True, even_only=True),
    EncoderRow("libsvtav1", "av1", "yuv420p", _svt_av1),
    EncoderRow("libvpx-vp9", "vp9", "yuv420p", _vp9),
    EncoderRow("libvpx-vp9", "vp9", "yuva420p", _vp9_alpha, alpha=True),
    EncoderRow("prores_ks", "prores", "yuv422p10le", lambda _q: {"profile": "hq", "vendor": "apl0"}),
    EncoderRow("prores_ks", "prores", "yuva444p10le", lambda _q: {"profile": "4444", "vendor": "apl0"}, alpha=True),
    EncoderRow("ffv1", "ffv1", "yuv420p", _ffv1),
    EncoderRow("ffv1", "ffv1", "yuva420p", _ffv1, alpha=True),
)
"""Hardware first within a codec, in the order in which they are tried."""


def codec_for(suffix: str, codec: VideoCodec | None, *, alpha: bool) -> VideoCodec:
    """The codec for a container (by its file suffix): the one asked for, or the default.

    Raises: `UnsupportedOutputError` for an unknown container, a codec that it isn't played with, or transparency that
    it can't hold.
    """
    suffix = suffix.lower()
    if suffix not in CODECS_BY_SUFFIX:
        raise UnsupportedOutputError(
            f"Cannot write video as '{suffix}': expected one of {', '.join(CODECS_BY_SUFFIX)}.",
            hint="The container is chosen by the file's extension.",
        )
    if alpha:
        possible = ALPHA_CODEC_BY_SUFFIX.get(suffix)
        if possible is None or codec not in (None, possible):
            asked = f"{suffix} with {codec}" if codec else suffix
            raise UnsupportedOutputError(
                f"{asked} cannot hold a transparent background.",
                hint="Choose one with --background (blur, a colour, an image or a clip), or write "
                ".webm (VP9), .mov (ProRes 4444) or .mkv (FFV1).",
            )
        return possible
    if codec is None:
        return CODECS_BY_SUFFIX[suffix][0]
    if codec not in CODECS_BY_SUFFIX[suffix]:
        raise UnsupportedOutputError(
            f"Codec {codec} does not go into {suffix}: expected one of {', '.join(CODECS_BY_SUFFIX[suffix])}."
        )
    return codec


def candidates(codec: VideoCodec, preference: EncoderPreference, *, alpha: bool) -> Iterator[EncoderRow]:
    """The encoders of a codec in the order in which to try them."""
    for row in ENCODERS:
        if (
            row.codec == codec
            and row.alpha == alpha
            and (preference == "auto" or row.hardware == (preference == "hardware"))
        ):
            yield row


def opens(row: EncoderRow, size_wh: tuple[int, int], quality: int) -> bool:
    """Whether this machine can really open that encoder at that size: the listing of a build says nothing of it."""
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(row.name, "w"))
        context.width, context.height = size_wh
        context.pix_fmt = row.pix_fmt
        context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
        context.options = row.options(quality)
        context.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def choose_encoder(
    codec: VideoCodec, preference: EncoderPreference, size_wh: tuple[int, int], quality: int, *, alpha: bool
) -> EncoderRow:
    """The first encoder of `codec` that opens here.

    Raises: `UnsupportedOutputError` if none does, naming those tried.
    """
    tried = []
    for row in candidates(codec, preference, alpha=alpha):
        even = (size_wh[0] + size_wh[0] % 2, size_wh[1] + size_wh[1] % 2) if row.even_only else size_wh
        if opens(row, even, quality):
            return row
        tried.append(row.name)
    raise UnsupportedOutputError(
        f"No {preference if preference != 'auto' else ''} {codec} encoder opens on this machine for "
        f"{size_wh[0]}x{size_wh[1]} (tried: {', '.join(tried) or 'none exists'}).".replace("  ", " "),
        hint="Leave --encoder at auto, or choose another --codec.",
    )
