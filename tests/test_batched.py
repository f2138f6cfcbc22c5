"""Several frames in one run: what comes out is what one frame after the other gives, however many come together."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

import rtmatte
from rtmatte.cli.speaking import report_lines
from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import F32, Frame
from rtmatte.matting import load, session
from rtmatte.matting.batch_size import BATCH_ON_A_DEVICE
from rtmatte.matting.batched import Batched, TakesBatches
from rtmatte.matting.image_net import ImageNet
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import Matter
from rtmatte.matting.mirrored import Mirrored
from rtmatte.matting.net_spec import InputSpec, NetSpec
from rtmatte.matting.providers import PROVIDERS, Device
from rtmatte.matting.registry import SHIPPED
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.matting.still import SkipsStill
from rtmatte.runs.estimate_stage import batch_notices, estimate_stage
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.settings import VideoSettings
from tests import clips
from tests.decoding import decode
from tests.fake_runtime import CUDA, FakeRuntime
from tests.frames import flat_picture, planes
from tests.live_runs import FunctionMatter
from tests.nets import image_net, mixing_net, recurrent_net, stubborn_net

SIZE_WH = (320, 180)
OFF = {
    **dict.fromkeys(("selfie-multiclass", "selfie-multiclass-fp16"), (1e-6, 1.0)),
    **dict.fromkeys(("selfie-multiclass-int8", "selfie-multiclass-fast", "people"), (6e-3, 1e-4)),
}
"""How far alpha may be off in which share of the pixels. The runtime adds up the six classes of this net in another
order for several pictures; where alpha is eight bits after that, some sum that is just between two of them tips. All
other nets that ship are the same bit for bit.
"""


def frames(values: Iterable[int], size_wh: tuple[int, int] = SIZE_WH) -> list[Frame]:
    """One frame for each grey value."""
    pictures = [flat_picture("i420", size_wh, (value, 128, 128)) for value in values]
    return [Frame(picture, number, Fraction(1, 30), number) for number, picture in enumerate(pictures)]


@lru_cache(maxsize=1)
def photographs() -> list[Frame]:
    """Five pictures of 320x180, BGR."""
    found = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.astronaut()[:, ::-1]]
    small = [cv2.resize(np.ascontiguousarray(rgb[:, :, ::-1]), SIZE_WH, interpolation=cv2.INTER_AREA) for rgb in found]
    return [Frame(np.asarray(bgr, np.uint8), n, Fraction(1, 30), n) for n, bgr in enumerate(small)]


def mean(frame: Frame) -> F32:
    return np.full((12, 20), planes(frame.picture)[0].mean() / 255, np.float32)


class MeanNet(FunctionMatter):
    """Gives a grey frame's value; `runs` has the indices of the frames of each run that came to its end.

    `broken` frames raise, and so do runs of more frames than `fits` says of one of them.
    """

    batch_note = ""

    def __init__(self, broken: Iterable[int] = (), fits: Callable[[int], int] = lambda _index: 64) -> None:
        super().__init__(self._of)
        self.runs: list[list[int]] = []
        self.broken = set(broken)
        self.fits = fits

    def _of(self, frame: Frame) -> F32:
        if frame.index in self.broken:
            raise ModelOutputError(f"frame {frame.index} is broken")
        return mean(frame)

    def estimate_batch(self, frames: Iterable[Frame], most: int) -> list[F32]:
        given, alphas = list(frames), list[F32]()
        for first in range(0, len(given), most):
            run = given[first : first + most]
            if any(len(run) > self.fits(frame.index) for frame in run):
                raise ModelOutputError(f"no memory for {len(run)} frames.")
            alphas += [self.estimate(frame) for frame in run]
            self.runs.append([frame.index for frame in run])
        return alphas


# --- the nets


@pytest.mark.parametrize(
    ("model", "both_ways"),
    [*((row.name, False) for row in SHIPPED), ("selfie", True), ("selfie-multiclass-fast", True)],
)
def test_every_net_that_ships_answers_a_batch_as_one_by_one(model: str, both_ways: bool) -> None:
    options: dict[str, Any] = {"device": "cpu", "threads": 2, "both_ways": both_ways}
    matter, alone = load_matter(model, batch=2, **options), load_matter(model, **options)
    assert isinstance(matter, Batched)
    pictures = photographs()[:3]
    one_by_one = [alone.estimate(frame).copy() for frame in pictures]
    assert np.ptp(one_by_one, axis=0).max() > 0.5, "they are told apart"
    for part in (slice(0, 2), slice(2, 3)):
        alphas = matter.answer([matter.ask(frame) for frame in pictures[part]])
        for alpha, expected in zip(alphas, one_by_one[part], strict=True):
            most, share = OFF.get(model, (0.0, 0.0))
            assert np.abs(alpha - expected).max() <= most
            assert np.mean(alpha != expected) <= share
    assert not matter.note


def test_frames_of_several_sizes_and_more_than_a_batch() -> None:
    made = OnnxSession(image_net(batch="N", halve=True), device="cpu", threads=1)
    net = ImageNet(made, NetSpec(input=InputSpec(fit="pad", long_side=64)), name="own")
    values, sizes = [20, 200, 90, 40, 160, 70, 10], [(100, 50)] * 4 + [(50, 100)] * 2 + [(100, 50)]
    mixed = [
        Frame(np.full((height, width, 3), value, np.uint8), n, Fraction(1), n)
        for n, (value, (width, height)) in enumerate(zip(values, sizes, strict=True))
    ]
    alphas = net.estimate_batch(iter(mixed), 3)
    assert [alpha.shape for alpha in alphas] == [(16, 32)] * 4 + [(32, 16)] * 2 + [(16, 32)]
    for alpha, value in zip(alphas, values, strict=True):
        np.testing.assert_allclose(alpha, value / 255, atol=1e-6)
    assert net.estimate_batch([], 3) == []
    assert net.batch_note == ""


def test_a_steady_run_reuses_its_arrays() -> None:
    made = OnnxSession(image_net(batch="N"), device="cpu", threads=1)
    net = ImageNet(made, NetSpec(), name="own")
    for count in (1, 3, 2, 4, 4, 1):
        net.estimate_batch(photographs()[:count], 4)
    assert len(net._bindings) == 1


OWN = NetSpec(input=InputSpec(size_wh=(32, 32)))


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (mixing_net(), r"own says otherwise of a picture, by 0\.\d+, for what else is in its run"),
        (stubborn_net(folds=False), "the model failed on CPUExecutionProvider"),
        (stubborn_net(folds=True), r"own: expected an output for 2 in a run, got one of shape \(1, 1, 64, 32\)"),
    ],
    ids=["mixes", "fails", "folds"],
)
def test_a_net_that_can_not_is_found_out_and_asked_one_by_one(graph: bytes, why: str) -> None:
    made = OnnxSession(graph, device="cpu", threads=1)
    assert made.takes_batches, "by its own word"
    matter = Batched(ImageNet(made, OWN, name="own"), 4)
    alone = ImageNet(made, OWN, name="own")
    for _ in range(2):
        alphas = matter.answer([matter.ask(frame) for frame in photographs()])
        for alpha, frame in zip(alphas, photographs(), strict=True):
            np.testing.assert_array_equal(alpha, alone.estimate(frame))
    assert matter.provider == "CPUExecutionProvider, 1 thread"
    (notice,) = batch_notices(matter, None)
    assert notice.startswith("The model got one frame at a time in the end, not 4: ")
    assert re.search(why, notice)
    assert "\n" not in notice, "a runtime ends what it says by a line break"


def test_a_value_that_is_not_finite_names_its_frame() -> None:
    made = OnnxSession(image_net(batch="N"), device="cpu", threads=1)
    net = ImageNet(made, OWN, name="own")
    pictures = photographs()
    net.estimate_batch(pictures[:4], 4)

    class Broken:
        few_shapes, takes_batches, provider = False, True, "broken"

        def run(self, binding: Any) -> None:
            binding.output[:] = 0.5
            binding.output[2] = np.nan

    net._session = Broken()  # type: ignore[assignment]
    with pytest.raises(ModelOutputError, match="expected finite values for frame 3"):
        net.estimate_batch(pictures[1:5], 4)
    assert net.batch_note == ""


# --- the matter


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.sampled_from([40, 41, 90, 200]), min_size=1, max_size=24),
    parts=st.lists(st.integers(1, 4), min_size=24, max_size=24),
    skip_still=st.booleans(),
)
def test_it_is_as_one_matter_that_skips_what_is_still(values: list[int], parts: list[int], skip_still: bool) -> None:
    net, one = MeanNet(), FunctionMatter(mean)
    matter = Batched(net, 4, skip_still=skip_still)
    alone = SkipsStill(one) if skip_still else one
    waiting = frames(values)
    expected = [alone.estimate(frame).copy() for frame in waiting]
    got: list[F32] = []
    for part in parts:
        got += matter.answer([matter.ask(frame) for frame in waiting[len(got) : len(got) + part]])
    assert len(got) == len(expected)
    for alpha, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(alpha, wanted)
    assert net.calls == one.calls
    assert len({alpha.ctypes.data for alpha in got}) == len(got), "an array for each, to write into"


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.sampled_from([40, 90, 200]), min_size=2, max_size=16),
    behind=st.lists(st.integers(0, 9), min_size=16, max_size=16),
    batch=st.integers(2, 4),
    broken=st.none() | st.integers(0, 15),
    tight_from=st.integers(0, 15),
    fits=st.integers(1, 4),
)
def test_through_the_pipeline_however_frames_come(
    values: list[int], behind: list[int], batch: int, broken: int | None, tight_from: int, fits: int
) -> None:
    """Frames come when all but so many before them are through. A broken one ends the run, as it would alone. From one
    on there is memory for so many only."""
    stages_settings = VideoSettings(background="green")
    net = MeanNet([] if broken is None else [broken], lambda index: fits if index >= tight_from else 64)
    chain = MattingChain(Batched(net, batch, skip_still=True), stages_settings)
    alone = MattingChain(SkipsStill(MeanNet([] if broken is None else [broken])), stages_settings)
    waiting, through, expected, error = frames(values), list[Any](), list[F32](), ""
    try:
        expected = [alone.estimate(frame).alpha for frame in waiting]
    except ModelOutputError as caught:
        error = caught.message
    moved = threading.Condition()

    def source() -> Iterator[Frame]:
        for frame, allowed in zip(waiting, behind, strict=False):
            if broken is None or frame.index <= broken:  # nothing comes through after it
                with moved:
                    assert moved.wait_for(lambda n=frame.index, a=allowed: len(through) >= n - a, 20)
            yield frame

    def collect(matted: Any) -> None:
        with moved:
            through.append(matted)
            moved.notify_all()

    stages = [estimate_stage(chain), Stage("x", collect)]
    if error:
        with pytest.raises(ModelOutputError, match=error):
            run_pipeline(source(), "s", stages, stall_timeout_s=30)
        assert [matted.frame.index for matted in through] == list(range(len(through)))
        return
    run_pipeline(source(), "s", stages, stall_timeout_s=30)
    assert [matted.frame.index for matted in through] == list(range(len(values)))
    for matted, wanted in zip(through, expected, strict=True):
        np.testing.assert_array_equal(matted.alpha, wanted)
        assert matted.small is not None
    assert all(len(run) <= batch for run in net.runs)


@pytest.mark.parametrize(
    ("fits", "runs", "frames_a_run"),
    [
        (4, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], 4),
        (3, [[0, 1, 2, 3], [4, 5], [6, 7], [8, 9]], 2),
        (1, [[0, 1, 2, 3], [4], [5], [6], [7], [8], [9]], 1),
    ],
)
def test_a_run_that_fails_in_the_middle_is_done_again_by_smaller_ones(
    fits: int, runs: list[list[int]], frames_a_run: int
) -> None:
    net = MeanNet(fits=lambda index: fits if index >= 4 else 64)
    matter, waiting, got = Batched(net, 4), frames(range(20, 220, 20)), list[F32]()
    for part in (slice(0, 4), slice(4, 8), slice(8, 10)):
        got += matter.answer([matter.ask(frame) for frame in waiting[part]])
    for alpha, frame in zip(got, waiting, strict=True):
        np.testing.assert_array_equal(alpha, mean(frame))
    assert net.runs == runs, "and it stays so"
    assert (matter.frames_a_run, matter.frames_wanted) == (frames_a_run, 4)
    told = {4: [], 2: ["2 frames", "no memory for 4 frames"], 1: ["one frame", "no memory for 2 frames"]}[frames_a_run]
    wanted = [f"The model got {told[0]} at a time in the end, not 4: {told[1]}."] if told else []
    assert batch_notices(matter, None) == wanted
    assert matter.provider == net.provider + (f", {frames_a_run} frames a run" if frames_a_run > 1 else "")


def test_a_run_of_one_frame_that_fails_is_an_error() -> None:
    net = MeanNet(fits=lambda index: 0 if index == 2 else 64)
    matter = Batched(net, 4)
    with pytest.raises(ModelOutputError, match="no memory for 1 frames"):
        matter.answer([matter.ask(frame) for frame in frames([40, 90, 200])])
    assert net.runs == [[0, 1], [0], [1]], "by two, by one; the third fails"


def test_an_error_reaches_all_who_share_the_answer_and_the_next_frame_is_looked_at() -> None:
    net = MeanNet(broken=[0])
    matter = Batched(net, 4, skip_still=True)
    first, second, third, fourth = frames([40, 40, 40, 40])
    questions = [matter.ask(frame) for frame in (first, second, third)]
    with pytest.raises(ModelOutputError, match="frame 0 is broken"):
        matter.answer(questions[:2])
    with pytest.raises(ModelOutputError, match="frame 0 is broken"):
        matter.answer(questions[2:])
    np.testing.assert_array_equal(matter.estimate(fourth), mean(fourth))


def test_after_reset_it_looks() -> None:
    net = MeanNet()
    matter = Batched(net, 4, skip_still=True)
    first, second, third = frames([40, 40, 40])
    matter.answer([matter.ask(first), matter.ask(second)])
    assert net.runs == [[0]]
    matter.reset()
    matter.estimate(third)
    assert net.runs == [[0], [2]]


def test_less_than_one_is_too_few() -> None:
    with pytest.raises(SettingsError, match="one frame a run at least, got 0"):
        Batched(MeanNet(), 0)


def test_what_takes_batches() -> None:
    made = OnnxSession(image_net(batch="N"), device="cpu", threads=1)
    assert isinstance(Mirrored(ImageNet(made, OWN, name="own")), TakesBatches)
    assert not isinstance(FunctionMatter(mean), TakesBatches)
    assert made.takes_batches
    assert not OnnxSession(image_net(), device="cpu", threads=1).takes_batches
    assert not made.few_shapes


# --- who gets it


def kind(matter: Matter) -> tuple[type, int]:
    at_once = matter.frames_at_once if isinstance(matter, SideBySide) else 1
    return type(matter), matter.frames_a_run if isinstance(matter, Batched) else at_once


def test_on_the_processor_it_is_used_when_asked_for() -> None:
    options: dict[str, Any] = {"device": "cpu", "threads": 2, "side_by_side": True}
    assert kind(load_matter("selfie", batch=None, **options)) == (SideBySide, 2)
    assert kind(load_matter("selfie", batch=1, **options)) == (SideBySide, 2)
    asked = load_matter("selfie", batch=3, skip_still=True, **options)
    assert kind(asked) == (Batched, 3)
    assert asked.provider == "CPUExecutionProvider, 2 threads, 3 frames a run"
    assert batch_notices(asked, 3) == []
    assert kind(load_matter("selfie", batch=3, focus="near", **options))[1] == 1


@pytest.fixture
def on_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., FakeRuntime]:
    """Makes a runtime with that device the one that is installed."""

    def install(device: Device, **behaviour: Any) -> FakeRuntime:
        (provider,) = (provider for provider in PROVIDERS if provider.device == device)
        runtime = FakeRuntime((provider.name,), **behaviour)
        monkeypatch.setattr(session, "_import_runtime", lambda: (provider.distribution, runtime))
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
        return runtime

    return install


DEVICES = [provider.device for provider in PROVIDERS]


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_that_is_not_the_cores_gets_batches_of_a_clip(
    device: Device, on_a_device: Callable[..., FakeRuntime]
) -> None:
    on_a_device(device)
    of_clip: dict[str, Any] = {"device": device, "threads": 2, "side_by_side": True}
    several = 1 if device == "openvino" else BATCH_ON_A_DEVICE
    assert kind(load_matter("selfie", batch=None, **of_clip))[1] == several
    assert kind(load_matter("selfie", batch=2, **of_clip)) == (Batched, 2)
    assert kind(load_matter("selfie", batch=1, **of_clip))[1] == 1
    assert kind(load_matter("selfie", device=device))[1] == 1, "a live run"


def test_nets_that_remember_or_have_one_place_get_one_frame_and_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_a_device: Callable[..., FakeRuntime]
) -> None:
    on_a_device("cuda")
    monkeypatch.setattr(load, "read_verified", lambda _row: recurrent_net())
    remembers = load_matter("rvm", device="cuda", side_by_side=True, batch=None)
    (tmp_path / "own.onnx").write_bytes(image_net())
    (tmp_path / "own.toml").write_text("[input]\nlong_side = 64\n")
    one_place = load_matter(tmp_path / "own.onnx", device="cuda", side_by_side=True, batch=8)
    for matter in (remembers, one_place):
        assert kind(matter)[1] == 1
        assert batch_notices(matter, None) == batch_notices(matter, 1) == []
        (notice,) = batch_notices(matter, 8)
        assert notice.startswith("The model got one frame at a time, not 8: it remembers, ")


@pytest.mark.parametrize("device", DEVICES)
def test_where_shapes_are_compiled_a_run_always_has_as_many_pictures(
    device: Device, on_a_device: Callable[..., FakeRuntime]
) -> None:
    """Whatever comes together, one shape is seen; and the answers are those of the processor one by one."""
    runtime = on_a_device(device)
    alone = load_matter("selfie", device="cpu", threads=1)
    expected = [alone.estimate(frame).copy() for frame in photographs()]
    runtime.opened.clear()
    matter = load_matter("selfie", device=device, threads=1, batch=3)
    assert isinstance(matter, Batched)
    for part in (slice(0, 1), slice(1, 4), slice(3, 5), slice(0, 3), slice(4, 5), slice(0, 2)):
        alphas = matter.answer([matter.ask(frame) for frame in photographs()[part]])
        for alpha, wanted in zip(alphas, expected[part], strict=True):
            # A session for one shape is put together otherwise by the runtime.
            np.testing.assert_allclose(alpha, wanted, rtol=0, atol=1e-4)
    assert [one.real.get_inputs()[0].shape for one in runtime.opened[1:]] == [[3, 144, 256, 3]]
    assert not matter.note
    if device == "cuda":
        assert runtime.opened[1].told[CUDA]["enable_cuda_graph"] == "1"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("fits", [[3], [1], [4, 4, 4, 4, 3], [4, 4, 4, 2, 2, 1]], ids=str)
@pytest.mark.parametrize("both_ways", [False, True])
def test_where_memory_gets_short_smaller_runs_answer_as_one_by_one(
    device: Device, fits: list[int], both_ways: bool, on_a_device: Callable[..., FakeRuntime]
) -> None:
    """`fits`: for how many pictures there is memory in the first runs, of the last one in all that follow."""
    alone = load_matter("selfie", device="cpu", threads=1, both_ways=both_ways)
    expected = [alone.estimate(frame).copy() for frame in photographs()]
    asked, fitting = 0, list(fits)

    def there_is_memory(pictures: int) -> bool:
        nonlocal asked
        asked += 1
        return pictures <= fitting[min(asked, len(fitting)) - 1]

    on_a_device(device, fits=there_is_memory)
    matter = load_matter("selfie", device=device, threads=1, batch=4, both_ways=both_ways)
    assert isinstance(matter, Batched)
    for part in (slice(0, 4), slice(1, 5), slice(4, 5), slice(0, 4)):
        alphas = matter.answer([matter.ask(frame) for frame in photographs()[part]])
        for alpha, wanted in zip(alphas, expected[part], strict=True):
            np.testing.assert_allclose(alpha, wanted, rtol=0, atol=1e-4)
    assert matter.frames_a_run == {3: 2, 1: 1}[fits[-1]]
    (notice,) = batch_notices(matter, 4)
    frames_a_run = {3: "2 frames", 1: "one frame"}[fits[-1]]
    assert re.match(rf"The model got {frames_a_run} at a time in the end, not 4: the model failed on .*memory", notice)


@pytest.mark.parametrize("graph", ["refused", "stale", "dies"])
def test_batches_go_on_where_a_cuda_graph_fails(graph: str, on_a_device: Callable[..., FakeRuntime]) -> None:
    alone = load_matter("selfie", device="cpu", threads=1)
    expected = [alone.estimate(frame).copy() for frame in photographs()[:3]]
    on_a_device("cuda", graph=graph)
    matter = load_matter("selfie", device="cuda", batch=3)
    assert isinstance(matter, Batched)
    for _ in range(5):
        alphas = matter.answer([matter.ask(frame) for frame in photographs()[:3]])
        for alpha, wanted in zip(alphas, expected, strict=True):
            np.testing.assert_allclose(alpha, wanted, rtol=0, atol=1e-4)
    assert not matter.note


# --- whole clips


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    folder = tmp_path_factory.mktemp("film")

    def of(count: int) -> Path:
        path = folder / f"{count}.mp4"
        return path if path.exists() else clips.plain(path, frame_count=count)

    return of


def matte_of(clip: Path, target: Path, **options: Any) -> tuple[rtmatte.Report, np.ndarray]:
    report = rtmatte.process_video(
        clip, target, matte=True, model="selfie", device="cpu", threads=1, overwrite=True, **options
    )
    return report, np.stack(decode(target).luma)


@pytest.mark.parametrize("count", range(1, 8))
def test_a_clip_may_have_any_number_of_frames(count: int, film: Callable[[int], Path], tmp_path: Path) -> None:
    clip = film(count)
    batched, got = matte_of(clip, tmp_path / "batched.mkv", batch=3)
    alone, expected = matte_of(clip, tmp_path / "alone.mkv")
    assert batched.frames_out == alone.frames_out == count
    np.testing.assert_array_equal(got, expected)
    assert batched.provider == "CPUExecutionProvider, 1 thread, 3 frames a run"
    assert alone.provider == "CPUExecutionProvider, 1 thread"
    assert batched.stages[1].total_seconds > 0
    assert not [notice for notice in batched.notices if "frame at a time" in notice]


def test_a_matter_that_came_down_to_one_a_run_does_another_clip(film: Callable[[int], Path], tmp_path: Path) -> None:
    net = MeanNet([], lambda _index: 1)
    matter = Batched(net, 4)
    for number in range(2):
        report = rtmatte.process_video(film(6), tmp_path / f"{number}.mkv", matte=True, matter=matter, smoothing_s=0)
        assert report.frames_out == 6
        assert matter.frames_a_run == 1


@pytest.mark.parametrize("options", [{"two_pass": True}, {"both_ways": True}, {"skip_still": False}, {"jobs": 2}])
def test_a_clip_comes_out_the_same_with_every_choice(
    options: dict[str, Any], film: Callable[[int], Path], tmp_path: Path
) -> None:
    clip = film(12)
    batched, got = matte_of(clip, tmp_path / "batched.mkv", batch=4, **options)
    _, expected = matte_of(clip, tmp_path / "alone.mkv", **options)
    np.testing.assert_array_equal(got, expected)
    assert batched.provider.endswith("4 frames a run")


def test_on_a_gpu_a_clip_goes_in_batches_by_itself(
    film: Callable[[int], Path], tmp_path: Path, on_a_device: Callable[..., FakeRuntime]
) -> None:
    _, expected = matte_of(film(7), tmp_path / "alone.mkv")
    runtime = on_a_device("cuda")
    report = rtmatte.process_video(film(7), tmp_path / "gpu.mkv", matte=True, model="selfie", device="cuda")
    assert report.provider == f"{CUDA}, {BATCH_ON_A_DEVICE} frames a run"
    assert np.abs(np.stack(decode(tmp_path / "gpu.mkv").luma).astype(int) - expected).max() <= 1
    assert {one.real.get_inputs()[0].shape[0] for one in runtime.opened[1:]} == {BATCH_ON_A_DEVICE}


def test_a_clip_goes_on_where_memory_gets_short_and_the_report_says_so(
    film: Callable[[int], Path], tmp_path: Path, on_a_device: Callable[..., FakeRuntime]
) -> None:
    _, expected = matte_of(film(12), tmp_path / "alone.mkv", skip_still=False)
    asked: list[int] = []

    def there_is_memory(pictures: int) -> bool:
        asked.append(pictures)
        return pictures <= 2 or len(asked) < 5

    on_a_device("cuda", fits=there_is_memory)
    report = rtmatte.process_video(
        film(12), tmp_path / "gpu.mkv", matte=True, model="selfie", device="cuda", skip_still=False
    )
    assert (report.frames_in, report.frames_out, report.dropped) == (12, 12, 0)
    assert np.abs(np.stack(decode(tmp_path / "gpu.mkv").luma).astype(int) - expected).max() <= 1
    assert report.provider == f"{CUDA}, 2 frames a run"
    (notice,) = [notice for notice in report.notices if "at a time" in notice]
    assert notice.startswith(f"The model got 2 frames at a time in the end, not 4: the model failed on {CUDA}: ")
    assert notice.endswith("failed to allocate memory for 4 pictures.")
    assert f"  note: {notice}" in report_lines(report)
    assert set(asked[:5]) == {4}
    assert set(asked[7:]) == {2}


def test_a_report_says_that_a_net_got_one_at_a_time(film: Callable[[int], Path], tmp_path: Path) -> None:
    report, _ = matte_of(film(3), tmp_path / "out.mkv", batch=4, focus="near")
    assert report.provider == "CPUExecutionProvider, 1 thread"
    assert [notice for notice in report.notices if "one frame at a time, not 4" in notice]


@pytest.mark.parametrize("batch", [0, 65])
def test_a_batch_out_of_range(batch: int) -> None:
    with pytest.raises(SettingsError, match=f"--batch: expected 1 to 64, got {batch}"):
        VideoSettings(batch=batch)
