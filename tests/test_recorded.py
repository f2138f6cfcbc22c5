"""Recorded alphas: looked up by the frame's index, never guessed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmatte.errors import ModelOutputError
from rtmatte.frame import Frame
from rtmatte.matting.recorded import RecordedAlpha

PICTURE = np.zeros((4, 6, 3), np.uint8)


def frame(index: int) -> Frame:
    return Frame(PICTURE, pts=1000 + 7 * index, time_base=Fraction(1, 90_000), index=index)


def constant(value: float) -> NDArray[np.float32]:
    return np.full((4, 6), value, np.float32)


def test_a_sequence_is_looked_up_by_index_in_any_order() -> None:
    matter = RecordedAlpha([constant(0.1), constant(0.2), constant(0.3)])
    for index in (2, 0, 0, 1, 2):
        assert (matter.estimate(frame(index)) == np.float32(0.1 * (index + 1))).all()


def test_an_array_of_bytes_is_scaled() -> None:
    alphas = np.arange(2 * 4 * 6, dtype=np.uint8).reshape(2, 4, 6) + 208
    matter = RecordedAlpha(alphas)
    for index in (0, 1):
        np.testing.assert_allclose(matter.estimate(frame(index)), alphas[index] / 255.0, atol=1e-7)
    assert matter.estimate(frame(1)).max() == 1


def test_a_stream_is_read_no_further_than_needed_and_frames_may_be_skipped() -> None:
    read = []

    def stream() -> object:
        for index in range(100):
            read.append(index)
            yield constant(index / 100)

    matter = RecordedAlpha(stream())  # type: ignore[arg-type]
    assert matter.estimate(frame(0)).max() == 0
    assert read == [0]
    assert (matter.estimate(frame(3)) == np.float32(0.03)).all()
    assert (matter.estimate(frame(3)) == np.float32(0.03)).all()
    assert read == [0, 1, 2, 3]
    with pytest.raises(ModelOutputError, match="frame 2 after frame 3"):
        matter.estimate(frame(2))


@pytest.mark.parametrize("alphas", [[constant(0)] * 3, iter([constant(0)] * 3), np.zeros((3, 4, 6), np.uint8)])
def test_a_missing_frame_is_an_error(alphas: list[NDArray[np.float32]]) -> None:
    matter = RecordedAlpha(alphas)
    matter.estimate(frame(2))
    with pytest.raises(ModelOutputError, match="expected an alpha for frame 3, got 3 alphas"):
        matter.estimate(frame(3))


def test_a_negative_index_is_not_the_last_frame() -> None:
    with pytest.raises(ModelOutputError, match="frame -1"):
        RecordedAlpha([constant(0)]).estimate(frame(-1))


@pytest.mark.parametrize(
    "alpha",
    [
        np.zeros((4, 6, 1), np.float32),
        np.zeros((4, 6), np.float64),
        np.zeros((4, 6), np.bool_),
        np.zeros((0, 6), np.float32),
        constant(1.001),
        constant(-0.001),
        constant(float("nan")),
        constant(float("inf")),
        constant(255),
    ],
    ids=lambda a: f"{a.dtype} {a.shape} {a.max(initial=-1)}",
)
def test_what_is_not_an_alpha_is_refused(alpha: NDArray[np.float32]) -> None:
    with pytest.raises(ModelOutputError, match=r"alpha of frame 0: expected .* got"):
        RecordedAlpha([alpha]).estimate(frame(0))


def test_the_recording_is_never_written_to() -> None:
    alphas = [constant(0.25)]
    alphas[0].flags.writeable = False
    matter = RecordedAlpha(alphas)
    matter.estimate(frame(0))[:] = 0.9
    assert (alphas[0] == 0.25).all()
    assert (matter.estimate(frame(0)) == 0.25).all()
