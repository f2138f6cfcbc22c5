"""What every `Matter` must do, run over every one that there is."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from rtmatte.frame import I420, ColorTags, Frame, Picture
from rtmatte.matting.batched import Batched
from rtmatte.matting.image_net import ImageNet
from rtmatte.matting.load import matter_for
from rtmatte.matting.matter import Matter
from rtmatte.matting.mirrored import Mirrored
from rtmatte.matting.net_spec import NetSpec
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.matting.registry import MODELS, find_model
from rtmatte.matting.rvm import Rvm
from rtmatte.matting.sam2 import Sam2
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.matting.still import SkipsStill
from rtmatte.matting.subject_box import SubjectBox
from rtmatte.matting.weights import read_verified
from tests.nets import image_net, recurrent_net, sam2_decoder, sam2_encoder, u2netp_over

SIZES = [(1, 1), (2, 2), (3, 7), (64, 48), (127, 95), (1, 90), (90, 1), (641, 361)]


@lru_cache
def _session(name: str) -> OnnxSession:
    return OnnxSession(read_verified(find_model(name)), device="cpu", threads=1)


@lru_cache
def _rvm_session() -> OnnxSession:
    return OnnxSession(recurrent_net(), device="cpu", threads=1)


@lru_cache
def _own_session() -> OnnxSession:
    return OnnxSession(image_net(), device="cpu", threads=1)


def _u2net() -> Matter:
    return u2netp_over(_session("u2netp"), long_side=64)


def _image(name: str) -> Matter:
    return matter_for(find_model(name).net, _session(name), name=name)


def _recurrent() -> Matter:
    return matter_for(NetSpec(family="recurrent"), _rvm_session(), name="rvm")


@lru_cache
def _sam2_sessions() -> list[OnnxSession]:
    return [OnnxSession(graph, device="cpu", threads=1) for graph in (sam2_encoder(), sam2_decoder())]


def _prompted() -> Matter:
    matter = Sam2(*_sam2_sessions())
    matter.prompt([(0.9, 0.5)], [(0.1, 0.2)])
    return matter


def _recorded_floats() -> Matter:
    rng = np.random.default_rng(0)
    return RecordedAlpha([rng.random((20 + i, 30), dtype=np.float32) for i in range(8)])


def _recorded_bytes() -> Matter:
    return RecordedAlpha(np.random.default_rng(0).integers(0, 256, (8, 20, 30), dtype=np.uint8))


def _recorded_stream() -> Matter:
    rng = np.random.default_rng(0)
    return RecordedAlpha(rng.random((20 + i, 30), dtype=np.float32) for i in range(8))


MATTERS: dict[str, Callable[[], Matter]] = {
    "u2net": _u2net,
    "image": lambda: _image("selfie"),
    "selfie-multiclass-fast": lambda: _image("selfie-multiclass-fast"),
    "own": lambda: matter_for(NetSpec(), _own_session(), name="own"),
    "recurrent": _recurrent,
    "prompted": _prompted,
    "subject box": lambda: SubjectBox(_image("selfie-multiclass-fast"), lambda _: _image("selfie"), (128, 192)),
    "both ways": lambda: Mirrored(_image("selfie")),
    "skips still": lambda: SkipsStill(_image("selfie")),
    "side by side": lambda: SideBySide([_image("selfie") for _ in range(2)], skip_still=True),
    "batched": lambda: Batched(
        ImageNet(_session("selfie"), find_model("selfie").net, name="selfie"), 3, skip_still=True
    ),
    "recorded floats": _recorded_floats,
    "recorded bytes": _recorded_bytes,
    "recorded stream": _recorded_stream,
}


@pytest.fixture(params=list(MATTERS))
def matter(request: pytest.FixtureRequest) -> Matter:
    return MATTERS[request.param]()


def frame_of(size_wh: tuple[int, int], kind: str = "bgr", index: int = 0) -> Frame:
    """A dark disc on a light ramp, a little different in each frame."""
    width, height = size_wh
    yy, xx = np.mgrid[0:height, 0:width]
    inside = (xx - width / 2) ** 2 + (yy - height / 2) ** 2 < (min(size_wh) / 3) ** 2
    grey = np.where(inside, 40 + 5 * index, 150 + 80 * xx / width).astype(np.uint8)
    picture: Picture
    if kind == "bgr":
        picture = np.ascontiguousarray(np.stack([grey, grey, grey], -1))
    else:
        picture = I420.allocate(size_wh, ColorTags(matrix_code=1))
        picture.y[:], picture.u[:], picture.v[:] = grey, 110, 150
    return Frame(picture, pts=index, time_base=Fraction(1, 25), index=index)


def check_alpha(alpha: NDArray[np.float32]) -> None:
    assert isinstance(alpha, np.ndarray)
    assert alpha.ndim == 2
    assert alpha.size > 0
    assert alpha.dtype == np.float32
    assert np.isfinite(alpha).all()
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert alpha.flags.c_contiguous


def test_every_family_is_under_contract() -> None:
    assert {spec.family for spec in MODELS} <= MATTERS.keys()


def test_it_is_a_matter(matter: Matter) -> None:
    assert isinstance(matter, Matter)
    assert matter.name
    assert matter.provider


@pytest.mark.parametrize("kind", ["bgr", "i420"])
@pytest.mark.parametrize("size_wh", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_any_size_of_either_kind_gives_an_alpha(matter: Matter, size_wh: tuple[int, int], kind: str) -> None:
    check_alpha(matter.estimate(frame_of(size_wh, kind)))


def test_frames_in_order_with_changing_sizes(matter: Matter) -> None:
    for index, size_wh in enumerate(SIZES):
        check_alpha(matter.estimate(frame_of(size_wh, "i420" if index % 3 else "bgr", index)))


def test_the_same_frame_gives_the_same_alpha_also_after_reset(matter: Matter) -> None:
    first = matter.estimate(frame_of((64, 48))).copy()
    if not isinstance(matter, Rvm):  # it remembers
        np.testing.assert_array_equal(matter.estimate(frame_of((64, 48))), first)
    matter.reset()
    np.testing.assert_array_equal(matter.estimate(frame_of((64, 48))), first)


@pytest.mark.parametrize("make", MATTERS.values(), ids=MATTERS.keys())
def test_writing_into_the_returned_alpha_does_no_harm(make: Callable[[], Matter]) -> None:
    """The array is the matter's buffer, so that a caller may work in place: nothing of it may come back later."""
    untouched, scribbled = make(), make()
    for index in range(4):
        expected = untouched.estimate(frame_of((64, 48), index=index)).copy()
        alpha = scribbled.estimate(frame_of((64, 48), index=index))
        np.testing.assert_array_equal(alpha, expected)
        alpha[:] = 0.5


def test_the_frame_is_left_as_it_was(matter: Matter) -> None:
    for kind in ("bgr", "i420"):
        frame = frame_of((64, 48), kind)
        pixels = frame.picture.buffer if isinstance(frame.picture, I420) else frame.picture
        before = pixels.copy()
        pixels.flags.writeable = False
        matter.estimate(frame)
        np.testing.assert_array_equal(pixels, before)
