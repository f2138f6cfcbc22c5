"""Every sink, every container: time stamps, sizes, and nothing left behind by a failure."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rtmatte.capture.synthetic import draw_test_pattern, read_frame_number
from rtmatte.errors import OutputExistsError, OutputWriteError, UnsupportedOutputError
from rtmatte.frame import I420, U8, ColorTags, Frame, VideoFormat
from rtmatte.output.matte import MatteSink
from rtmatte.output.sink import Sink
from rtmatte.output.video_file import VideoFileSink
from tests.decoding import decode

Opener = Callable[[Path, VideoFormat], Sink]
VFR_PTS = [0, 300, 900, 2000, 2001, 5000, 5512, 9000]
TICKS = Fraction(1, 12800)


def _video(codec: str | None, *, alpha: bool = False) -> Opener:
    def open_sink(path: Path, video: VideoFormat) -> Sink:
        return VideoFileSink(path, video, codec=codec, keep_alpha=alpha, encoder="software")  # type: ignore[arg-type]

    return open_sink


SINKS: dict[str, tuple[str, Opener]] = {
    "h264-mp4": (".mp4", _video(None)),
    "hevc-mp4": (".mp4", _video("hevc")),
    "av1-mp4": (".mp4", _video("av1")),
    "vp9-mp4": (".mp4", _video("vp9")),
    "h264-mov": (".mov", _video(None)),
    "prores-mov": (".mov", _video("prores")),
    "h264-mkv": (".mkv", _video(None)),
    "ffv1-mkv": (".mkv", _video("ffv1")),
    "vp9-webm": (".webm", _video(None)),
    "vp9-alpha-webm": (".webm", _video(None, alpha=True)),
    "prores-alpha-mov": (".mov", _video(None, alpha=True)),
    "ffv1-alpha-mkv": (".mkv", _video(None, alpha=True)),
    "matte-mkv": (".mkv", MatteSink),
    "matte-mov": (".mov", MatteSink),
}


@pytest.fixture(params=SINKS)
def sink_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def frames(video: VideoFormat, pts: list[int]) -> list[tuple[Frame, U8]]:
    """Test patterns with their numbers; alpha is the pattern's own luma, so that the matte shows the number too."""
    made = []
    for number, ticks in enumerate(pts):
        picture = I420.allocate(video.size_wh, video.color)
        draw_test_pattern(picture, number)
        duration = pts[number + 1] - ticks if number + 1 < len(pts) else 512
        made.append((Frame(picture, ticks, video.time_base, number, duration), picture.y.copy()))
    return made


def write(name: str, folder: Path, video: VideoFormat, pts: list[int]) -> Path:
    suffix, open_sink = SINKS[name]
    path = folder / f"out{suffix}"
    with open_sink(path, video) as sink:
        for frame, alpha_u8 in frames(video, pts):
            sink.send(frame, alpha_u8)
    return path


def _tolerance(path: Path) -> float:
    return 0.0005 if path.suffix in (".mkv", ".webm") else 1e-6


@pytest.mark.parametrize(
    "pts",
    [VFR_PTS, [64000 + p for p in VFR_PTS], [64077 + p for p in VFR_PTS]],
    ids=["from 0", "from 5 s", "odd start"],
)
def test_time_stamps_and_order_survive(sink_name: str, tmp_path: Path, pts: list[int]) -> None:
    path = write(sink_name, tmp_path, VideoFormat((128, 96), TICKS), pts)
    got = decode(path)
    assert len(got.pts_seconds) == len(pts)
    for wanted, seconds in zip(pts, got.pts_seconds, strict=True):
        assert abs(float(seconds - wanted * TICKS)) <= _tolerance(path)
    numbers = [read_frame_number(np.repeat(luma[:, :, None], 3, axis=2)) for luma in got.luma]
    assert numbers == list(range(len(pts)))


@pytest.mark.parametrize("time_base", [Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 10**9), Fraction(1, 25)])
def test_time_bases_are_kept_exactly_in_mp4(tmp_path: Path, time_base: Fraction) -> None:
    step = max(1, round(Fraction(1, 30) / time_base))
    pts = [step * n for n in range(8)]
    path = write("h264-mp4", tmp_path, VideoFormat((128, 96), time_base), pts)
    assert decode(path).pts_seconds == [p * time_base for p in pts]


@pytest.mark.parametrize("name", ["h264-mp4", "matte-mov"])
def test_the_last_frame_keeps_its_duration(name: str, tmp_path: Path) -> None:
    path = write(name, tmp_path, VideoFormat((128, 96), TICKS), VFR_PTS)
    assert decode(path).durations_seconds[-1] == 512 * TICKS  # not 1 / frame rate


def test_times_before_zero_are_moved_with_a_notice(tmp_path: Path) -> None:
    video = VideoFormat((128, 96), TICKS)
    path = tmp_path / "out.mp4"
    with VideoFileSink(path, video, encoder="software") as sink:
        for frame, alpha_u8 in frames(video, [-1280, -768, -256, 256]):
            sink.send(frame, alpha_u8)
    assert decode(path).pts_seconds == [n * 512 * TICKS for n in range(4)]
    assert any("0.100 s before time 0" in notice for notice in sink.notices)


def test_odd_sizes(sink_name: str, tmp_path: Path) -> None:
    """Kept where the encoder can; else one line is repeated, and the sink says so."""
    suffix, open_sink = SINKS[sink_name]
    video = VideoFormat((97, 65), TICKS)
    path = tmp_path / f"odd{suffix}"
    with open_sink(path, video) as sink:
        for frame, alpha_u8 in frames(video, [0, 512]):
            sink.send(frame, alpha_u8)
    got = decode(path)
    padded = sink.encoder in ("libx264", "libx265")
    assert got.size_wh == ((98, 66) if padded else (97, 65))
    assert any("even sizes" in notice for notice in sink.notices) == padded
    if padded:
        assert np.abs(got.luma[0][:, -1].astype(int) - got.luma[0][:, -2]).max() <= 24


def test_an_existing_target_is_refused_and_kept(sink_name: str, tmp_path: Path) -> None:
    suffix, open_sink = SINKS[sink_name]
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="overwrite it with -y"):
        open_sink(path, VideoFormat((128, 96), TICKS))
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("after_frames", [0, 3])
def test_a_failed_run_leaves_nothing(sink_name: str, tmp_path: Path, after_frames: int) -> None:
    suffix, open_sink = SINKS[sink_name]
    video = VideoFormat((128, 96), TICKS)
    with pytest.raises(KeyboardInterrupt), open_sink(tmp_path / f"out{suffix}", video) as sink:
        for frame, alpha_u8 in frames(video, VFR_PTS)[:after_frames]:
            sink.send(frame, alpha_u8)
        assert not (tmp_path / f"out{suffix}").exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(sink_name: str, tmp_path: Path) -> None:
    suffix, open_sink = SINKS[sink_name]
    with pytest.raises(OutputWriteError, match=r"folder .*nowhere does not exist"):
        open_sink(tmp_path / "nowhere" / f"out{suffix}", VideoFormat((128, 96), TICKS))


def test_an_unknown_container_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOutputError, match=r"'\.xyz'.*\.mp4"):
        VideoFileSink(tmp_path / "a.xyz", VideoFormat((128, 96), TICKS))
    with pytest.raises(UnsupportedOutputError, match=r"'\.mp4'.*\.mkv"):
        MatteSink(tmp_path / "a.mp4", VideoFormat((128, 96), TICKS))
    with pytest.raises(UnsupportedOutputError, match="--background"):
        VideoFileSink(tmp_path / "a.mp4", VideoFormat((128, 96), TICKS), keep_alpha=True)
    assert list(tmp_path.iterdir()) == []


def test_color_tags_are_written(tmp_path: Path) -> None:
    import av

    for number, color in enumerate(
        [ColorTags(), ColorTags(1, 1, 1, False, True), ColorTags(6, 6, 6, True, True), ColorTags(9, 9, 14, False, True)]
    ):
        path = tmp_path / f"{number}.mp4"
        video = VideoFormat((128, 96), TICKS, color, sample_aspect_ratio=Fraction(4, 3))
        with VideoFileSink(path, video, encoder="software") as sink:
            for frame, alpha_u8 in frames(video, [0, 512, 1024]):
                sink.send(frame, alpha_u8)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            context = stream.codec_context
            assert (context.colorspace, context.color_primaries, context.color_trc) == (
                color.matrix_code,
                color.primaries_code,
                color.transfer_code,
            )
            assert context.color_range == ((2 if color.full_range else 1) if color.range_tagged else 0)
            assert stream.sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("name", ["ffv1-alpha-mkv", "matte-mkv", "matte-mov"])
def test_lossless_alpha_is_exact(name: str, tmp_path: Path) -> None:
    video = VideoFormat((128, 96), TICKS)
    path = write(name, tmp_path, video, [0, 512, 1024])
    wanted = [alpha for _, alpha in frames(video, [0, 512, 1024])]
    assert all(np.array_equal(a, b) for a, b in zip(_alpha_planes(path, None), wanted, strict=True))


@pytest.mark.parametrize(
    ("name", "decoder", "most"), [("vp9-alpha-webm", "libvpx-vp9", 12), ("prores-alpha-mov", None, 2)]
)
def test_lossy_alpha_is_close(name: str, decoder: str | None, most: int, tmp_path: Path) -> None:
    video = VideoFormat((128, 96), TICKS)
    path = write(name, tmp_path, video, [0, 512, 1024])
    for got, (_, wanted) in zip(_alpha_planes(path, decoder), frames(video, [0, 512, 1024]), strict=True):
        assert np.abs(got.astype(int) - wanted).max() <= 6 * most
        assert np.abs(got.astype(int) - wanted).mean() <= most / 4


def _alpha_planes(path: Path, decoder: str | None) -> list[U8]:
    import av

    from tests.decoding import plane

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context if decoder is None else av.CodecContext.create(decoder, "r")
        decoded = [f for p in container.demux(stream) for f in context.decode(p if p.size else None)]
        if decoded[0].format.name == "gray":
            return [plane(f) for f in decoded]
        assert "a" in decoded[0].format.name, decoded[0].format.name
        return [plane(f.reformat(format="yuva420p"), 3) for f in decoded]
