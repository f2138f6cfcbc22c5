"""The main job on every real clip there is: every frame, every time stamp, the sound, and a background that is gone.

The model is replaced by the true alpha where it is known, and by a fixed one elsewhere, so that all of it fits into a
minute; the model itself is judged by the quality benchmark.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

import rtmatte
from rtmatte.frame import F32, Frame
from rtmatte.matting.recorded import RecordedAlpha
from tests.decoding import decode, packets_of

pytestmark = pytest.mark.real_clips

_FOLDER = Path(__file__).resolve().parents[2] / "shared" / "clips"
_CLIPS = sorted(
    path
    for pattern in ("gt/*.*", "real/*.*", "real/asl/*.mkv", "foregrounds/*.mkv", "backgrounds/*.mp4")
    for path in _FOLDER.glob(pattern)
)
_GREEN_LUMA = 173
"""Of #00ff00, limited range: 173 in BT.709, 145 in BT.601."""


class _LeftHalf:
    """Foreground on the left, background on the right."""

    name = "left half"
    provider = "test"

    def __init__(self) -> None:
        self._alpha: F32 = np.zeros((32, 32), np.float32)
        self._alpha[:, :16] = 1

    def estimate(self, frame: Frame) -> F32:
        return self._alpha

    def reset(self) -> None:
        pass


@pytest.mark.parametrize("source", _CLIPS or [None], ids=lambda path: path.stem if path else "none")
def test_the_main_job(source: Path | None, real_clips: Path, tmp_path: Path) -> None:
    assert source is not None
    truth_path = source.with_name(f"{source.stem}_alpha.mkv")
    truth = decode(truth_path).luma if truth_path.exists() else None
    matter = RecordedAlpha(truth) if truth is not None else _LeftHalf()
    target = tmp_path / "out.mp4"
    report = rtmatte.process_video(
        source, target, background="#00ff00", matter=matter, smoothing_s=0, encoder="software", encoder_quality=60
    )
    after = decode(target)
    wanted_times = _times(source)
    assert report.frames_in == report.frames_out == len(after.luma) == len(wanted_times)
    assert (report.dropped, report.damaged, report.truncated) == (0, 0, False)
    for wanted, got in zip(wanted_times, after.pts_seconds, strict=True):
        assert abs(wanted - float(got)) <= 1e-6
    assert packets_of(target, "audio") == packets_of(source, "audio")
    with av.open(str(target)) as container:
        assert next(container.decode(video=0)).rotation == 0
    green = 145 if after.size_wh[1] < 720 else _GREEN_LUMA
    if source.parent.name == "asl" or source.stem.endswith("_alpha"):
        green = 150  # full range: 0.587 * 255
    for number in range(0, len(after.luma), 10):
        luma = after.luma[number].astype(int)
        gone = truth[number] == 0 if truth is not None else np.arange(luma.shape[1])[None, :] > luma.shape[1] * 0.56
        gone = _inner(np.broadcast_to(gone, luma.shape))
        assert np.abs(luma[gone] - green).mean() < 2
        assert np.percentile(np.abs(luma[gone] - green), 99) < 12


def _inner(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Without the pixels next to an edge, into which a lossy encoder smears."""
    import cv2

    return cv2.erode(mask.astype(np.uint8), np.ones((17, 17), np.uint8)).astype(bool)


def _times(source: Path) -> list[float]:
    """Plain decoding's time stamps; a bare H.264 stream has none, and frame n of it is shown at n / 25 s."""
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        time_base = stream.time_base
        assert time_base is not None
        pts = [frame.pts for frame in container.decode(stream)]
    if source.suffix == ".264":
        return [n / 25 for n in range(len(pts))]
    return [float(p * time_base) for p in pts if p is not None]
