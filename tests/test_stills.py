"""One picture from end to end, with mattes that the tests made themselves, and once with the real model."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rtmatte.capture.image import read_image
from rtmatte.errors import (
    ImageTooLargeError,
    InputNotFoundError,
    ModelOutputError,
    OutputExistsError,
    UnreadableInputError,
    UnsupportedOutputError,
)
from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.recorded import RecordedAlpha
from rtmatte.refine.guided import GuidedFilter
from rtmatte.runs.stills import process_image, remove_background
from tests import pictures
from tests.pictures import corners, noise, png_bytes, save, stored


class FakeMatter:
    """Gives one alpha whatever it is shown, and remembers what it was shown."""

    name = "fake"
    provider = "no device at all"

    def __init__(self, alpha: F32) -> None:
        self.alpha = alpha
        self.seen: list[U8] = []
        self.resets = 0

    def estimate(self, frame: Frame) -> F32:
        assert isinstance(frame.picture, np.ndarray)
        assert frame.picture.flags.c_contiguous
        assert frame.picture.dtype == np.uint8
        self.seen.append(frame.picture.copy())
        return self.alpha

    def reset(self) -> None:
        self.resets += 1


class FakeBackground:
    name = "fake"

    def __init__(self, picture_bgr: U8) -> None:
        self.picture_bgr = picture_bgr
        self.alpha_u8: U8 | None = None

    def picture_for(self, frame: Frame, alpha_u8: U8) -> U8:
        assert isinstance(frame.picture, np.ndarray)
        assert frame.picture.shape == self.picture_bgr.shape
        self.alpha_u8 = alpha_u8.copy()
        return self.picture_bgr

    def close(self) -> None:
        pass


def smooth_alpha(height: int, width: int) -> F32:
    return np.clip(
        cv2.GaussianBlur(np.random.default_rng(3).random((height, width)), (0, 0), 1) * 6 - 2.5, 0, 1
    ).astype(np.float32)


def uniform(value: float) -> FakeMatter:
    return FakeMatter(np.full((4, 4), value, np.float32))


# ---- alpha


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (7, 5), (20, 301), (1200, 1111)])
def test_alpha_is_brought_to_the_size_of_the_picture(shape: tuple[int, int]) -> None:
    alpha = smooth_alpha(20, 30)
    height, width = shape
    across = cv2.INTER_AREA if width < 30 else cv2.INTER_CUBIC
    along = cv2.INTER_AREA if height < 20 else cv2.INTER_CUBIC
    expected = cv2.resize(cv2.resize(alpha, (width, 20), interpolation=across), (width, height), interpolation=along)
    rgba = remove_background(noise(height, width), matter=FakeMatter(alpha))
    np.testing.assert_allclose(rgba[..., 3], expected.clip(0, 1) * 255, atol=0.502)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_that_the_picture_has_is_multiplied_in(tmp_path: Path, dtype: type) -> None:
    pixels, alpha = noise(30, 40, 4, dtype), smooth_alpha(30, 40)
    source = save(tmp_path / "a.png", png_bytes(pixels))
    process_image(source, tmp_path / "b.png", matter=FakeMatter(alpha))
    result = read_image(tmp_path / "b.png")
    assert result.image.dtype == dtype
    assert result.alpha_existing is not None
    exact = alpha.astype(np.float64) * pixels[..., 3]
    np.testing.assert_allclose(result.alpha_existing, exact, atol=0.51)
    kept = result.alpha_existing > 0
    np.testing.assert_array_equal(result.image[kept], pixels[..., 2::-1][kept])
    assert not result.image[~kept].any()


def test_opaque_alpha_changes_nothing_and_zero_alpha_keeps_nothing() -> None:
    picture = noise(9, 11)
    np.testing.assert_array_equal(
        remove_background(picture, matter=uniform(1)), np.dstack([picture, np.full((9, 11), 255)])
    )
    assert not remove_background(picture, matter=uniform(0)).any()


@pytest.mark.parametrize("bad", [np.full((4, 4), np.nan, np.float32), np.zeros((0, 4), np.float32)])
def test_an_alpha_that_is_none_is_refused(bad: F32) -> None:
    with pytest.raises(ModelOutputError, match="fake: expected a finite"):
        remove_background(noise(3, 3), matter=FakeMatter(bad))


# ---- backgrounds


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    dtype=st.sampled_from([np.uint8, np.uint16]),
    seed=st.integers(0, 99),
)
def test_the_composite_is_the_exact_one(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, dtype: type, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("composite")
    pixels = noise(height, width, 4, dtype, seed)
    behind = noise(height, width, 3, np.uint8, seed + 1)
    top = np.iinfo(dtype).max
    source = save(folder / "a.png", png_bytes(pixels))
    process_image(source, folder / "b.png", matter=uniform(1), background=FakeBackground(behind))
    a = pixels[..., 3:].astype(np.float64) / top
    exact = a * pixels[..., 2::-1] + (1 - a) * behind.astype(np.float64) * (top // 255)
    result = read_image(folder / "b.png")
    assert result.alpha_existing is None
    np.testing.assert_allclose(result.image, exact, atol=0.500001)


def test_the_composite_equals_the_kernel_of_clips(tmp_path: Path) -> None:
    from rtmatte.composite import kernels

    pixels, behind = noise(300, 200, 4), noise(300, 200, 3, seed=5)
    expected = np.ascontiguousarray(pixels[..., 2::-1])
    kernels.blend_bgr(expected, behind, np.ascontiguousarray(pixels[..., 3]))
    rgba = remove_background(pixels, matter=uniform(1), background=FakeBackground(behind))
    np.testing.assert_array_equal(rgba[..., 2::-1], expected)


def test_the_background_gets_the_frame_and_its_alpha() -> None:
    background = FakeBackground(np.full((6, 8, 3), 7, np.uint8))
    rgba = remove_background(noise(6, 8), matter=uniform(0.4), background=background)
    assert background.alpha_u8 is not None
    assert (background.alpha_u8 == 102).all()
    assert (rgba[..., 3] == 255).all()


def read(path: Path) -> np.ndarray:
    """As it is: BGRA, 8 or 16 bits."""
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_old_background_no_longer_shines_through_soft_edges(tmp_path: Path, dtype: type) -> None:
    """A grey person before blue: where alpha is half, the picture is half blue, and what is written isn't."""
    pytest.importorskip("pymatting")
    full = np.iinfo(dtype).max
    alpha = np.clip(np.linspace(-1, 2, 96, dtype=np.float32), 0, 1)[None].repeat(64, 0)
    person, room = np.array([0.5, 0.5, 0.5]), np.array([1.0, 0.2, 0.1])
    mixed = alpha[..., None] * person + (1 - alpha[..., None]) * room
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), np.rint(mixed * full).astype(dtype))
    errors = {}
    for wanted in (False, True):
        target = tmp_path / f"{wanted}.png"
        process_image(source, target, matter=RecordedAlpha([alpha]), edge_colors=wanted)
        soft = (alpha > 0.2) & (alpha < 0.9)
        errors[wanted] = np.abs(read(target)[..., :3][soft] / full - person).mean()
    assert errors[True] < 0.3 * errors[False]


def test_a_refiner_brings_alpha_to_the_pictures_edges(tmp_path: Path) -> None:
    """Luma steps where alpha, at an eighth of the size, is soft: the guided filter finds the step."""
    picture = np.full((256, 256, 3), 40, np.uint8)
    picture[:, 128:] = 200
    small = np.clip(np.linspace(-4, 5, 32, dtype=np.float32), 0, 1)[None].repeat(32, 0)
    source = tmp_path / "a.png"
    cv2.imwrite(str(source), picture)
    truth = np.zeros((256, 256))
    truth[:, 128:] = 255
    errors = []
    for refiner in (None, GuidedFilter()):
        target = tmp_path / "b.png"
        process_image(source, target, matter=RecordedAlpha([small]), refiner=refiner, overwrite=True)
        errors.append(np.abs(read(target)[..., 3] - truth).mean())
    assert errors[1] < 0.75 * errors[0]


def test_jpeg_only_with_a_background(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", png_bytes(corners()))
    with pytest.raises(UnsupportedOutputError, match="--background"):
        process_image(source, tmp_path / "b.jpg", matter=uniform(1))
    green = np.empty((48, 80, 3), np.uint8)
    green[...] = (60, 170, 10)
    process_image(source, tmp_path / "b.jpg", matter=uniform(0), background=FakeBackground(green))
    np.testing.assert_allclose(read_image(tmp_path / "b.jpg").image, green, atol=2)


# ---- what goes in


def test_paths_pillow_images_and_arrays_are_one(tmp_path: Path) -> None:
    pixels, matter = noise(12, 17, 4), FakeMatter(smooth_alpha(5, 6))
    path = save(tmp_path / "a.png", png_bytes(pixels))
    expected = remove_background(pixels, matter=matter)
    np.testing.assert_array_equal(remove_background(path, matter=matter), expected)
    np.testing.assert_array_equal(remove_background(str(path), matter=matter), expected)
    np.testing.assert_array_equal(remove_background(Image.fromarray(pixels), matter=matter), expected)
    np.testing.assert_array_equal(remove_background(np.asfortranarray(pixels), matter=matter), expected)
    assert matter.resets == 5
    for seen in matter.seen:
        np.testing.assert_array_equal(seen, pixels[..., 2::-1])


def test_grey_arrays_and_16_bit_files(tmp_path: Path) -> None:
    grey = noise(5, 6, 1)
    rgba = remove_background(grey, matter=uniform(1))
    np.testing.assert_array_equal(rgba[..., :3], np.repeat(grey[..., np.newaxis], 3, axis=2))
    deep = noise(5, 6, 4, np.uint16)
    rgba = remove_background(save(tmp_path / "a.png", png_bytes(deep)), matter=uniform(1))
    visible = rgba[..., 3] > 0
    np.testing.assert_allclose(rgba[visible], deep[visible] / 257, atol=0.51)


def test_the_callers_array_is_not_written_to() -> None:
    picture = noise(8, 8)
    before = picture.copy()
    remove_background(picture[..., ::-1], matter=uniform(0), background=FakeBackground(np.zeros((8, 8, 3), np.uint8)))
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((4,), np.uint8), np.zeros((0, 4, 3), np.uint8)],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(UnreadableInputError, match="expected a uint8 array"):
        remove_background(array, matter=uniform(1))


# ---- files from end to end


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_comes_out_upright_with_its_metadata(tmp_path: Path, orientation: int) -> None:
    source, profile = tmp_path / "a.jpg", pictures.srgb_profile()
    lying = Image.fromarray(stored(corners(), orientation))
    lying.save(source, quality=100, exif=pictures.exif_bytes(orientation), icc_profile=profile, dpi=(200, 100))
    for suffix in (".png", ".webp", ".tif"):
        report = process_image(source, tmp_path / f"b{suffix}", matter=uniform(1))
        assert report.size_wh == (80, 48)
        with Image.open(tmp_path / f"b{suffix}") as picture:
            assert picture.getexif().get(0x0112) == 1
            assert picture.getexif()[0x010F] == "Maker"
            assert picture.info["icc_profile"] == profile
            np.testing.assert_allclose(np.asarray(picture)[8:16, 48:70, :3].astype(int), corners()[8:16, 48:70], atol=6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (33, 17)])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_the_smallest_pictures(tmp_path: Path, shape: tuple[int, int], suffix: str) -> None:
    pixels = noise(*shape)
    process_image(save(tmp_path / "a.png", png_bytes(pixels)), tmp_path / f"b{suffix}", matter=uniform(0.4))
    result = read_image(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(result.image[..., ::-1], pixels)
    assert (result.alpha_existing == 102).all()


def test_the_report_collects_what_the_user_should_know(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(buffer, "JPEG")
    report = process_image(save(tmp_path / "a.jpg", buffer.getvalue()), tmp_path / "b.png", matter=uniform(1))
    assert report.provider == "no device at all"
    assert report.seconds > 0
    assert "CMYK" in report.notices[0]
    deep = save(tmp_path / "c.png", png_bytes(noise(3, 3, 3, np.uint16)))
    assert "8 bits" in process_image(deep, tmp_path / "d.webp", matter=uniform(1)).notices[0]


def test_the_target_is_refused_before_any_work_is_done(tmp_path: Path) -> None:
    source, target, matter = save(tmp_path / "a.png", png_bytes(noise(4, 4))), tmp_path / "b.png", uniform(1)
    process_image(source, target, matter=matter)
    with pytest.raises(OutputExistsError):
        process_image(source, target, matter=matter)
    assert len(matter.seen) == 1
    process_image(source, target, matter=matter, overwrite=True)
    process_image(target, target, matter=matter, overwrite=True)
    with pytest.raises(InputNotFoundError):
        process_image(tmp_path / "none.png", target, matter=matter, overwrite=True)
    with pytest.raises(ImageTooLargeError):
        process_image(source, target, matter=matter, overwrite=True, max_megapixels=0.00001)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("with_background", [False, True])
def test_no_full_size_array_wider_than_the_picture(tmp_path: Path, with_background: bool) -> None:
    height, width = 2400, 3000
    cv2.imwrite(str(tmp_path / "a.png"), cv2.resize(corners(), (width, height)))
    background = FakeBackground(np.zeros((height, width, 3), np.uint8)) if with_background else None
    matter = RecordedAlpha([np.full((4, 4), 0.5, np.float32)])
    tracemalloc.start()
    try:
        process_image(tmp_path / "a.png", tmp_path / "b.png", matter=matter, background=background)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The picture, its alpha, the resampled rows, and tiles.
    assert peak < height * width * (3 + 1) + 40e6


# ---- the real model


def test_the_astronaut_with_the_real_model() -> None:
    data = pytest.importorskip("skimage.data")
    pytest.importorskip("onnxruntime")
    picture = data.astronaut()
    rgba = remove_background(picture)
    face, wall, flag_side = rgba[90:160, 195:260, 3], rgba[20:120, 20:120, 3], rgba[20:120, 400:500, 3]
    assert face.mean() > 250
    assert wall.mean() < 5
    assert flag_side.mean() < 5
    np.testing.assert_array_equal(rgba[90:160, 195:260, :3], picture[90:160, 195:260])
