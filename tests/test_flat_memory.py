"""What a run holds doesn't grow with the clip: neither in Python nor, but for MP4's own tables, in FFmpeg.

Frames go through the stages one after the other, in one thread, so that between two of them none is on its way. The
least of what is held around one frame is compared with the least around a much later one: buffers come and go.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from rtmatte.capture.video_file import VideoFileSource
from rtmatte.composite.compositor import Compositor
from rtmatte.frame import F32, Frame
from rtmatte.matting.matter import Matter
from rtmatte.output.video_file import VideoFileSink
from rtmatte.pool import PicturePool
from rtmatte.runs.clip_parts import clip_background, open_sink
from rtmatte.runs.clip_stages import clip_stages
from rtmatte.runs.matting_chain import MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.runs.two_pass import FirstPass
from rtmatte.settings import VideoSettings
from tests import clips
from tests.live_runs import FunctionMatter

SIZE_WH = (64, 48)
EARLY, LATE = 400, 2400
WINDOW = 20
GROWN = LATE - EARLY
LIMIT = 12 * GROWN
"""Less than any object takes; caches of Python and numpy fill up by some KB on the way."""
NATIVE_LIMIT = 48 * GROWN
"""Less than a packet or a frame takes; allocators have caches too."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """early and late, with so many frames, as .mkv and .mp4; a short clip to loop behind."""
    folder = tmp_path_factory.mktemp("clips")
    for name, frame_count in (("behind", 30), ("early", EARLY), ("late", LATE)):
        for suffix in (".mkv", ".mp4"):
            clips.plain(folder / f"{name}{suffix}", size_wh=SIZE_WH, frame_count=frame_count)
    return folder


@pytest.fixture
def _traced() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # what is there before need not be looked through again and again
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.unfreeze()


def _traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _matter() -> Matter:
    """Of somebody who moves to and fro."""
    rows, columns = np.ogrid[:18, :24]
    alphas = [((columns - 8 - n) ** 2 + (rows - 9) ** 2 < 40).astype(np.float32) for n in range(8)]

    def estimate(frame: Frame) -> F32:
        return alphas[frame.index % 8]

    return FunctionMatter(estimate)


def _growth(clip: Path, target: Path, settings: VideoSettings, matter: Matter, held: Callable[[], int]) -> int:
    """By how much more is held around the last frame than around an early one."""
    least: dict[int, int] = {}
    with ExitStack() as stack:
        pool = PicturePool()
        source = stack.enter_context(VideoFileSource(clip, pool=pool, threads=1))
        behind = stack.enter_context(clip_background(settings))
        sink = stack.enter_context(open_sink(source.format, target, settings, companions_from=clip, threads=1))
        compositor = Compositor(behind, light_wrap=settings.light_wrap)
        stages = clip_stages(MattingChain(matter, settings, pool=pool), compositor, sink, pool)
        for number, frame in enumerate(source, 1):
            item: Any = frame
            for stage in stages:
                item = stage.work(item)
            for end in (EARLY, LATE):
                if end - WINDOW < number <= end:
                    least[end] = min(held(), least.get(end, sys.maxsize))
        del item, frame
    return least[LATE] - least[EARLY]


CHAINS: dict[str, dict[str, Any]] = {
    "looped clip": {"background": "behind.mp4"},
    "all there is": {
        "background": "blur",
        "clean_plate": True,
        "people": "nearest",
        "spill": "auto",
        "light_wrap": 0.5,
    },
}


@pytest.mark.usefixtures("_traced")
@pytest.mark.parametrize("case", CHAINS)
def test_one_pass_holds_no_more_at_the_end(case: str, folder: Path, tmp_path: Path) -> None:
    options = dict(CHAINS[case])
    if (behind := folder / options["background"]).is_file():
        options["background"] = str(behind)
    grown = _growth(folder / "late.mp4", tmp_path / "out.mp4", VideoSettings(**options), _matter(), _traced_bytes)
    assert grown < LIMIT


@pytest.mark.usefixtures("_traced")
def test_what_is_kept_of_each_frame_would_be_seen(folder: Path, tmp_path: Path) -> None:
    """The test of the test: a matter that remembers when it saw its frames."""
    seen: list[int] = []
    matter = _matter()

    def remembering(frame: Frame) -> F32:
        seen.append(frame.pts)
        return matter.estimate(frame)

    settings = VideoSettings(background="#00b140")
    grown = _growth(folder / "late.mp4", tmp_path / "out.mp4", settings, FunctionMatter(remembering), _traced_bytes)
    assert grown > LIMIT
    assert len(seen) == LATE


@pytest.mark.usefixtures("_traced")
def test_the_pipeline_itself_keeps_nothing_of_an_item() -> None:
    at: dict[int, int] = {}

    def last(number: int) -> None:
        if number in (2_000, 20_000):
            at[number] = _traced_bytes()

    stages = [Stage("one", lambda number: number, at_once=2), Stage("other", last)]
    run_pipeline(range(20_001), "count", stages, stall_timeout_s=60)
    # Times are counted in buckets, some of which are met late.
    assert at[20_000] - at[2_000] < 4 * 18_000


@pytest.mark.usefixtures("_traced")
def test_two_passes_keep_what_they_saw_on_disk(folder: Path) -> None:
    settings = VideoSettings(two_pass=True)
    held: dict[tuple[str, int], int] = {}
    for length, name in ((EARLY, "early.mp4"), (LATE, "late.mp4")):
        pool, before = PicturePool(), _traced_bytes()
        with closing(FirstPass(_matter(), settings)) as first:
            with VideoFileSource(folder / name, pool=pool) as clip:
                first.run(clip, pool, lambda _frames: None)
            del pool, clip
            held["first pass", length] = _traced_bytes() - before
            first.go_back(lambda _frames: None)
            held["backwards", length] = _traced_bytes() - before
            look = first.second_matter()
            for index in range(length):
                look.estimate(_Numbered(index))  # type: ignore[arg-type]
            held["second pass", length] = _traced_bytes() - before
            del look
        assert len(first.moments) == length
        del first
    for step in ("first pass", "backwards", "second pass"):
        assert held[step, LATE] - held[step, EARLY] < LIMIT, step


class _Numbered:
    """All that a second look asks of a frame."""

    def __init__(self, index: int) -> None:
        self.index = index


class _Allocated(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
        )
    )  # fmt: skip


def _allocated_bytes() -> int:
    """What the whole process has allocated by malloc, FFmpeg's libraries included, and not yet freed."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = _Allocated
    found = libc.mallinfo2()
    return int(found.uordblks + found.hblkhd)


def _has_mallinfo() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallinfo2")


@pytest.mark.skipif(not _has_mallinfo(), reason="needs a malloc that tells what it gave: glibc 2.33 or newer")
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_nor_does_ffmpeg_but_for_the_table_of_an_mp4(suffix: str, folder: Path, tmp_path: Path) -> None:
    """That table, which lies in the finished file, tells as well that what is kept of each packet would be seen."""
    settings = VideoSettings(background="#00b140")
    # Allocators' caches fill up in the first run.
    grown = min(
        _growth(folder / "late.mkv", tmp_path / f"{run}{suffix}", settings, _matter(), _allocated_bytes)
        for run in range(2)
    )
    assert (grown < NATIVE_LIMIT) == (suffix == ".mkv")


@pytest.mark.parametrize("with_sound", [False, True])
def test_a_clip_without_sound_is_not_kept_open_for_it(with_sound: bool, tmp_path: Path) -> None:
    """An open MP4 costs memory for each of its packets."""
    source = clips.plain(tmp_path / "in.mp4", audio=[clips.Audio()] if with_sound else [])
    with VideoFileSource(source) as clip:
        video = clip.format
    with VideoFileSink(tmp_path / "out.mp4", video, companions_from=source):
        assert (str(source) in [file.path for file in psutil.Process().open_files()]) == with_sound
    assert str(source) not in [file.path for file in psutil.Process().open_files()]
