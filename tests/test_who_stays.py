"""Clicks on a first frame, through whole runs and the command line: two people of paint, and a net that sees paint."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Frame
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.runs.offline import process_video
from rtmatte.runs.stills import process_image, remove_background
from tests import clips
from tests.decoding import decode
from tests.nets import image_net
from tests.test_subject import both, person

ROOT = Path(__file__).parents[1]
SIZE_WH = (160, 96)
LEFT, RIGHT = np.s_[70:95, 15:45], np.s_[80:95, 108:126]


def people(number: int = 0) -> F32:
    """A large one on the left, a small one on the right who moves a little."""
    alpha = np.zeros((SIZE_WH[1], SIZE_WH[0]), np.float32)
    alpha[-90:] = both(person(0, 60), person(98 + number % 3, 40))
    return alpha


def painted() -> U8:
    """People in white in a black room."""
    return np.repeat((people() * 255).astype(np.uint8)[:, :, None], 3, axis=2)


def draw_painted(picture: I420, number: int) -> None:
    picture.y[:] = 16 + 219 * people(number)
    picture.u[:] = picture.v[:] = 128


def matter(*, same_size: bool = False) -> RecordedAlpha:
    alphas = [people(number) for number in range(clips.FRAME_COUNT)]
    return RecordedAlpha(alphas if same_size else [np.ascontiguousarray(alpha[::2, ::2]) for alpha in alphas])


def mattes(tmp_path: Path, source: Path | None = None, **options: Any) -> list[np.ndarray]:
    """The mean of the left and of the right one in each frame of the matte."""
    source = source or clips.plain(tmp_path / "in.mp4", size_wh=SIZE_WH)
    options = {"matter": matter(), "matte": True, "overwrite": True, "refiner": "upscale", **options}
    process_video(source, tmp_path / "out.mkv", **options)
    return [np.array([luma[LEFT].mean(), luma[RIGHT].mean()]) / 255 for luma in decode(tmp_path / "out.mkv").luma]


@pytest.mark.parametrize("how", [{}, {"two_pass": True}, {"matter": matter(same_size=True)}], ids=str)
@pytest.mark.parametrize(
    ("clicks", "left", "right"),
    [
        ({}, 1, 1),
        ({"people": "nearest"}, 1, 0),
        ({"keep": ["118,80"]}, 0, 1),
        ({"keep": ["118,80"], "people": "nearest"}, 0, 1),
        ({"keep": ["20%,90%"]}, 1, 0),
        ({"keep": ["20%,90%", "118,80"]}, 1, 1),
        ({"drop": ["30,80"]}, 0, 1),
        ({"drop": ["30,80"], "people": "nearest"}, 0, 1),
        ({"drop": ["30,80", "118,80"]}, 0, 0),
        ({"keep": ["30,80"], "drop": ["118,80"]}, 1, 0),
    ],
    ids=str,
)
def test_who_stays_in_a_clip(
    tmp_path: Path, how: dict[str, Any], clicks: dict[str, Any], left: float, right: float
) -> None:
    for found in mattes(tmp_path, **clicks, **how):
        assert found == pytest.approx([left, right], abs=0.12)


def test_pixels_are_those_of_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    wide = clips.plain(tmp_path / "wide.mp4", size_wh=SIZE_WH, sample_aspect_ratio=Fraction(2, 1))
    assert mattes(tmp_path, wide, keep=["236,80"])[0] == pytest.approx([0, 1], abs=0.12)
    with pytest.raises(SettingsError, match=r"--keep: expected a point of the picture, 0,0 to 319,95, got 320,80"):
        mattes(tmp_path, wide, keep=["320,80"])


def test_a_click_on_nothing_says_where_somebody_is_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="got background") as caught:
        mattes(tmp_path, keep=["80,5"])
    assert caught.value.hint.startswith("There is something at 19%,")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
    for wrong in ({"keep": ["middle"]}, {"drop": ["5"]}):
        with pytest.raises(SettingsError, match="such as 320,240"):
            mattes(tmp_path, **wrong)


class Painted:
    """Gives what is white in the picture, at half its size."""

    name = "paint"
    provider = "test"

    def estimate(self, frame: Frame) -> F32:
        assert isinstance(frame.picture, np.ndarray)
        return (frame.picture[::2, ::2, 0] / 255).astype(np.float32)

    def reset(self) -> None:
        pass


@pytest.mark.parametrize(
    ("clicks", "left", "right"),
    [({}, 1, 1), ({"keep": ["118,80"]}, 0, 1), ({"drop": ["118,80"]}, 1, 0), ({"keep": ["20%,90%"]}, 1, 0)],
    ids=str,
)
def test_who_stays_in_a_still(tmp_path: Path, clicks: dict[str, Any], left: float, right: float) -> None:
    picture = painted()
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    process_image(tmp_path / "a.png", tmp_path / "b.png", matter=Painted(), **clicks)
    alpha = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)[:, :, 3]
    assert np.array_equal(alpha, remove_background(picture, matter=Painted(), **clicks)[:, :, 3])
    assert [alpha[LEFT].mean() / 255, alpha[RIGHT].mean() / 255] == pytest.approx([left, right], abs=0.12)


def test_a_still_without_anybody_there(tmp_path: Path) -> None:
    for click, says in (("80,5", "got background"), ("160,5", "0,0 to 159,95")):
        with pytest.raises(SettingsError, match=says):
            remove_background(painted(), matter=Painted(), keep=[click])


def test_the_alpha_that_a_matter_keeps_is_not_written_to() -> None:
    alpha = people()
    remove_background(painted(), matter=RecordedAlpha([alpha]), drop=["30,80"])
    assert np.array_equal(alpha, people())


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that takes what is bright for foreground."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.onnx").write_bytes(image_net())
    (folder / "net.toml").write_text('[input]\nlong_side = 160\n[output]\nlayout = "nchw"\n')
    return folder / "net.onnx"


def rtmatte(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtmatte", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=100,
    )


def test_a_clip_from_the_command_line(net: Path, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", size_wh=SIZE_WH, draw=draw_painted, frame_count=4)
    target = tmp_path / "out.mkv"
    usual = ["video", source, "-o", target, "--matte", "-y", "--model", net, "--refine", "upscale"]
    for clicks, left, right in (
        (["--keep", "118,80"], 0, 1),
        (["--keep", "118,80", "--keep", "20%,90%"], 1, 1),
        (["--drop", "118,80"], 1, 0),
        (["--drop", "20%,90%", "--people", "nearest"], 0, 1),
    ):
        done = rtmatte(*usual, *clicks)
        assert done.returncode == 0, done.stderr
        for luma in decode(target).luma:
            assert [luma[LEFT].mean() / 255, luma[RIGHT].mean() / 255] == pytest.approx([left, right], abs=0.15)
    for clicks, says in (
        (["--keep", "160,5"], "--keep: expected a point of the picture, 0,0 to 159,95, got 160,5"),
        (["--drop", "80,5"], "There is something at 18%,"),
        (["--drop", "here"], "--drop: expected a point such as"),
    ):
        done = rtmatte(*usual, *clicks)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_a_still_from_the_command_line(net: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), painted())
    usual = ["image", tmp_path / "in.png", "-o", tmp_path / "out.png", "-y", "--model", net]
    for clicks, left, right in ((["--keep", "118,80"], 0, 1), (["--drop", "74%,83%"], 1, 0)):
        done = rtmatte(*usual, *clicks)
        assert done.returncode == 0, done.stderr
        alpha = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)[:, :, 3]
        assert [alpha[LEFT].mean() / 255, alpha[RIGHT].mean() / 255] == pytest.approx([left, right], abs=0.15)
    done = rtmatte(*usual, "--keep", "80,5")
    assert done.returncode == 2
    assert "There is something at" in done.stderr
