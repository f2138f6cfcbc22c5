"""What a file run's memory depends on besides the size of its frames: peak and growth over short and long clips.

python benchmarks/memory.py [--minutes 1 6] [--cases NAME ...] [--json benchmarks/results/memory.json]

160x90 at 30 fps from the test pattern, two seconds over and over, blurred background; every run has a process of its
own. The net estimates the first frame and its alpha stands for the rest. Peaks are those of the process. "On the way"
is the straight line through resident memory from a fifth of the run on (of its last pass, if there are two).
"packets" are the clip's, of which FFmpeg keeps tables for MP4: one for each time the file is open, one for the output.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from measuring import keep
from scaling import FirstAlpha, line, make, peak_mb, repeat

import rtmatte
from rtmatte.machine import resident_bytes

_SIZE_WH = (160, 90)
_RATE = 30
_LOOP_FRAMES = 60
_SOUND_RATE, _SOUND_FRAME = 48_000, 1024


class Case(NamedTuple):
    """A kind of run, and the container of its input and output."""

    suffix: str
    sound: bool = False
    two_pass: bool = False


CASES = {
    "mkv": Case(".mkv"),
    "mkv, two passes": Case(".mkv", two_pass=True),
    "mp4": Case(".mp4"),
    "mp4 with sound": Case(".mp4", sound=True),
}


def add_sound(silent: Path, target: Path) -> int:
    """The clip with noise as AAC, one packet for each 1024 samples; how many packets there are in all."""
    random, sample, packets = np.random.default_rng(0), 0, 0
    with av.open(str(silent)) as container, av.open(str(target), "w") as output:
        video = container.streams.video[0]
        copy = output.add_stream_from_template(video)
        sound = output.add_stream("aac", rate=_SOUND_RATE, layout="mono")
        assert isinstance(sound, av.AudioStream)
        for packet in container.demux(video):
            if packet.dts is None:
                continue
            while sample < packet.dts * packet.time_base * _SOUND_RATE:
                noise = random.uniform(-0.01, 0.01, (1, _SOUND_FRAME)).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
                frame.rate, frame.pts, frame.time_base = _SOUND_RATE, sample, Fraction(1, _SOUND_RATE)
                sample += _SOUND_FRAME
                coded = sound.encode(frame)
                packets += len(coded)
                output.mux(coded)
            packet.stream = copy
            output.mux(packet)
            packets += 1
        output.mux(sound.encode(None))
    return packets


def _job(clip: Path, warm_up: Path, two_pass: bool) -> dict[str, float]:
    target, matter = clip.with_name(f"out{clip.suffix}"), FirstAlpha()
    points: list[tuple[int, int, float]] = []

    def look(progress: rtmatte.Progress) -> None:
        if (held := resident_bytes()) and progress.frames_done // 100 != (points[-1][1] // 100 if points else -1):
            points.append((progress.number, progress.frames_done, held / 2**20))

    def run(source: Path, on_progress: Callable[[rtmatte.Progress], None] | None = None) -> int:
        matter.reset()
        return rtmatte.process_video(
            source,
            target,
            background="blur",
            matter=matter,
            two_pass=two_pass,
            overwrite=True,
            on_progress=on_progress,
        ).frames_out

    run(warm_up)
    frames = run(clip, look)
    steady = [(done, mb) for number, done, mb in points if number == points[-1][0] and done > frames / 5]
    slope = line(*map(list, zip(*steady, strict=True)))["slope"]
    return {"frames": frames, "peak_mb": peak_mb(), "bytes_a_frame_on_the_way": slope * 2**20}


def measured(case: Case, minutes: float, folder: Path) -> dict[str, float]:
    """A run over so many minutes, in a process of its own."""
    loop, clip = folder / "loop.mp4", folder / f"silent{case.suffix}"
    if not loop.exists():
        make(loop, None, _SIZE_WH, _LOOP_FRAMES)
    repeat(loop, clip, round(minutes * 60 * _RATE / _LOOP_FRAMES))
    packets = 0
    if case.sound:
        packets = add_sound(clip, clip := clip.with_stem("sound"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_job, (clip, loop, case.two_pass))
    return {"minutes": minutes, "packets": packets or found["frames"], **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs=2, default=[1, 6])
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cases: dict[str, Any] = {}
    for name in arguments.cases:
        with tempfile.TemporaryDirectory() as folder:
            short, long = (measured(CASES[name], minutes, Path(folder)) for minutes in arguments.minutes)
        grown_mb = long["peak_mb"] - short["peak_mb"]
        cases[name] = {
            "runs": [short, long],
            "peak_growth_mb": grown_mb,
            "peak_growth_bytes_a_packet": grown_mb * 2**20 / (long["packets"] - short["packets"]),
        }
    keep(arguments.json, {"size_wh": list(_SIZE_WH), "cases": cases})


if __name__ == "__main__":
    main()
