"""U²-Net-p: upstream's own alpha comes out of the whole path, nothing is stretched, and nonsense is refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from skimage import data

from rtmatte.errors import ModelOutputError, ProviderUnavailableError, SettingsError, UnknownModelError
from rtmatte.frame import I420, ColorTags, Frame, Picture
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.matting.session import OnnxSession, check_runtime
from tests.nets import u2netp_over

GOLDEN = Path(__file__).parent / "golden" / "u2netp_astronaut_alpha.png"


@pytest.fixture(scope="module")
def matter() -> Matter:
    return load_matter(device="cpu", threads=1)


@pytest.fixture(scope="module")
def astronaut_bgr() -> NDArray[np.uint8]:
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def frame(picture: Picture, index: int = 0) -> Frame:
    return Frame(picture, pts=index, time_base=Fraction(1, 25), index=index)


def i420(bgr: NDArray[np.uint8]) -> I420:
    """BT.601 limited range, by OpenCV."""
    planar = np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)).reshape(-1).astype(np.uint8)
    return I420.over(planar, (bgr.shape[1], bgr.shape[0]), ColorTags(matrix_code=6))


def stand_in(value: float, *, gain: float = 0, extra_row: int = 0) -> OnnxSession:
    """A model that answers `value` plus `gain` times the brightness (0 to 255), or one row too many."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[3], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["scaled"]),
        helper.make_node("Add", ["scaled", "value"], ["flat"]),
        helper.make_node("Pad", ["flat", "pads"], ["alpha"]),
    ]
    constants = {
        "gain": np.float32(gain),
        "value": np.float32(value),
        "pads": np.array([0, 0, 0, 0, extra_row, 0], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", "H", "W", 3])],
        [helper.make_tensor_value_info("alpha", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(constant), name) for name, constant in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return OnnxSession(model.SerializeToString(), device="cpu", threads=1)


def test_a_portrait_gets_upstreams_alpha(matter: Matter, astronaut_bgr: NDArray[np.uint8]) -> None:
    """512x512 in, through the frame's path; the golden alpha is upstream's own graph on the same 320x320 picture."""
    golden = cv2.imread(str(GOLDEN), cv2.IMREAD_UNCHANGED) / 65535.0
    alpha = matter.estimate(frame(astronaut_bgr))
    assert alpha.shape == (320, 320)
    assert np.abs(alpha - golden).max() <= 1e-3


def test_i420_and_bgr_agree(matter: Matter, astronaut_bgr: NDArray[np.uint8]) -> None:
    from_bgr = matter.estimate(frame(astronaut_bgr)).copy()
    from_i420 = matter.estimate(frame(i420(astronaut_bgr)))
    assert np.abs(from_bgr - from_i420).mean() < 5e-3


@pytest.mark.parametrize("size_wh", [(640, 360), (360, 640), (500, 473), (33, 7)])
def test_alpha_lies_where_the_picture_lies(size_wh: tuple[int, int]) -> None:
    """A model that gives back the brightness it sees: alpha must be the picture, whole, without the padding."""
    width, height = size_wh
    ramp = (np.linspace(0, 120, width)[None, :] + np.linspace(0, 120, height)[:, None]).astype(np.uint8)
    bgr = np.ascontiguousarray(np.repeat(ramp[..., None], 3, 2))
    alpha = u2netp_over(stand_in(0, gain=1 / 255)).estimate(frame(bgr))
    assert max(alpha.shape) == 320
    assert abs(alpha.shape[1] - alpha.shape[0] * width / height) <= max(1, width / height)
    assert np.abs(cv2.resize(alpha, size_wh) * 255 - ramp).max() < 255 * 0.05
    assert np.abs(alpha * 255 - cv2.resize(ramp, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)).max() < 3


def test_anamorphic_frames_are_seen_as_shown(matter: Matter, astronaut_bgr: NDArray[np.uint8]) -> None:
    squeezed = np.asarray(cv2.resize(astronaut_bgr, (256, 512), interpolation=cv2.INTER_AREA), np.uint8)
    shown = load_matter(device="cpu", threads=1, sample_aspect_ratio=Fraction(2))
    alpha = shown.estimate(frame(squeezed))
    assert alpha.shape == (320, 320)
    assert np.abs(alpha - matter.estimate(frame(astronaut_bgr))).mean() < 0.02


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_constant_picture_is_empty(matter: Matter, grey: int) -> None:
    assert matter.estimate(frame(np.full((90, 160, 3), grey, np.uint8))).max() < 0.05


def test_an_empty_wall_is_never_stretched_to_foreground(matter: Matter) -> None:
    ramp = np.linspace(60, 200, 320)[None, :, None] + np.random.default_rng(0).normal(0, 2, (180, 320, 3))
    alpha = matter.estimate(frame(ramp.astype(np.uint8)))
    assert alpha.max() < 0.05
    assert alpha.min() >= 0


def test_alpha_is_what_the_network_gives() -> None:
    """Not stretched to the frame's extremes, and a constant output divides nothing by zero."""
    matter = u2netp_over(stand_in(0.3))
    assert (matter.estimate(frame(np.zeros((50, 60, 3), np.uint8))) == np.float32(0.3)).all()


@pytest.mark.parametrize(("value", "expected"), [(1.2, 1.0), (-0.1, 0.0)])
def test_alpha_is_clipped(value: float, expected: float) -> None:
    assert (u2netp_over(stand_in(value)).estimate(frame(np.zeros((50, 60, 3), np.uint8))) == expected).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ModelOutputError, match="frame 41, got NaN or infinity"):
        u2netp_over(stand_in(value)).estimate(frame(np.zeros((50, 60, 3), np.uint8), 41))


def test_an_output_of_another_shape_is_refused() -> None:
    with pytest.raises(ModelOutputError, match=r"expected float32 \(1, 288, 320\)"):
        u2netp_over(stand_in(0.5, extra_row=1)).estimate(frame(np.zeros((50, 60, 3), np.uint8)))


def test_a_steady_run_reuses_its_arrays(matter: Matter, astronaut_bgr: NDArray[np.uint8]) -> None:
    first = matter.estimate(frame(astronaut_bgr))
    address = first.ctypes.data
    assert matter.estimate(frame(astronaut_bgr, 1)).ctypes.data == address


def test_load_matter_says_what_it_runs_on(matter: Matter) -> None:
    assert matter.name == "u2netp"
    assert matter.provider == "CPUExecutionProvider, 1 thread"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"name": "u2net-human"}, UnknownModelError),
        ({"device": "tpu"}, SettingsError),
        ({"threads": 0}, SettingsError),
        ({"sample_aspect_ratio": Fraction(0)}, SettingsError),
    ],
)
def test_load_matter_refuses(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        load_matter(**arguments)


def test_a_gpu_that_is_not_there_is_an_error_and_not_a_slow_run() -> None:
    if check_runtime().distribution != "onnxruntime":
        pytest.skip("the GPU build is installed")
    with pytest.raises(ProviderUnavailableError, match="built without CUDA"):
        load_matter(device="cuda")


@pytest.mark.real_clips
@pytest.mark.parametrize(("clip", "most"), [("c03_longhair_library_pan", 0.030), ("c14_grid_lbax4n_meet1", 0.020)])
def test_real_clips_against_the_exact_alpha(matter: Matter, real_clips: Path, clip: str, most: float) -> None:
    errors = []
    with (
        av.open(str(real_clips / "gt" / f"{clip}.mp4")) as video,
        av.open(str(real_clips / "gt" / f"{clip}_alpha.mkv")) as truth,
    ):
        for index, (decoded, exact) in enumerate(zip(video.decode(video=0), truth.decode(video=0), strict=False)):
            if index > 40:
                break
            if index % 10:
                continue
            size_wh = (decoded.width, decoded.height)
            picture = I420.over(decoded.to_ndarray(format="yuv420p").reshape(-1), size_wh, ColorTags(matrix_code=1))
            alpha = cv2.resize(matter.estimate(frame(picture, index)), size_wh)
            errors.append(np.abs(alpha - exact.to_ndarray(format="gray") / 255.0).mean())
    assert np.mean(errors) < most
