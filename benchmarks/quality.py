"""Matte quality against exact truth: every frame of every clip of a folder, through the frame path of the program.

python benchmarks/quality.py [FOLDER] [--configs default u2netp:smoothing_s=0] [--clips 'c1*'] [--frames 60]
python benchmarks/quality.py --compare benchmarks/results/quality/OLD.json benchmarks/results/quality/NEW.json

FOLDER holds NAME.mp4 with NAME_alpha.mkv (FFV1, luma = alpha, full range) and maybe NAME_foreground.mkv (for the error
of the foreground's colours). A run over all of every clip is kept as OUT/CONFIG.json, others as OUT/CONFIG-first60.json
and so on. The metrics are explained in scoring/metrics.py, the configurations in scoring/configs.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from scoring.configs import CONFIGS, Config, named_config
from scoring.score import ClipScore, Scores, mean_scores, score_clip
from scoring.sheet import write_sheet
from scoring.table import comparison, read_result, table
from scoring.truth import TruthClip, find_clips

from rtmatte.runs.bench.machine import describe_machine

_REPOSITORY = Path(__file__).resolve().parents[1]
_CLIPS = _REPOSITORY.parent / "shared" / "clips" / "gt"
_RESULTS = _REPOSITORY / "benchmarks" / "results" / "quality"


def run(name: str, config: Config, clips: list[TruthClip], options: argparse.Namespace) -> dict[str, Any]:
    """Judges one configuration, prints its table, writes its JSON and sheet; returns what the JSON holds."""
    scored = []
    for clip in clips:
        scored.append(score_clip(clip, config, frames=options.frames, every=options.every))
        print(f"{name}: {clip.name}, {scored[-1].frames} frames, MAD {scored[-1].scores['mad']:.2f}", file=sys.stderr)
    result = _result(name, config, scored, options)
    print(f"\n{name}\n{table(result)}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    if options.sheets is not None:
        write_sheet(options.sheets / f"{name}.png", scored)
    return result


def _result(name: str, config: Config, scored: list[ClipScore], options: argparse.Namespace) -> dict[str, Any]:
    stages = {
        stage: round(statistics.fmean(clip.stage_ms[stage] for clip in scored), 2) for stage in scored[0].stage_ms
    }
    return {
        "name": name,
        "options": {key: getattr(options, key) for key in ("clips", "frames", "every")},
        "machine": describe_machine(),
        "config": {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)},
        "clips": {
            clip.name: {
                "size_wh": list(clip.size_wh),
                "frames": clip.frames,
                **_rounded(clip.scores),
                "stage_ms": {stage: round(ms, 2) for stage, ms in clip.stage_ms.items()},
                "worst_frame": clip.worst.index,
            }
            for clip in scored
        },
        "mean": {**_rounded(mean_scores([clip.scores for clip in scored])), "stage_ms": stages},
    }


def _plain(value: Any) -> Any:
    return getattr(value, "__name__", value)


def _rounded(scores: Scores) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else round(value, 4) for name, value in scores.items()}


def _suffix(options: argparse.Namespace) -> str:
    """What tells a part of the folder from all of it."""
    parts = [f"first{options.frames}" if options.frames else "", f"every{options.every}" if options.every > 1 else ""]
    if options.clips != "*":
        parts.append("".join(c for c in options.clips if c.isalnum() or c in "_."))
    return "".join(f"-{part}" for part in parts if part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=_CLIPS)
    parser.add_argument(
        "--configs", nargs="+", default=["default"], help=f"of {', '.join(CONFIGS)}, or NAME:FIELD=VALUE"
    )
    parser.add_argument("--clips", default="*", help="a glob for the clips' names")
    parser.add_argument("--frames", type=int, help="only the first so many of each clip")
    parser.add_argument("--every", type=int, default=1, help="judge one in so many frames; all of them are matted")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="where the JSON goes")
    parser.add_argument("--sheets", type=Path, help="write a picture of the worst frames to this folder")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar=("OLD", "NEW"), help="two result files, nothing is run"
    )
    options = parser.parse_args()
    if options.compare:
        print(comparison(read_result(options.compare[0]), read_result(options.compare[1])))
        return
    try:
        clips = find_clips(options.folder, options.clips)
        configs = [named_config(text) for text in options.configs]
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    for name, config in configs:
        run(name + _suffix(options), config, clips, options)


if __name__ == "__main__":
    main()
