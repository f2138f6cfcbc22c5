"""The quality benchmark: it runs the program's own frame path, scores it right, and says what got better or worse."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import quality
from scenes.layers import Layer
from scenes.write import Shot, write_scene
from scoring.configs import CONFIGS, Config, alphas, named_config
from scoring.metrics import METRICS
from scoring.peers import CallableMatter
from scoring.score import score_clip
from scoring.table import comparison, table
from scoring.truth import TruthClip, find_clips

from rtmatte.frame import VideoFormat
from rtmatte.matting.recorded import RecordedAlpha

_SIZE_WH = (96, 80)


def _write(folder: Path, name: str, count: int = 5) -> TruthClip:
    """A disk of constant colour that moves two pixels a frame over a striped wall."""
    x, y = np.meshgrid(np.arange(_SIZE_WH[0]), np.arange(_SIZE_WH[1]))
    wall = np.repeat((60 + 40 * (x % 16 > 7))[:, :, None], 3, axis=2).astype(np.float32)
    shots = []
    for number in range(count):
        alpha = np.clip((22 - np.hypot(x - 40 - 2 * number, y - 40)) / 3, 0, 1).astype(np.float32)
        shots.append(Shot(Layer(np.full((*alpha.shape, 3), 200, np.float32) * alpha[:, :, None], alpha), wall))
    write_scene(folder, name, shots)
    return find_clips(folder, name)[0]


def _exact(clip: TruthClip) -> Config:
    return Config(peer=lambda _format: RecordedAlpha(list(clip.alphas())), smoothing_s=0)


def _constant(alpha: float) -> Config:
    def matter(video: VideoFormat) -> CallableMatter:
        return CallableMatter("constant", "test", lambda rgb: np.full(rgb.shape[:2], alpha, np.float32))

    return Config(peer=matter, smoothing_s=0)


def test_the_truth_itself_scores_perfectly(tmp_path: Path) -> None:
    clip = _write(tmp_path, "disk")
    score = score_clip(clip, _exact(clip))
    assert score.frames == 5
    assert score.size_wh == _SIZE_WH
    for name in ("mad", "mse", "grad", "conn", "dtssd", "flicker"):
        assert score.scores[name] == pytest.approx(0, abs=1e-9), name
    assert score.scores["boundary_f"] == score.scores["iou"] == 100
    # As it is composited: at the edge less of the wall shines through than in the picture itself.
    raw = score_clip(clip, replace(_exact(clip), edge_colors=False)).scores["foreground_edge_mad"]
    assert 20 < raw < 255
    assert score.scores["foreground_edge_mad"] < 0.7 * raw
    assert score.scores["foreground_mse"] < 20
    assert set(score.stage_ms) == {"estimate", "smooth", "refine", "colors"}


def test_a_constant_matte_scores_what_it_must(tmp_path: Path) -> None:
    clip = _write(tmp_path, "disk")
    truths = np.stack(list(clip.alphas())).astype(np.float64) / 255
    score = score_clip(clip, _constant(1.0))
    assert score.scores["mad"] == pytest.approx((1 - truths).mean() * 1e3)
    changes = np.sqrt((np.diff(truths, axis=0) ** 2).mean(axis=(1, 2)))
    assert score.scores["dtssd"] == pytest.approx(changes.mean() * 100)  # over the four frames that have one before
    assert score.scores["flicker"] == 0
    assert score.worst.mad == pytest.approx((1 - truths).mean(axis=(1, 2)).max() * 1e3)


def test_filters_of_the_program_are_part_of_the_path(tmp_path: Path) -> None:
    clip = _write(tmp_path, "disk")
    exact = _exact(clip)
    smoothed = Config(peer=exact.peer, smoothing_s=1.0)
    plain, trailing = list(alphas(clip.picture, exact)), list(alphas(clip.picture, smoothed))
    assert np.array_equal(plain[0], trailing[0])
    assert not np.array_equal(plain[4], trailing[4])
    assert score_clip(clip, smoothed).scores["mad"] > 1


def test_parts_of_a_clip(tmp_path: Path) -> None:
    clip = _write(tmp_path, "disk")
    assert score_clip(clip, _exact(clip), frames=3).frames == 3
    sparse = score_clip(clip, _constant(1.0), every=2)
    assert sparse.frames == 3
    assert sparse.scores["dtssd"] > 0  # against the frame before, which isn't judged itself


def test_truth_of_another_length_is_refused(tmp_path: Path) -> None:
    clip, longer = _write(tmp_path, "short", 3), _write(tmp_path, "long", 4)
    mixed = TruthClip("mixed", clip.picture, longer.alpha, None)
    with pytest.raises(ValueError, match=r"fewer frames in short\.mp4 than long_alpha\.mkv"):
        score_clip(mixed, _constant(0.0))


def test_finding_clips(tmp_path: Path) -> None:
    _write(tmp_path, "b", 1)
    _write(tmp_path, "a", 1)
    (tmp_path / "a_foreground.mkv").unlink()
    assert [(clip.name, clip.foreground is None) for clip in find_clips(tmp_path)] == [("a", True), ("b", False)]
    with pytest.raises(FileNotFoundError, match=r"c\*"):
        find_clips(tmp_path, "c*")


def test_configurations_by_name() -> None:
    name, config = named_config("u2netp:smoothing_s=0.25,threads=1")
    assert config == Config(model="u2netp", smoothing_s=0.25, threads=1)
    assert name == "u2netp_smoothing_s=0.25_threads=1"
    assert named_config("default") == ("default", CONFIGS["default"])
    with pytest.raises(ValueError, match="expected a configuration of default"):
        named_config("worst")
    with pytest.raises(ValueError, match="expected an option of"):
        named_config("default:peer=x")


def test_the_command_line_writes_results_and_a_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = _write(tmp_path / "clips", "disk")
    monkeypatch.setattr("scoring.configs.CONFIGS", {"default": _exact(clip)})
    monkeypatch.setattr(
        sys,
        "argv",
        ["quality.py", str(tmp_path / "clips"), "--frames", "2", "--out", str(tmp_path), "--sheets", str(tmp_path)],
    )
    quality.main()
    result = json.loads((tmp_path / "default-first2.json").read_text())
    assert result["clips"]["disk"]["mad"] == result["mean"]["mad"] == 0
    assert result["clips"]["disk"]["empty_alpha"] is None
    assert result["clips"]["disk"]["frames"] == 2
    printed = capsys.readouterr().out
    assert "MAD e-3" in printed
    assert "empty" not in printed  # no clip has it
    sheet = cv2.imread(str(tmp_path / "default-first2.png"))
    assert sheet is not None
    assert sheet.std() > 20


def _result(**changes: float) -> dict[str, Any]:
    scores: dict[str, object] = {metric.name: None for metric in METRICS}
    scores |= {"mad": 10.0, "boundary_f": 80.0, "frames": 9, "stage_ms": {"estimate": 1.0}}
    clip = {**scores, **changes}
    return {"name": "run", "clips": {"a": clip, "b": copy.deepcopy(scores)}, "mean": clip}


def test_comparison_says_which_way_and_where() -> None:
    told = comparison(_result(), _result(mad=12.0, boundary_f=85.0)).splitlines()
    assert told[0] == "run -> run, 2 clips in both"
    assert any(line.startswith("MAD") and "10.00 -> 11.00  WORSE" in line for line in told)
    assert any(line.strip() == "a: 10.00 -> 12.00  WORSE" for line in told)
    assert any(line.strip() == "a: 80.00 -> 85.00  better" for line in told)
    assert not any(line.strip().startswith("b:") for line in told)
    same = comparison(_result(), _result(mad=10.05))
    assert "WORSE" not in same
    assert "better" not in same


def test_comparison_tells_apart_what_was_judged() -> None:
    assert "judged on 9 and 60 frames" in comparison(_result(), _result(frames=60))
    older = _result()
    del older["clips"]["a"]["mad"], older["clips"]["b"]["mad"]
    assert "MAD" not in comparison(older, _result())
    other = _result()
    other["clips"] = {"c": {}}
    assert comparison(_result(), other) == "No clip is in both."


def test_the_table_shows_every_clip_and_the_mean() -> None:
    lines = table(_result()).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["a", "b", "mean"]
    assert "10.00" in lines[1]
