"""On an NVIDIA GPU: CUDA comes up and is told, and alpha is what the processor says.

Skipped with the reason where CUDA doesn't come up; `RTMATTE_REQUIRE_GPU=1` makes failures of these skips.
"""

from __future__ import annotations

import os
from fractions import Fraction

import cv2
import numpy as np
import pytest
from skimage import data

from rtmatte.errors import ProviderUnavailableError
from rtmatte.frame import Frame
from rtmatte.matting.load import load_matter
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified
from tests.gpu_rule import VARIABLE, no_gpu

PARITY = 2e-3
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
    assert cuda_session.provider_reason == "CUDA came up"


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


def test_without_a_gpu_the_reason_is_told() -> None:
    with pytest.raises(pytest.skip.Exception, match="no driver"):
        no_gpu("no driver", {})
    with pytest.raises(pytest.skip.Exception, match="no driver"):
        no_gpu("no driver", {VARIABLE: "0"})


def test_a_gpu_that_is_required_fails_instead() -> None:
    with pytest.raises(pytest.fail.Exception, match="RTMATTE_REQUIRE_GPU is 1 .* no driver"):
        no_gpu("no driver", {VARIABLE: "1"})
