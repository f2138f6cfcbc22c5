"""In steady state nothing of a frame's size is allocated: neither file to file nor live, nor inside a kernel.

Python's tracemalloc sees every array of numpy and OpenCV. It doesn't see what FFmpeg allocates (decoders and encoders
have pools of their own; converting from or to another pixel format takes a new frame each time), nor OpenCV's inner
scratch. The syntax tree tells that kernels, whose memory it doesn't see either, allocate none.
"""

from __future__ import annotations

import ast
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest

import rtmatte
from rtmatte.capture.camera import Camera
from rtmatte.capture.file_camera import FileCamera
from rtmatte.capture.pattern_camera import PatternCamera
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.composite.compositor import Compositor
from rtmatte.frame import F32, I420, ColorTags, Frame
from rtmatte.matting.batched import Batched
from rtmatte.matting.image_net import ImageNet
from rtmatte.matting.matter import Matter
from rtmatte.matting.net_spec import InputSpec, NetSpec
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.still import SkipsStill
from rtmatte.output.fake_virtual_camera import CountingCamera
from rtmatte.pool import PicturePool, RecyclingPool
from rtmatte.runs.clip_parts import clip_background, open_sink
from rtmatte.runs.clip_stages import clip_stages
from rtmatte.runs.live.run import run_live
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.settings import LiveSettings, VideoSettings
from tests import clips
from tests.frames import BT601, BT709, noise_picture
from tests.live_runs import FunctionMatter
from tests.nets import image_net

SIZE_WH = (1280, 720)
FRAMES = 60
STEADY_FROM = 20
LIMIT = SIZE_WH[0] * SIZE_WH[1] // 4
"""A quarter of the luma plane. What is of the model's size, or of a fixed one, stays below all together."""


def _alphas(shape_hw: tuple[int, int]) -> list[F32]:
    """A round piece with a soft edge that goes to and fro."""
    height, width = shape_hw
    rows, columns = np.ogrid[:height, :width]
    ways = (width / 2 + width / 10 * np.sin(number * np.pi / 6) for number in range(12))
    distances = (np.hypot(columns - way, rows - 0.55 * height) for way in ways)
    return [np.clip((0.3 * height - d) / (0.03 * height) + 0.5, 0, 1).astype(np.float32) for d in distances]


SMALL = _alphas((45, 80))


def _small_matter() -> Matter:
    return SkipsStill(FunctionMatter(lambda frame: SMALL[frame.index % 12]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """in.mp4, a short clip to loop behind, a picture to stand behind, a photo of the room."""
    folder = tmp_path_factory.mktemp("clips")
    clips.plain(folder / "in.mp4", size_wh=SIZE_WH, frame_count=FRAMES, frame_rate=Fraction(60))
    clips.plain(folder / "behind.mp4", size_wh=SIZE_WH, frame_count=9)
    picture_bgr = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    cv2.imwrite(str(folder / "picture.png"), picture_bgr)
    return folder


@pytest.fixture
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def _walk(source: Path, target: Path, matter: Matter, settings: VideoSettings) -> dict[str, int]:
    """Every frame through every stage, one after the other: the most that each stage held at a time beyond before."""
    held: defaultdict[str, int] = defaultdict(int)

    def measured(name: str, steady: bool, work: Callable[[], Any]) -> Any:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        result = work()
        if steady:
            held[name] = max(held[name], tracemalloc.get_traced_memory()[1] - before)
        return result

    with ExitStack() as stack:
        pool = PicturePool()
        clip = stack.enter_context(VideoFileSource(source, pool=pool))
        behind = stack.enter_context(clip_background(settings))
        sink = stack.enter_context(open_sink(clip.format, target, settings))
        stages = clip_stages(MattingChain(matter, settings, pool=pool), Compositor(behind), sink, pool)
        frames, together = iter(clip), max(stage.together for stage in stages)
        for number in range(0, FRAMES, together):
            steady = number >= STEADY_FROM
            items = [measured("decode", steady, lambda: next(frames)) for _ in range(together)]
            for stage in stages:
                if stage.take is not None:
                    items = [measured(stage.name, steady, partial(stage.take, item)) for item in items]
                if stage.together > 1:
                    items = measured(stage.name, steady, partial(stage.work, items))
                else:
                    items = [measured(stage.name, steady, partial(stage.work, item)) for item in items]
    assert set(held) == {"decode", "estimate", "smooth", "refine", "composite", "encode"}
    return held


OFFLINE: dict[str, tuple[str, dict[str, Any]]] = {
    "colour": (".mp4", {"background": "#00b140"}),
    "picture": (".mp4", {"background": "picture.png"}),
    "clip": (".mp4", {"background": "behind.mp4"}),
    "blur": (".mp4", {"background": "blur"}),
    "fine blur": (".mp4", {"background": "blur:0.1"}),
    "transparent": (".webm", {"background": "none"}),
    "matte": (".mkv", {"matte": True}),
    "clean plate": (".mp4", {"background": "#00b140", "clean_plate": True}),
    "photo of the room": (".mp4", {"background": "#00b140", "plate": "picture.png"}),
    "light wrap": (".mp4", {"background": "behind.mp4", "light_wrap": 0.5}),
    "green screen": (".mp4", {"background": "#ffffff", "spill": "green"}),
    "coloured wall": (".mp4", {"background": "#ffffff", "spill": "auto"}),
    "nobody else": (".mp4", {"background": "#00b140", "people": "nearest"}),
    "plain": (".mp4", {"background": "#00b140", "refiner": "upscale", "edge_colors": False, "smoothing_s": 0.0}),
}


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("case", OFFLINE)
def test_file_to_file(case: str, folder: Path, tmp_path: Path) -> None:
    suffix, options = OFFLINE[case]
    for name in ("background", "plate"):
        if (folder / str(options.get(name))).is_file():
            options = options | {name: folder / options[name] if name == "plate" else str(folder / options[name])}
    held = _walk(folder / "in.mp4", tmp_path / f"out{suffix}", _small_matter(), VideoSettings(**options))
    assert max(held.values()) < LIMIT, held


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("skip_still", [False, True])
def test_file_to_file_with_several_frames_in_one_run(skip_still: bool, folder: Path, tmp_path: Path) -> None:
    made = OnnxSession(image_net(batch="N"), device="cpu", threads=1)
    net = ImageNet(made, NetSpec(input=InputSpec(size_wh=(64, 32))), name="own")
    matter = Batched(net, 4, skip_still=skip_still)
    held = _walk(folder / "in.mp4", tmp_path / "out.mp4", matter, VideoSettings(background="#00b140"))
    assert max(held.values()) < LIMIT, held


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("smoothing_s", [0.15, 0.0])
def test_file_to_file_with_an_alpha_of_the_frames_size(smoothing_s: float, folder: Path, tmp_path: Path) -> None:
    alphas = [np.rint(alpha * 255).astype(np.uint8) for alpha in _alphas(SIZE_WH[::-1])]
    matter = RecordedAlpha([alphas[number % 12] for number in range(FRAMES)])
    settings = VideoSettings(background="#00b140", smoothing_s=smoothing_s)
    held = _walk(folder / "in.mp4", tmp_path / "out.mp4", matter, settings)
    assert max(held.values()) < LIMIT, held


@pytest.mark.usefixtures("_traced")
def test_what_a_stage_allocates_is_seen(folder: Path, tmp_path: Path) -> None:
    """The test of the tests: a matter that makes something of the frame's size, and throws it away."""

    def wasteful(frame: Frame) -> F32:
        np.empty(LIMIT, np.uint8)
        return SMALL[frame.index % 12]

    settings = VideoSettings(background="#00b140")
    held = _walk(folder / "in.mp4", tmp_path / "out.mp4", FunctionMatter(wasteful), settings)
    assert [name for name, most in held.items() if most >= LIMIT] == ["estimate"]


def _stocked(pool: PicturePool) -> PicturePool:
    """With more pictures than a live run ever has in its hands, so that it doesn't matter who waits for whom when."""
    for _ in range(16):
        pool.release(I420.allocate(SIZE_WH, ColorTags()))
    return pool


LIVE: dict[str, dict[str, Any]] = {
    "own masks": {"when_slow": "drop"},
    "carried masks": {"when_slow": "propagate"},
    "clip behind": {"when_slow": "drop", "backgrounds": ("behind.mp4",)},
    "mirrored, with a clean plate": {"when_slow": "drop", "mirror": True, "clean_plate": True},
    "light wrap": {"when_slow": "propagate", "backgrounds": ("#00b140",), "light_wrap": 0.5},
}


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("camera", ["pattern", "file"])
@pytest.mark.parametrize("case", LIVE)
def test_live(case: str, camera: str, folder: Path) -> None:
    """The most that all threads together hold beyond what they held at the first frame of the steady state.

    Of two runs the second one counts: kernels are compiled where they are first called, in any frame of the first.
    """
    options = dict(LIVE[case])
    if (behind := folder / options.get("backgrounds", ("blur",))[0]).is_file():
        options["backgrounds"] = (str(behind),)
    _most_held_live(options, camera, folder)
    assert 0 < _most_held_live(options, camera, folder) < LIMIT


def _most_held_live(options: dict[str, Any], camera: str, folder: Path) -> int:
    stop, before, most, frames, card = Event(), 0, 0, 0, None

    def look(frame: Frame) -> None:
        nonlocal before, most, frames, card
        card = card or frame.picture  # it comes first, and whenever there is no composite
        frames += frame.picture is not card
        if frames == STEADY_FROM:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
        elif frames == FRAMES:
            most = tracemalloc.get_traced_memory()[1] - before
            stop.set()

    def open_camera(pool: PicturePool) -> Camera:
        _stocked(pool)
        return PatternCamera(SIZE_WH, 60, pool) if camera == "pattern" else FileCamera(folder / "in.mp4", True, pool)

    run_live(
        LiveSettings(output="null", size_wh=SIZE_WH, **options),
        camera=open_camera,
        output=lambda size_wh: CountingCamera(size_wh, on_frame=look),
        matter=_small_matter,
        stop=stop,
    )
    return most


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("shape_hw", [(45, 80), SIZE_WH[::-1]])
def test_what_is_forgotten_leaves_its_buffers(shape_hw: tuple[int, int]) -> None:
    """As at a scene cut, or after a gap."""
    alphas, pool = _alphas(shape_hw), PicturePool()
    matter = FunctionMatter(lambda frame: alphas[frame.index % 12])
    chain = MattingChain(matter, VideoSettings(clean_plate=True), pool=pool)
    for number in range(20):
        frame = Frame(noise_picture("i420", SIZE_WH, BT709, seed=number % 2), number, Fraction(1, 25), number)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        chain.forget_past()
        alpha_u8 = chain.refine(chain.smooth(chain.estimate(frame)))
        held = tracemalloc.get_traced_memory()[1] - before
        if shape_hw == SIZE_WH[::-1]:
            pool.release_alpha(alpha_u8)
    assert held < LIMIT


def test_a_recycling_pool_hands_out_one_picture() -> None:
    pool = RecyclingPool()
    first = pool.acquire((64, 48), BT601)
    assert pool.acquire((64, 48), BT601).buffer is first.buffer
    assert pool.acquire((64, 48), BT709).color == BT709
    assert pool.allocated == 1
    assert pool.acquire((32, 48), BT601).size_wh == (32, 48)
    assert pool.allocated == 2


PACKAGE = Path(rtmatte.__file__).parent
INTEGERS = {"uint8", "int8", "uint16", "int16", "uint32", "int32", "uintp"}
SCALARS = INTEGERS | {"float32", "float64", "floor", "rint", "exp", "sqrt"}
METHODS = {"ravel", "reshape"}
"""Views, of contiguous arrays."""
BUILTINS = {"range", "min", "max", "abs", "int", "float", "bool", "len"}


def _kernels(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and any("njit" in ast.dump(it) for it in node.decorator_list):
            yield node


KERNELS = {f"{path.stem}.{node.name}": node for path in sorted(PACKAGE.rglob("*.py")) for node in _kernels(path)}


def _allocations(kernel: ast.FunctionDef) -> list[str]:
    """Calls of what isn't known to be a scalar, a view or a kernel; lists and the like; arithmetic on whole arrays."""
    names = {name.split(".")[1] for name in KERNELS}
    annotations = {it.arg: ast.unparse(it.annotation) for it in kernel.args.args if it.annotation}
    arrays = {name for name, kind in annotations.items() if kind in ("U8", "U16", "F32", "Cells") or "NDArray" in kind}
    found = []
    for node in (inner for statement in kernel.body for inner in ast.walk(statement)):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute):
                of_numpy = isinstance(called.value, ast.Name) and called.value.id == "np"
                is_fine = called.attr in (SCALARS if of_numpy else METHODS)
            else:
                is_fine = isinstance(called, ast.Name) and called.id in BUILTINS | names
            if not is_fine:
                found.append(ast.unparse(node))
        elif isinstance(node, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)):
            found.append(ast.unparse(node))
        elif isinstance(node, (ast.BinOp, ast.Compare, ast.UnaryOp)):
            found += [ast.unparse(node) for it in ast.iter_child_nodes(node) if getattr(it, "id", "") in arrays]
    return found


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_allocate_nothing(name: str) -> None:
    assert _allocations(KERNELS[name]) == []


def test_allocations_in_kernels_would_be_seen() -> None:
    lines = ["b = np.empty(n)", "c = a * 2", "d = a.copy()", "e = [n]", "f = np.float32(n + 1) * a[n]"]
    wasteful = ast.parse("\n    ".join(["def kernel(a: F32, n: int) -> None:", *lines])).body[0]
    assert isinstance(wasteful, ast.FunctionDef)
    assert Counter(_allocations(wasteful)) == Counter(["np.empty(n)", "a * 2", "a.copy()", "[n]"])
