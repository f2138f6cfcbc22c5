"""The command line as a user meets it: what it prints where, and its exit codes. Every run is a real process."""

from __future__ import annotations

import inspect
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rtmatte.cli import app, image, video, webcam
from rtmatte.errors import SettingsError
from rtmatte.settings import BEST_VIDEO, EstimateSettings, ImageSettings, LiveSettings, RefinerName, VideoSettings
from tests import clips
from tests.decoding import decode

ROOT = Path(__file__).parents[1]


def rtmatte(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtmatte", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=options.pop("cwd", ROOT),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=100,
        **options,
    )


def test_a_clip_from_the_command_line(tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", audio=[clips.Audio()])
    done = rtmatte("video", source, "-o", tmp_path / "out.mp4", "--background", "blur", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["frames_in"] == report["frames_out"] == clips.FRAME_COUNT
    assert report["provider"].startswith("CPUExecutionProvider") or "CUDA" in report["provider"]
    stages = ["decode", "estimate", "smooth", "refine", "composite", "encode"]
    assert [stage["stage"] for stage in report["stages"]] == stages
    assert done.stderr == ""
    assert len(decode(tmp_path / "out.mp4").luma) == clips.FRAME_COUNT

    again = rtmatte("video", source, "-o", tmp_path / "out.mp4", "--background", "blur")
    assert again.returncode == 4
    assert "exists already" in again.stderr
    assert "-y" in again.stderr

    replaced = rtmatte("video", source, "-o", tmp_path / "out.mp4", "--background", "green", "-y", "--device", "cpu")
    assert replaced.returncode == 0
    assert f"{clips.FRAME_COUNT} frames of 128x96" in replaced.stderr
    assert re.search(r"selfie-multiclass-int8 on CPUExecutionProvider, .* \(the CPU was asked for\)", replaced.stderr)
    assert replaced.stdout == ""

    quiet = rtmatte("video", source, "-o", tmp_path / "out.mp4", "--background", "green", "-y", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_a_still_from_the_command_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.jpg"), np.full((48, 64, 3), 90, np.uint8))
    for name in ("out.png", "out.webp"):
        done = rtmatte("image", tmp_path / "in.jpg", "-o", tmp_path / name, "--device", "cpu")
        assert done.returncode == 0, done.stderr
        assert re.search(r"u2netp on CPUExecutionProvider, .* \(the CPU was asked for\)", done.stderr)
        made = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        assert made is not None
        assert made.shape == (48, 64, 4)
    bomb = rtmatte("image", tmp_path / "in.jpg", "-o", tmp_path / "big.png", "--max-megapixels", "0.001")
    assert bomb.returncode == 3
    assert "--max-megapixels" in bomb.stderr


def test_help_tells_the_number_of_frames_that_a_device_gets() -> None:
    """Whatever it is."""
    program = (
        "from rtmatte.matting import batch_size; batch_size.BATCH_ON_A_DEVICE = 77; "
        "from rtmatte.cli import app; app(['video', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "auto: 1 on a CPU, 77 elsewhere" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["video", "nowhere.mp4", "-o", "OUT/a.mp4", "-b", "blur"], 3, "nowhere.mp4"),
        (["video", "IN", "-o", "OUT/a.mp4"], 4, "--background"),
        (["video", "IN", "-o", "OUT/a.xyz", "-b", "blur"], 4, r"\.mp4"),
        (["video", "IN", "-o", "OUT/a.mp4", "-b", "blur:7"], 2, "blur:0.7"),
        (["video", "IN", "-o", "OUT/a.mp4", "-b", "no-such.jpg"], 2, "neither a file"),
        (
            ["video", "IN", "-o", "OUT/a.mp4", "-b", "blur", "--encoder-quality", "0"],
            2,
            "--encoder-quality: expected 1 to 100, got 0",
        ),
        (["video", "IN", "-o", "OUT/a.mp4", "-b", "blur", "--model", "nope"], 5, "u2netp"),
        (["video", "IN", "-o", "OUT/a.mp4", "-b", "blur", "--device", "cuda"], 5, "CUDA|cuda"),
        (
            ["video", "IN", "-o", "OUT/a.mp4", "-b", "blur", "--device", "directml"],
            5,
            r"without DirectML\.\s+It needs Win",
        ),
        (["video", "IN", "-o", "OUT/a.mp4", "-b", "blur", "--device", "tpu"], 2, "tpu.*openvino"),
        (["video", "IN", "-o", "OUT/a.mp4", "--matte"], 4, r"\.mkv"),
        (["video", "IN"], 2, "output"),
        (["models", "info", "nope"], 5, "u2netp"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line_or_two(arguments: list[str], code: int, says: str, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=2)
    (tmp_path / "out").mkdir()
    names = {"IN": str(source)}
    done = rtmatte(*[names.get(a, a.replace("OUT", str(tmp_path / "out"))) for a in arguments], cwd=tmp_path)
    if code == 5 and "cuda" in arguments and done.returncode == 0:
        pytest.skip("this machine has CUDA")
    assert done.returncode == code, done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_damaged_input_is_delivered_and_told_by_the_exit_code(tmp_path: Path) -> None:
    source = clips.truncated(tmp_path / "in.mp4")
    done = rtmatte("video", source, "-o", tmp_path / "out.mp4", "-b", "blur")
    assert done.returncode == 6
    assert "CUT SHORT" in done.stderr
    assert decode(tmp_path / "out.mp4").luma


def test_models_and_doctor() -> None:
    listed = rtmatte("models", "list")
    assert listed.stdout.startswith("u2netp\t")
    assert "Apache-2.0" in rtmatte("models", "info", "u2netp").stdout
    assert "u2netp: ok" in rtmatte("models", "verify").stdout
    examined = rtmatte("doctor")
    assert examined.returncode == 0, examined.stdout
    assert "FAIL" not in examined.stdout
    assert "u2netp runs on" in examined.stdout
    assert "devices: auto takes " in examined.stdout
    assert "cpu works" in examined.stdout
    assert "video decoders: " in examined.stdout


@pytest.mark.parametrize("seconds_later", [0, 2.5], ids=["while the model loads", "while frames run"])
@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing_and_says_so(which: signal.Signals, seconds_later: float, tmp_path: Path) -> None:
    source = clips.plain(tmp_path / "in.mp4", frame_count=400)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "rtmatte", "video", source, "-o", tmp_path / "out" / "out.mp4", "-b", "blur"]
    running = subprocess.Popen(
        list(map(str, command)),
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # A parent that ignores Ctrl-C, as CI's may, would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 0 for path in (tmp_path / "out").iterdir()):
        assert time.monotonic() < deadline, "never began to write"
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.05)
    time.sleep(seconds_later)
    running.send_signal(which)
    _, stderr = running.communicate(timeout=30)
    assert running.returncode == 130
    assert stderr.strip() == "rtmatte: interrupted; no output was kept."
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_nothing_and_says_so(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the same failing write, a different errno."""
    source = clips.plain(tmp_path / "in.mp4", frame_count=60)
    (tmp_path / "out").mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))

    done = rtmatte("video", source, "-o", tmp_path / "out" / "out.mp4", "-b", "none", preexec_fn=limit)
    assert done.returncode == 4
    done = rtmatte("video", source, "-o", tmp_path / "out" / "out.mp4", "-b", "blur", preexec_fn=limit)
    assert done.returncode == 4, done.stderr
    assert "Nothing was kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_the_demo_needs_no_file(tmp_path: Path) -> None:
    done = rtmatte("demo", "--seconds", "0.3", "--output", tmp_path / "demo", "--json")
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (tmp_path / "demo").iterdir())
    assert made == ["input.mp4", "output.mp4", "side-by-side.png"]
    sheet = cv2.imread(str(tmp_path / "demo" / "side-by-side.png"))
    assert sheet is not None
    assert sheet.shape == (360, 1280, 3)
    assert not np.array_equal(sheet[:, :640], sheet[:, 640:])
    # The face is the same on both sides, the flag in the corner is blurred.
    before, after = sheet[60:150, 230:340], sheet[60:150, 870:980]
    assert np.abs(before.astype(int) - after).mean() < 4
    corner, blurred = cv2.Laplacian(sheet[:100, :100], cv2.CV_32F), cv2.Laplacian(sheet[:100, 640:740], cv2.CV_32F)
    assert np.abs(blurred).mean() < 0.5 * np.abs(corner).mean()


@pytest.mark.parametrize(
    ("command", "kind", "made_of_others"),
    [
        (video.video, VideoSettings, set()),
        (image.image, ImageSettings, set()),
        (webcam.webcam, LiveSettings, {"backgrounds", "size_wh"}),
    ],
    ids=["video", "image", "webcam"],
)
def test_every_setting_is_an_option_with_the_same_default(
    command: Callable[..., None], kind: type[EstimateSettings], made_of_others: set[str]
) -> None:
    parameters = inspect.signature(command).parameters
    assert {field.name for field in fields(kind)} - set(parameters) == made_of_others
    for field in fields(kind):
        if field.name not in made_of_others:
            assert parameters[field.name].default == (None if field.default == () else field.default)


@pytest.mark.parametrize(
    ("command", "kind"),
    [("video", VideoSettings), ("image", ImageSettings), ("webcam", LiveSettings), ("tune", LiveSettings)],
)
def test_a_setting_out_of_range_is_called_as_the_option_is(command: str, kind: type[EstimateSettings]) -> None:
    clicked = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    options = {parameter.name: parameter.opts for parameter in clicked.params}
    hints = get_type_hints(kind)
    named = [name for name in hints if name in options and (name in kind.ranges or "Literal" in str(hints[name]))]
    assert named
    for name in named:
        bad = -1 if name in kind.ranges else "nothing like this"
        with pytest.raises(SettingsError) as refused:
            kind(**{name: bad})
        assert str(refused.value).split(":")[0] in options[name]


def test_best_quality_chooses_what_the_user_left_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen: list[VideoSettings] = []

    def run(_source: Path, _target: Path, settings: VideoSettings, **_: Any) -> None:
        chosen.append(settings)
        raise SettingsError("enough")

    monkeypatch.setattr("rtmatte.runs.offline.run_video", run)
    for extra in ([], ["--quality", "best"], ["--quality", "best", "--model", "selfie", "--refine", "upscale"]):
        done = CliRunner().invoke(app, ["video", "a.mp4", "-o", str(tmp_path / "b.mp4"), *extra])
        assert isinstance(done.exception, SettingsError), done.output
    normal, best, mixed = ({name: getattr(settings, name) for name in BEST_VIDEO} for settings in chosen)
    assert normal == {name: getattr(VideoSettings, name) for name in BEST_VIDEO}
    assert best == dict(BEST_VIDEO)
    assert mixed == {**BEST_VIDEO, "refiner": "upscale"}
    assert [settings.model for settings in chosen] == [VideoSettings.model, VideoSettings.model, "selfie"]


@pytest.mark.parametrize("name", get_args(RefinerName))
def test_every_refiner_mattes_a_still(name: str, tmp_path: Path) -> None:
    if name in {"closed-form", "knn"}:
        pytest.importorskip("pymatting")
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    cv2.imwrite(str(source), np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8))
    done = rtmatte("image", source, "-o", target, "--model", "selfie", "--refine", name)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(target), cv2.IMREAD_UNCHANGED).shape == (64, 96, 4)


def test_a_16_bit_still_keeps_its_depth_in_alpha_too(tmp_path: Path) -> None:
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    ramp = np.linspace(0, 65535, 96).astype(np.uint16)
    cv2.imwrite(str(source), np.broadcast_to(ramp[None, :, None], (64, 96, 3)).copy())
    done = rtmatte("image", source, "-o", target, "--model", "selfie")
    assert done.returncode == 0, done.stderr
    alpha = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)[..., 3]
    assert alpha.dtype == np.uint16
    assert (alpha % 257 != 0).any()  # more than 256 levels
