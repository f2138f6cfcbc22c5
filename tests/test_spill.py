"""Despill against the formula in float64, on composites whose colours are known, and what it must leave alone."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import njit
from typer.testing import CliRunner

from rtmatte.cli import app
from rtmatte.color import bgr_into_i420, i420_into_bgr
from rtmatte.errors import SettingsError
from rtmatte.frame import I420, ColorTags
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.refine import spill_kernels
from rtmatte.refine.spill import Despill
from rtmatte.runs.offline import process_video
from rtmatte.runs.stills import process_image, remove_background
from rtmatte.settings import LiveSettings, VideoSettings
from tests import clips
from tests.frames import BT709, copy_of, noise_picture, planes
from tests.nets import image_net
from tests.test_foreground import soft_disk

SIZE_WH = (640, 400)
GREEN, ORANGE, GREY = (60, 180, 50), (40, 110, 210), (120, 120, 120)
JACKET, SHIRT = (70, 60, 75), (70, 150, 60)  # the shirt is green
FULL_709 = ColorTags(matrix_code=1, full_range=True, range_tagged=True)


def by_the_limit(bgr: np.ndarray, key: int) -> np.ndarray:
    limited = bgr.astype(np.float64)
    others = [channel for channel in range(3) if channel != key]
    limited[..., key] = np.minimum(limited[..., key], limited[..., others].mean(axis=2))
    return limited


def as_i420(bgr: np.ndarray, color: ColorTags = BT709) -> I420:
    picture = I420.allocate((bgr.shape[1], bgr.shape[0]), color)
    bgr_into_i420(np.ascontiguousarray(bgr), picture)
    return picture


def as_bgr(picture: I420) -> np.ndarray:
    width, height = picture.size_wh
    bgr = np.empty((height, width, 3), np.uint8)
    i420_into_bgr(picture, bgr, height)
    return bgr


@pytest.mark.parametrize(("screen", "key"), [("green", 1), ("blue", 0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_are_limited_by_the_formula_where_alpha_is_not_zero(screen: Any, key: int, dtype: Any) -> None:
    scale = np.iinfo(dtype).max // 255
    bgr = (np.random.default_rng(1).integers(0, 256, (41, 53, 3)) * scale).astype(dtype)
    alpha = (np.random.default_rng(2).integers(0, 3, (41, 53)) * 120 * scale).astype(dtype)
    before = bgr.copy()
    Despill(screen).suppress(bgr, alpha)
    exact = by_the_limit(before, key)
    assert np.abs(bgr - exact)[alpha > 0].max() <= 0.5 + 0.01 * scale
    assert np.array_equal(bgr[alpha == 0], before[alpha == 0])


@pytest.mark.parametrize("color", [BT709, FULL_709, ColorTags(matrix_code=6)], ids=["709", "full", "601"])
@pytest.mark.parametrize(("screen", "key"), [("green", 1), ("blue", 0)])
@pytest.mark.parametrize("size_wh", [(64, 48), (33, 47), (2, 2), (1, 1)])
def test_planes_are_limited_as_pixels_are(color: ColorTags, screen: Any, key: int, size_wh: tuple[int, int]) -> None:
    small = np.random.default_rng(3).integers(60, 200, (2, 3, 3), np.uint8)
    bgr = np.asarray(cv2.resize(small, size_wh, interpolation=cv2.INTER_LINEAR))
    picture = as_i420(bgr, color)
    seen = as_bgr(picture)
    Despill(screen).suppress(picture, np.full(size_wh[::-1], 255, np.uint8))
    got, exact = as_bgr(picture).astype(float), by_the_limit(seen, key)
    assert np.abs(got - exact).mean() < 2
    assert (got[..., key] - (got.sum(axis=2) - got[..., key]) / 2).max() < 4.5  # whole code values of chroma


def lit(front_bgr: tuple[int, ...], wall_bgr: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A textured disk before a wall whose light falls on its rim; alpha; and the disk's own colours."""
    alpha = soft_disk(SIZE_WH, 3)
    texture = np.random.default_rng(4).integers(-12, 13, (50, 80, 1)).astype(np.float32)
    own = np.array(front_bgr, np.float32) + cv2.resize(texture, SIZE_WH)[..., np.newaxis]
    share = alpha[..., np.newaxis] / 255
    reach = cv2.GaussianBlur(1 - share, (0, 0), 9)[..., np.newaxis] / 2 + 0.02
    tinted = own + reach * np.array(wall_bgr)
    picture = share * tinted + (1 - share) * np.array(wall_bgr)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), alpha, own


def edge_error(bgr: np.ndarray, own: np.ndarray, alpha: np.ndarray) -> float:
    rim = (alpha > 128) & (cv2.erode(alpha, np.ones((25, 25), np.uint8)) < 255)
    return float(np.abs(bgr - own)[rim].mean())


def despilled(bgr: np.ndarray, alpha: np.ndarray, screen: Any, kind: str) -> np.ndarray:
    if kind == "bgr":
        picture = bgr.copy()
        Despill(screen).suppress(picture, alpha)
        return picture
    if kind == "16 bits":
        deep = bgr.astype(np.uint16) * 257
        Despill(screen).suppress(deep, alpha.astype(np.uint16) * 257, bgr)
        return deep / 257
    planar = as_i420(bgr)
    Despill(screen).suppress(planar, alpha)
    return as_bgr(planar)


@pytest.mark.parametrize("kind", ["i420", "bgr", "16 bits"])
@pytest.mark.parametrize(("screen", "wall"), [("green", GREEN), ("auto", GREEN), ("auto", ORANGE)])
def test_the_light_of_the_wall_leaves_the_rim(kind: str, screen: Any, wall: tuple[int, ...]) -> None:
    picture, alpha, own = lit(JACKET, wall)
    assert edge_error(despilled(picture, alpha, screen, kind), own, alpha) < 0.8 * edge_error(picture, own, alpha)


@pytest.mark.parametrize("kind", ["i420", "bgr"])
@pytest.mark.parametrize("wall", [GREEN, GREY], ids=["green wall", "grey wall"])
def test_auto_leaves_a_green_shirt_green_and_green_does_not(kind: str, wall: tuple[int, ...]) -> None:
    picture, alpha, own = lit(SHIRT, wall)
    inside = cv2.erode(alpha, np.ones((41, 41), np.uint8)) == 255
    raw = despilled(np.rint(own).clip(0, 255).astype(np.uint8), np.zeros_like(alpha), "green", kind)

    def greenness(bgr: np.ndarray, where: np.ndarray) -> float:
        return float((bgr[..., 1] - (bgr[..., 0].astype(float) + bgr[..., 2]) / 2)[where].mean())

    auto, green = (despilled(picture, alpha, screen, kind) for screen in ("auto", "green"))
    assert greenness(raw, inside) > 70
    assert greenness(auto, inside) > 70
    rim = (alpha == 255) & ~inside
    assert greenness(auto, rim) > 0.85 * greenness(raw, rim)
    assert abs(greenness(green, inside)) < 3


def test_auto_leaves_a_grey_rooms_people_as_they_are() -> None:
    picture, alpha, _ = lit(SHIRT, GREY)
    for kind in ("bgr", "16 bits"):
        assert np.abs(despilled(picture, alpha, "auto", kind) - picture.astype(float)).max() <= 1


@pytest.mark.parametrize(("screen", "value"), [("auto", 0), ("auto", 255), ("green", 0), ("blue", 0)])
@pytest.mark.parametrize("kind", ["i420", "bgr"])
def test_without_a_person_or_an_edge_auto_changes_nothing(kind: str, screen: Any, value: int) -> None:
    picture = noise_picture(kind, (70, 51))
    before = copy_of(picture)
    Despill(screen).suppress(picture, np.full((51, 70), value, np.uint8))
    assert all(np.array_equal(got, was) for got, was in zip(planes(picture), planes(before), strict=True))


@pytest.mark.parametrize("screen", ["auto", "green"])
def test_a_steady_run_allocates_nothing_of_frame_size(screen: Any) -> None:
    picture, despill = as_i420(lit(JACKET, GREEN)[0]), Despill(screen)
    alpha = soft_disk(SIZE_WH)
    despill.suppress(picture, alpha)
    tracemalloc.start()
    despill.suppress(picture, alpha)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40_000


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(SettingsError, match="auto, green, blue"):
        Despill("red")  # type: ignore[arg-type]
    for alpha in (np.zeros((6, 7), np.uint8), np.zeros((6, 8), np.uint16)):
        with pytest.raises(ValueError, match="expected alpha as uint8"):
            Despill("green").suppress(noise_picture("bgr", (8, 6)), alpha)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_still_by_its_option(tmp_path: Path, depth: int) -> None:
    picture, alpha, _ = lit(JACKET, GREEN)
    stored = picture if depth == 8 else picture.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.png"), stored)
    greens = {}
    for spill in ("off", "green", "auto"):
        matter = RecordedAlpha([alpha])
        process_image(tmp_path / "a.png", tmp_path / "b.png", matter=matter, spill=spill, overwrite=True)  # type: ignore[arg-type]
        found = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)
        assert found.dtype == stored.dtype
        rim = (alpha > 128) & (alpha < 255)
        greens[spill] = found[rim][:, 1].mean() / (257 if depth == 16 else 1)
        if depth == 8:
            rgba = remove_background(picture[..., ::-1], matter=matter, spill=spill)  # type: ignore[arg-type]
            assert np.array_equal(rgba[..., :3][..., ::-1], found[..., :3])
    assert greens["off"] > greens["green"] + 20
    assert greens["off"] > greens["auto"] + 20


def test_a_clip_by_its_option(tmp_path: Path) -> None:
    picture, alpha, _ = lit(JACKET, GREEN)
    planar = as_i420(picture)

    def draw(target: I420, _number: int) -> None:
        for plane, source in zip(target.planes, planar.planes, strict=True):
            np.copyto(plane, source)

    source = clips.plain(tmp_path / "in.mp4", size_wh=SIZE_WH, draw=draw, frame_count=2)
    greens = {}
    for spill in ("off", "green", "auto"):
        target = tmp_path / f"{spill}.mkv"
        process_video(source, target, matter=RecordedAlpha([alpha] * 2), background="#787878", spill=spill)  # type: ignore[arg-type]
        capture = cv2.VideoCapture(str(target))
        _, bgr = capture.read()
        capture.release()
        rim = (alpha > 128) & (alpha < 255)
        greens[spill] = (bgr[..., 1].astype(float) - (bgr[..., 0].astype(float) + bgr[..., 2]) / 2)[rim].mean()
    assert greens["off"] > 8
    assert greens["green"] < 0.5 * greens["off"]
    assert greens["auto"] < 0.6 * greens["off"]


def test_the_option_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.onnx").write_bytes(image_net())
    (tmp_path / "net.toml").write_text('[input]\nlong_side = 64\n[output]\nlayout = "nchw"\n')
    cv2.imwrite(str(tmp_path / "a.png"), np.full((48, 64, 3), (210, 250, 230), np.uint8))
    usual = [
        "image",
        str(tmp_path / "a.png"),
        "-o",
        str(tmp_path / "b.png"),
        "-y",
        "--model",
        str(tmp_path / "net.onnx"),
    ]
    for spill, wanted in (("off", 250), ("auto", 250), ("green", 220)):
        assert CliRunner().invoke(app, [*usual, "--spill", spill]).exit_code == 0
        bgra = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)
        assert tuple(bgra[20, 30, :3]) == (210, wanted, 230)
    assert CliRunner().invoke(app, [*usual, "--spill", "red"]).exit_code == 2

    def catch(_source: Path, _target: Path, settings: VideoSettings, **_: Any) -> None:
        raise SettingsError(settings.spill)

    monkeypatch.setattr("rtmatte.runs.offline.run_video", catch)
    done = CliRunner().invoke(app, ["video", "a.mp4", "-o", str(tmp_path / "c.mp4"), "--spill", "blue"])
    assert str(done.exception) == "blue"

    def catch_live(settings: LiveSettings, *_: Any, **__: Any) -> None:
        raise SettingsError(settings.spill)

    monkeypatch.setattr("rtmatte.runs.live.run.run_live", catch_live)
    done = CliRunner().invoke(app, ["webcam", "--spill", "auto", "--output", "null", "--camera", "pattern"])
    assert str(done.exception) == "auto"


ROW, PLANE = np.ones(64, np.float32), np.zeros(64, np.uint8)
ONE = np.float32(1)
HOT_LOOPS = {
    "find_excess": (PLANE, PLANE, PLANE, ONE, ONE, ROW.copy()),
    "find_tint": (PLANE, PLANE, PLANE, np.ones((6, 64), np.float32), np.float32(8), np.float32(24), ROW.copy()),
    "take_row": (PLANE.copy(), ROW, ROW, ONE),
}


@pytest.mark.parametrize("name", HOT_LOOPS)
def test_the_inner_loops_compile_to_packed_arithmetic(name: str) -> None:
    if not llvm.get_host_cpu_features().get("avx2", False):
        pytest.skip("no AVX2 on this processor")
    compiled = njit(nogil=True, error_model="numpy")(getattr(spill_kernels, name).py_func)
    compiled(*HOT_LOOPS[name])
    (assembly,) = compiled.inspect_asm().values()
    assert re.search(r"v(mul|fmadd\d+|fnmadd\d+|div)ps\s.*%[yz]mm", assembly)
