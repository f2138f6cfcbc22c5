"""A whole file with its audio: rtmatte against rembg, RVM and MediaPipe as their users run them, taking turns.

python benchmarks/peers.py --install        # once: the peers' packages and nets into the user's cache; RVM is GPL-3.0
python benchmarks/peers.py [CLIP] [--frames 180] [--rounds 3] [--cases NAME ...] [--json benchmarks/results/peers.json]

Every case puts a green background behind the people of the same file, in a process of its own with all cores, and
copies the audio. The time is that of the job, from opening the file to closing the result; start and first frames are
told apart. A ratio is our fps over the peer's in the same round; `cpu_ratio` is the peer's processor time over ours,
which is steadier where others use the machine, if not of nets whose threads wait by spinning (rembg's and RVM's).

Cases  a peer (`peer_loops/nets.py`), written as MPEG-4 by OpenCV, or with @h264 by libx264 as rtmatte sets it;
       ours:CONFIG as `quality.py` takes it, written as H.264, or with @mp4v by the encoder behind OpenCV's.

Quality is read from benchmarks/results/quality: `quality.py --configs CONFIG`, for peers `peer_NAME`. Without a clip it
is the test pattern with a tone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from measuring import keep, spread
from peer_loops.homes import HOMES, environment, install, is_installed, loop_command
from scoring.configs import named_config
from scoring.metrics import METRICS

import rtmatte
from rtmatte.matting.registry import MODELS

_BENCHMARKS = Path(__file__).parent
_SIZE_WH, _RATE, _TONE_HZ, _AUDIO_RATE = (1280, 720), 30, 440, 48_000
_BARS = {"rembg": 10.0, "rvm": 4.0, "mediapipe": 1.0, "mediapipe-soft": 1.0}
"""How many times a peer's speed is wanted."""
_JUDGED = ("mad", "grad", "dtssd", "boundary_f", "flicker")
_AS_GOOD = 0.01
"""Relative difference of quality that counts as none."""


def default_cases() -> list[str]:
    ours = ["default", "default:two_pass=True,clean_plate=True", "best", "selfie", "selfie@mp4v"]
    if "u2netp-int8" in {spec.name for spec in MODELS}:
        ours.append("default:model=u2netp-int8")
    peers = [peer for peer in (*HOMES, "mediapipe@h264") if is_installed(peer.partition("@")[0])]
    return [f"ours:{config}" for config in ours] + peers


def run_case(case: str, clip: Path, target: Path) -> dict[str, Any]:
    """One job in a process of its own; what `loop.py` or `ours.py` tells of it."""
    name, _, writer = case.partition("@")
    if name.startswith("ours:"):
        command = [sys.executable, "-m", "peer_loops.ours", name.removeprefix("ours:")]
    else:
        command = loop_command(name)
    command += [str(clip), str(target), *(["--writer", writer] if writer else [])]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    told["output_bytes"] = target.stat().st_size
    return told


def cut(source: Path, target: Path, frame_count: int) -> None:
    """The first packets of a clip with the audio up to there, copied as they are."""
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        streams = [container.streams.video[0], *container.streams.audio]
        copies = {stream.index: output.add_stream_from_template(stream) for stream in streams}
        frames, end = 0, Fraction(0)
        for packet in container.demux(streams):
            if packet.dts is None or packet.time_base is None:
                continue
            is_video = packet.stream.type == "video"
            if is_video and frames == frame_count:
                break
            if is_video:
                frames, end = frames + 1, packet.dts * packet.time_base
            elif packet.dts * packet.time_base > end + 1:
                continue
            packet.stream = copies[packet.stream.index]
            output.mux(packet)


def pattern(target: Path, frame_count: int) -> None:
    """The test pattern with a tone."""
    silent = target.with_name("pattern.mp4")
    source = rtmatte.SyntheticSource(_SIZE_WH, frame_count, Fraction(_RATE))
    with rtmatte.VideoFileSink(silent, source.format, encoder="software", overwrite=True) as sink:
        for frame in islice(source, frame_count):
            sink.send(frame, None)
    seconds = np.arange(_AUDIO_RATE * frame_count // _RATE) / _AUDIO_RATE
    samples = (np.sin(2 * np.pi * _TONE_HZ * seconds) * 8000).astype(np.int16)
    with av.open(str(silent)) as picture, av.open(str(target), "w") as output:
        video = output.add_stream_from_template(picture.streams.video[0])
        audio = output.add_stream("aac", rate=_AUDIO_RATE)
        for packet in picture.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                output.mux(packet)
        sound = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        sound.sample_rate = _AUDIO_RATE
        output.mux([*audio.encode(sound), *audio.encode(None)])


def quality_name(case: str) -> str:
    """The result of `quality.py` that tells the mattes of a case; the number of threads makes no difference to them."""
    name = case.partition("@")[0]
    own = name.removeprefix("ours:")
    if own == name:
        return f"peer_{name}"
    base, _, changes = own.partition(":")
    changes = ",".join(change for change in changes.split(",") if not change.startswith("threads="))
    return named_config(f"{base}:{changes}" if changes else base)[0]


def quality(case: str) -> dict[str, float] | None:
    """The mean scores of whole clips, if they were measured."""
    path = _BENCHMARKS / "results" / "quality" / f"{quality_name(case)}.json"
    if not path.exists():
        return None
    mean = json.loads(path.read_text())["mean"]
    return {name: mean[name] for name in _JUDGED}


def compared(ours: str, peer: str, told: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Ours over the peer's speed, round by round, and which metrics of the mattes are as good or better."""
    pairs = list(zip(told[ours], told[peer], strict=True))
    ratios = [_fps(a) / _fps(b) for a, b in pairs]
    mine, theirs = quality(ours), quality(peer)
    result: dict[str, Any] = {
        "ours": ours,
        "peer": peer,
        "ratio": spread(ratios),
        "cpu_ratio": spread([_cpu_ms(b) / _cpu_ms(a) for a, b in pairs]),
    }
    bar = _BARS.get(peer.partition("@")[0])
    if bar is not None:
        result |= {"wanted": bar, "fast_enough": statistics.median(ratios) >= bar}
    if mine and theirs:
        higher = {metric.name for metric in METRICS if metric.better == "higher"}
        result["as_good_or_better"] = {
            name: mine[name] >= theirs[name] * (1 - _AS_GOOD)
            if name in higher
            else mine[name] <= theirs[name] * (1 + _AS_GOOD)
            for name in _JUDGED
        }
    return result


def _fps(told: dict[str, Any]) -> float:
    return float(told["frames"] / told["seconds"])


def _cpu_ms(told: dict[str, Any]) -> float:
    """Milliseconds of all cores a frame."""
    return float(1e3 * told["cpu_seconds"] / told["frames"])


def _case_figures(case: str, told: list[dict[str, Any]]) -> dict[str, Any]:
    last = told[-1]
    figures = {
        "fps": spread([_fps(each) for each in told]),
        "cpu_ms_per_frame": statistics.median(_cpu_ms(each) for each in told),
        "start_seconds": statistics.median(each["start_seconds"] for each in told),
        "quality": quality(case),
    }
    return figures | {
        key: last[key] for key in ("encoder", "output_bytes", "stages_ms", "provider", "versions") if key in last
    }


def table(result: dict[str, Any]) -> str:
    lines = [f"{'case':30} {'fps':>6} {'CPU ms':>7}  " + "".join(f"{name:>11}" for name in _JUDGED) + "  encoder"]
    for case, figures in result["cases"].items():
        scores = figures["quality"] or {}
        cells = "".join(f"{scores[name]:11.2f}" if name in scores else f"{'-':>11}" for name in _JUDGED)
        speed = f"{figures['fps']['median']:6.1f} {figures['cpu_ms_per_frame']:7.1f}"
        lines.append(f"{case:30} {speed}  {cells}  {figures['encoder']}")
    for each in result["compared"]:
        ratio, wanted = each["ratio"], each.get("wanted")
        parts = [
            f"{each['ours']} / {each['peer']}: {ratio['median']:.2f}x ({ratio['min']:.2f} to {ratio['max']:.2f})",
            f"processor time {each['cpu_ratio']['median']:.2f}x",
        ]
        if wanted is not None:
            parts.append(f"wanted {wanted:g}: {'yes' if each['fast_enough'] else 'NO'}")
        worse = [name for name, as_good in each.get("as_good_or_better", {}).items() if not as_good]
        if worse:
            parts.append(f"worse in {', '.join(worse)}")
        lines.append("; ".join(parts))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, help="only so many; 180 of the test pattern")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=default_cases())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--install", action="store_true")
    options = parser.parse_args()
    if options.install:
        install()
        return
    with tempfile.TemporaryDirectory() as folder:
        clip, target = options.clip, Path(folder, "out.mp4")
        if clip is None:
            clip = Path(folder, "clip.mp4")
            pattern(clip, options.frames or 180)
        elif options.frames:
            cut(clip, Path(folder, "clip.mp4"), options.frames)
            clip = Path(folder, "clip.mp4")
        told: dict[str, list[dict[str, Any]]] = {case: [] for case in options.cases}
        for number in range(options.rounds):
            for case, rounds in told.items():
                rounds.append(run_case(case, clip, target))
                print(f"round {number + 1}, {case}: {_fps(rounds[-1]):.1f} fps", file=sys.stderr)
    ours = [case for case in told if case.startswith("ours:")]
    result = {
        "clip": options.clip.name if options.clip else "test pattern",
        "frames": told[options.cases[0]][0]["frames"],
        "rounds": options.rounds,
        "cases": {case: _case_figures(case, rounds) for case, rounds in told.items()},
        "compared": [compared(a, b, told) for b in told if b not in ours for a in ours],
    }
    print(table(result), file=sys.stderr)
    keep(options.json, result)


if __name__ == "__main__":
    main()
