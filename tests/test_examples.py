"""Every example runs, on a clip or picture made here, and is as short as promised."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import clips
from tests.decoding import decode
from tests.nets import image_net

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


def test_the_model_of_ones_own(tmp_path: Path) -> None:
    """A net that answers the mean of its input: (200 / 255 - 0.5) / 0.5 for a grey of 200."""
    (tmp_path / "net.onnx").write_bytes(image_net(input_name="input", output_name="output"))
    cv2.imwrite(str(tmp_path / "in.png"), np.full((60, 80, 3), 200, np.uint8))
    files = ["image", str(tmp_path / "in.png"), "-o", str(tmp_path / "out.png")]
    model = ["--model", str(tmp_path / "net.onnx"), "--model-spec", str(EXAMPLES / "your_own_model.toml")]
    subprocess.run([sys.executable, "-m", "rtmatte", *files, *model, "--device", "cpu"], check=True)
    made = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert made is not None
    assert np.abs(made[..., 3] / 255 - (200 / 255 - 0.5) / 0.5).max() < 0.01
