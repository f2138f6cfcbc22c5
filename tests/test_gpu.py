"""On an NVIDIA GPU: CUDA comes up and is told, and alpha is what the processor says, replayed or in float16 as well.

A clip that it decodes is what the processor decodes.

Skipped with the reason where CUDA doesn't come up; `RTMATTE_REQUIRE_GPU=1` makes failures of these skips.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

import rtmatte
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import DecoderUnavailableError, ProviderUnavailableError
from rtmatte.frame import I420, Frame
from rtmatte.matting.batched import Batched
from rtmatte.matting.load import load_matter
from rtmatte.matting.registry import find_model
from rtmatte.matting.rvm import Rvm
from rtmatte.matting.session import OnnxSession, check_runtime
from rtmatte.matting.weights import read_verified
from tests import clips
from tests.decoding import decode
from tests.gpu_rule import VARIABLE, no_gpu
from tests.nets import recurrent_net

PARITY = 2e-3
HALF_PARITY = 2e-2
HALF_PARITY_ON_AVERAGE = 2e-3
TENSORRT = "TensorrtExecutionProvider"
FLOAT_MODELS = ("u2netp", "selfie", "selfie-multiclass")


@pytest.fixture(scope="module")
def cuda_session() -> OnnxSession:
    """U²-Net-p on CUDA."""
    try:
        return OnnxSession(read_verified(find_model("u2netp")), device="cuda")
    except ProviderUnavailableError as error:
        no_gpu(str(error), os.environ)


@pytest.fixture(scope="module")
def photograph() -> Frame:
    """A person, 640x480, BGR."""
    picture = cv2.resize(cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR), (640, 480), interpolation=cv2.INTER_LINEAR)
    return Frame(np.asarray(picture, np.uint8), 0, Fraction(1), 0)


@pytest.mark.gpu
def test_cuda_comes_up_and_is_told(cuda_session: OnnxSession) -> None:
    assert cuda_session.provider == "CUDAExecutionProvider"
    assert cuda_session.provider_reason.startswith("CUDA came up")


@pytest.mark.gpu
def test_auto_takes_cuda_where_it_comes_up(cuda_session: OnnxSession, photograph: Frame) -> None:
    matter = load_matter("u2netp")
    matter.estimate(photograph)
    assert matter.provider == cuda_session.provider


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda_session")
@pytest.mark.parametrize("model", FLOAT_MODELS)
def test_alpha_is_what_the_processor_says(photograph: Frame, model: str) -> None:
    expected, got = (load_matter(model, device=device).estimate(photograph).copy() for device in ("cpu", "cuda"))
    assert np.abs(got - expected).max() <= PARITY


@pytest.mark.gpu
def test_arrays_are_used_again_on_cuda(cuda_session: OnnxSession) -> None:
    binding = cuda_session.bind((1, 64, 64, 3), (1, 64, 64))
    answers = []
    for value in (0, 255, 0):
        binding.input[:] = value
        cuda_session.run(binding)
        answers.append(binding.output.copy())
    np.testing.assert_allclose(answers[0], answers[2], atol=1e-6)
    assert not np.array_equal(answers[0], answers[1])


def alphas(made: OnnxSession, photograph: Frame, runs: int = 6) -> list[np.ndarray]:
    """Alpha of the photograph and of its mirror images, by turns."""
    binding = made.bind((1, 256, 320, 3), (1, 256, 320))
    picture = cv2.resize(np.asarray(photograph.picture)[:, :, ::-1], (320, 256), interpolation=cv2.INTER_AREA)
    found = []
    for number in range(runs):
        binding.input[0] = picture[:, :: -1 if number % 2 else 1]
        made.run(binding)
        found.append(binding.output.copy())
    return found


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda_session")
@pytest.mark.parametrize(("model", "parity"), [("u2netp", PARITY), ("selfie", PARITY), ("u2netp-fp16", HALF_PARITY)])
def test_a_replayed_cuda_graph_answers_as_the_processor(photograph: Frame, model: str, parity: float) -> None:
    whole = read_verified(find_model(model.removesuffix("-fp16")))
    expected = alphas(OnnxSession(whole, device="cpu"), photograph)
    made = OnnxSession(read_verified(find_model(model)), device="cuda")
    got = alphas(made, photograph)
    assert made.provider_reason.endswith("replays a CUDA graph"), made.provider_reason
    for number, (wanted, answer) in enumerate(zip(expected, got, strict=True)):
        assert np.abs(answer - wanted).max() <= parity, f"run {number}"
    assert np.abs(got[-1] - got[-2]).max() > 0.1, "a graph that doesn't see new pictures"


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda_session")
@pytest.mark.parametrize("model", FLOAT_MODELS)
def test_float16_alpha_is_what_the_float_net_says_on_the_processor(photograph: Frame, model: str) -> None:
    expected = load_matter(model, device="cpu").estimate(photograph).copy()
    matter = load_matter(f"{model}-fp16", device="cuda")
    for _ in range(4):
        got = matter.estimate(photograph)
    assert matter.provider == "CUDAExecutionProvider"
    assert np.abs(got - expected).mean() <= HALF_PARITY_ON_AVERAGE


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda_session")
def test_people_are_found_by_the_float16_net() -> None:
    assert load_matter("people", device="cuda").name == "selfie-multiclass-fp16"


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda_session")
@pytest.mark.parametrize("model", FLOAT_MODELS)
def test_a_batch_on_the_gpu_is_what_the_processor_says_one_by_one(photograph: Frame, model: str) -> None:
    pictures = [np.ascontiguousarray(np.roll(photograph.picture, 40 * number, axis=1)) for number in range(9)]
    frames = [Frame(picture, number, Fraction(1, 25), number) for number, picture in enumerate(pictures)]
    alone = load_matter(model, device="cpu")
    expected = [alone.estimate(frame).copy() for frame in frames]
    matter = load_matter(model, device="cuda", side_by_side=True, batch=None)
    assert isinstance(matter, Batched)
    got = []
    for part in (slice(0, 1), slice(1, 5), slice(5, 7), slice(7, 9)):
        got += matter.answer([matter.ask(frame) for frame in frames[part]])
    assert not matter.note
    assert matter.provider == f"CUDAExecutionProvider, {matter.frames_a_run} frames a run"
    for wanted, alpha in zip(expected, got, strict=True):
        assert np.abs(alpha - wanted).max() <= PARITY
    # However many came together, a frame's answer is the same.
    again = [alpha for frame in frames for alpha in matter.answer([matter.ask(frame)])]
    for alpha, other in zip(got[2:], again[2:], strict=True):
        np.testing.assert_allclose(alpha, other, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda_session")
def test_a_clip_in_batches_on_the_gpu_is_as_on_the_processor(tmp_path: Path) -> None:
    clip = clips.plain(tmp_path / "in.mp4")
    mattes = []
    for device in ("cpu", "cuda"):
        target = tmp_path / f"{device}.mkv"
        report = rtmatte.process_video(clip, target, matte=True, model="u2netp", device=device)
        mattes.append(np.stack(decode(target).luma).astype(int))
    assert report.provider == "CUDAExecutionProvider, 4 frames a run"
    assert np.abs(mattes[0] - mattes[1]).mean() <= 0.5


@pytest.mark.gpu
@pytest.mark.usefixtures("cuda_session")
def test_what_a_net_remembers_stays_on_the_gpu(photograph: Frame) -> None:
    here, there = (Rvm(OnnxSession(recurrent_net(), device=device)) for device in ("cpu", "cuda"))
    for number in range(6):
        if number == 4:
            here.reset()
            there.reset()
        picture = np.ascontiguousarray(np.roll(photograph.picture, 20 * number, axis=1))
        frame = Frame(picture, number, Fraction(1, 25), number)
        np.testing.assert_allclose(there.estimate(frame), here.estimate(frame), atol=1e-5)
    assert {value.device_name() for value in there._states._values.values()} == {"cuda"}
    assert "without" not in there.provider_reason
    np.testing.assert_allclose(there.foreground_rgb, here.foreground_rgb, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("cuda_session")
@pytest.mark.parametrize("model", ["u2netp", "u2netp-fp16"])
def test_tensorrt_answers_as_the_processor_and_keeps_its_engine(
    photograph: Frame, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if TENSORRT not in check_runtime().providers:
        pytest.skip("the installed runtime is built without TensorRT")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
    try:
        made = OnnxSession(read_verified(find_model(model)), device="tensorrt")
    except ProviderUnavailableError as error:
        pytest.skip(f"TensorRT's libraries aren't here: {error}")
    expected = alphas(OnnxSession(read_verified(find_model("u2netp")), device="cpu"), photograph, 2)
    got = alphas(made, photograph, 2)
    assert made.provider == TENSORRT
    assert list(tmp_path.rglob("*.engine"))
    for wanted, answer in zip(expected, got, strict=True):
        # It may compute any layer with ten bits of mantissa, those that are float32 in the graph as well.
        assert np.abs(answer - wanted).mean() <= 5e-3


@pytest.mark.gpu
def test_a_clip_is_decoded_as_by_software(tmp_path: Path) -> None:
    path = clips.b_frames(tmp_path / "a.mp4", size_wh=(320, 192), frame_count=30)
    try:
        source = VideoFileSource(path, decoder="hardware")
    except DecoderUnavailableError as error:
        if "doesn't come up" not in error.message:
            raise
        no_gpu(str(error), os.environ)
    with source, VideoFileSource(path) as other:
        assert source.format == other.format
        for frame, wanted in zip(source, other, strict=True):
            assert (frame.pts, frame.duration) == (wanted.pts, wanted.duration)
            assert isinstance(frame.picture, I420)
            assert isinstance(wanted.picture, I420)
            assert np.abs(frame.picture.buffer.astype(int) - wanted.picture.buffer).max() <= 1
    assert source.damaged == 0


def test_without_a_gpu_the_reason_is_told() -> None:
    with pytest.raises(pytest.skip.Exception, match="no driver"):
        no_gpu("no driver", {})
    with pytest.raises(pytest.skip.Exception, match="no driver"):
        no_gpu("no driver", {VARIABLE: "0"})


def test_a_gpu_that_is_required_fails_instead() -> None:
    with pytest.raises(pytest.fail.Exception, match="RTMATTE_REQUIRE_GPU is 1 .* no driver"):
        no_gpu("no driver", {VARIABLE: "1"})
