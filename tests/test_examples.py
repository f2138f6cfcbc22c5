"""Every example runs, on a clip or picture made here, and is as short as promised."""

from __future__ import annotations

import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import clips
from tests.decoding import decode

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_under_sixty_lines(example: Path) -> None:
    assert len(example.read_text().splitlines()) < 60


@pytest.mark.parametrize("name", ["blur_a_clip", "your_own_loop"])
def test_video_examples(name: str, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=4, audio=[clips.Audio()])
    example = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    example["main"](str(source), str(tmp_path / "out.mp4"))
    assert len(decode(tmp_path / "out.mp4").luma) == 4


def test_the_picture_example(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.jpg"), np.full((60, 80, 3), 90, np.uint8))
    example = runpy.run_path(str(EXAMPLES / "cut_out_a_portrait.py"))
    example["main"](str(tmp_path / "in.jpg"), str(tmp_path / "out.png"))
    made = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert made is not None
    assert made.shape == (60, 80, 4)
