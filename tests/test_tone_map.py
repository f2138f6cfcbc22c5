from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.capture.tone_map import (
    SDR_WHITE_NITS,
    ToneMapper,
    Transfer,
    compress_nits,
    hlg_to_nits,
    nits_to_pq,
    peak_of,
    pq_to_nits,
    sdr_signal,
)
from tests import clips

unit = st.floats(0, 1)


@pytest.mark.parametrize(
    ("nits", "signal"), [(0.0, 0.0), (1.0, 0.1499), (100.0, 0.5081), (203.0, 0.5807), (1000.0, 0.7518), (10000.0, 1.0)]
)
def test_pq_has_the_values_of_the_standard(nits: float, signal: float) -> None:
    assert float(nits_to_pq(np.array(nits))) == pytest.approx(signal, abs=6e-5)
    assert float(pq_to_nits(np.array(float(nits_to_pq(np.array(nits)))))) == pytest.approx(nits, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(("signal", "nits"), [(0.0, 0.0), (0.38, 26.0), (0.75, 203.0), (1.0, 1000.0)])
def test_hlg_has_the_values_of_bt2408(signal: float, nits: float) -> None:
    assert hlg_to_nits(np.full(3, signal)) == pytest.approx(np.full(3, nits), rel=0.01, abs=0.01)


@given(nits=st.floats(0, 10000), more=st.floats(0, 1000), peak=st.floats(50, 10000))
def test_the_curve_rises_stays_below_white_and_never_brightens(nits: float, more: float, peak: float) -> None:
    low, high = compress_nits(np.array([nits, nits + more]), peak)
    assert low <= high + 1e-9
    assert high <= SDR_WHITE_NITS * (1 + 1e-9)
    assert low <= nits * (1 + 1e-6) + 1e-9


def test_dark_tones_are_left_alone() -> None:
    dark = np.array([0.01, 0.1, 1.0, 10.0])
    assert compress_nits(dark, 1000.0) == pytest.approx(dark, rel=1e-6)


@pytest.mark.parametrize("transfer", ["PQ", "HLG"])
@given(r=unit, g=unit, b=unit)
def test_every_color_is_a_picture_and_greys_stay_grey(transfer: Transfer, r: float, g: float, b: float) -> None:
    colors = np.array([[r, g, b], [r, r, r]])
    mapped = sdr_signal(colors, transfer)
    assert np.all((mapped >= 0) & (mapped <= 1))
    assert np.ptp(mapped[1]) < 1e-4


def test_primaries_keep_their_hue() -> None:
    for channel in range(3):
        color = np.zeros(3)
        color[channel] = 0.58
        mapped = sdr_signal(color, "PQ")
        assert int(np.argmax(mapped)) == channel
        assert mapped[channel] > 1.3 * np.sort(mapped)[1]


@pytest.mark.parametrize(("transfer", "white"), [("PQ", 0.5807), ("HLG", 0.75)])
def test_black_is_black_and_diffuse_white_nearly_white(transfer: Transfer, white: float) -> None:
    assert sdr_signal(np.zeros(3), transfer) == pytest.approx(np.zeros(3), abs=1e-3)
    assert np.all((sdr_signal(np.full(3, white), transfer) > 0.75) & (sdr_signal(np.full(3, white), transfer) < 0.95))


def _patches(signals: list[tuple[float, float, float]], transfer_code: int, *, full_range: bool) -> av.VideoFrame:
    """64x64 patches side by side, 10-bit 4:2:0 BT.2020, from R'G'B' signals by the standard's formula in float64."""
    frame = av.VideoFrame(64 * len(signals), 64, "yuv420p10le")
    frame.color_trc, frame.colorspace, frame.color_primaries = transfer_code, 9, 9
    frame.color_range = 2 if full_range else 1
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    luma_scale, luma_offset, chroma_scale = (1023, 0, 1023) if full_range else (876, 64, 896)
    planes = [np.frombuffer(plane, np.uint16).reshape(plane.height, -1) for plane in frame.planes]
    for number, (r, g, b) in enumerate(signals):
        y = 0.2627 * r + 0.6780 * g + 0.0593 * b
        u, v = (b - y) / 1.8814, (r - y) / 1.4746
        planes[0][:, 64 * number : 64 * number + 64] = round(luma_offset + luma_scale * y)
        planes[1][:, 32 * number : 32 * number + 32] = round(512 + chroma_scale * u)
        planes[2][:, 32 * number : 32 * number + 32] = round(512 + chroma_scale * v)
    return frame


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(("transfer", "code"), [("PQ", 16), ("HLG", 18)])
def test_frames_come_out_as_the_float_reference_says(transfer: Transfer, code: int, full_range: bool) -> None:
    signals = [(0, 0, 0), (0.2, 0.2, 0.2), (0.5, 0.5, 0.5), (0.58, 0.58, 0.58), (0.75, 0.75, 0.75), (1, 1, 1)]
    signals += [(0.5, 0.4, 0.35), (0.6, 0.3, 0.3), (0.3, 0.5, 0.3), (0.3, 0.3, 0.6), (0.7, 0.6, 0.2)]
    frame = _patches(signals, code, full_range=full_range)
    mapped = ToneMapper(transfer, None, (frame.width, frame.height))(frame)
    assert mapped.format.name == "yuv420p"
    planes = [np.frombuffer(plane, np.uint8).reshape(plane.height, -1).astype(float) for plane in mapped.planes]
    for number, signal in enumerate(signals):
        r, g, b = sdr_signal(np.array(signal, np.float64), transfer)
        y = 0.2126 * r + 0.7152 * g + 0.0722 * b
        wanted = (16 + 219 * y, 128 + 224 * (b - y) / 1.8556, 128 + 224 * (r - y) / 1.5748)
        got = (
            planes[0][32, 64 * number + 32],
            planes[1][16, 32 * number + 16],
            planes[2][16, 32 * number + 16],
        )
        assert got == pytest.approx(wanted, abs=3 if np.ptp(signal) < 0.2 else 5), signal


def test_the_mastering_peak_is_read_and_used(tmp_path: Path) -> None:
    path = clips.hdr_pq(
        tmp_path / "a.mp4",
        frame_count=2,
        codec_options={
            "x265-params": "log-level=none:lossless=1:bframes=0:pools=none:frame-threads=1:max-cll=600,400:"
            "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,1)"
        },
    )
    with av.open(str(path)) as container:
        peak = peak_of(next(container.decode(video=0)))
    assert peak == 600
    assert ToneMapper("PQ", peak, (128, 96)).peak_nits == 600


def test_an_unsaid_peak_is_the_usual_one(tmp_path: Path) -> None:
    with av.open(str(clips.hdr_hlg(tmp_path / "a.mp4", frame_count=2))) as container:
        assert peak_of(next(container.decode(video=0))) is None
    assert ToneMapper("HLG", 4000.0, (128, 96)).peak_nits == 1000
