"""Written pictures, decoded again by other decoders than those that read them in."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rtmatte.capture.image import read_image
from rtmatte.errors import OutputExistsError, OutputWriteError, UnsupportedOutputError
from rtmatte.output import image as output_image
from rtmatte.output.image import check_target, write_image
from tests import pictures
from tests.pictures import noise

DTYPES = [np.uint8, np.uint16]


def decoded_bgr(path: Path) -> np.ndarray:
    """By OpenCV, except for 8-bit TIFF, of which it gives colours times alpha."""
    decoded = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if path.suffix == ".tif" and decoded.dtype == np.uint8:
        with Image.open(path) as picture:
            rgb = np.asarray(picture)
        return rgb[..., [2, 1, 0, 3][: rgb.shape[2]]]
    return decoded


def opaque_somewhere(height: int, width: int, dtype: type, seed: int = 1) -> np.ndarray:
    return np.maximum(noise(height, width, 1, dtype, seed), 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    dtype=st.sampled_from(DTYPES),
    suffix=st.sampled_from([".png", ".tif", ".webp"]),
    with_alpha=st.booleans(),
    strip_pixels=st.sampled_from([1, 64, 1 << 18]),
)
def test_lossless_formats_return_every_value(
    tmp_path: Path, height: int, width: int, dtype: type, suffix: str, with_alpha: bool, strip_pixels: int
) -> None:
    image = noise(height, width, 3, dtype)
    alpha = opaque_somewhere(height, width, dtype) if with_alpha else None
    path = tmp_path / f"a{suffix}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_image, "_STRIP_PIXELS", strip_pixels)
        notices = write_image(path, image, alpha, overwrite=True)
    decoded = decoded_bgr(path)
    expected = image if alpha is None else np.dstack([image, alpha])
    if suffix == ".webp" and dtype == np.uint16:
        expected = np.rint(expected / 257).astype(np.uint8)
        expected[expected[..., -1] == 0] = 0 if with_alpha else expected[expected[..., -1] == 0]
        assert "8 bits" in notices[0]
    else:
        assert notices == ()
    assert decoded.dtype == expected.dtype
    if suffix == ".webp" and with_alpha and decoded.shape[2] == 3:  # an opaque picture needs no alpha plane
        assert (expected[..., 3] == 255).all()
        decoded = np.dstack([decoded, expected[..., 3]])
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".webp"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pillow_opens_what_we_write(tmp_path: Path, suffix: str, dtype: type) -> None:
    image, alpha = noise(30, 31, 3, dtype), opaque_somewhere(30, 31, dtype)
    write_image(tmp_path / f"a{suffix}", image, alpha)
    with Image.open(tmp_path / f"a{suffix}") as picture:
        assert picture.mode == "RGBA"
        shown = np.asarray(picture).astype(int)
    scale = 257 if dtype == np.uint16 else 1
    visible = shown[..., 3] > 0
    np.testing.assert_allclose(shown[visible][:, :3], image[..., ::-1][visible] / scale, atol=1)
    np.testing.assert_allclose(shown[..., 3], alpha / scale, atol=1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_left_under_zero_alpha(tmp_path: Path, suffix: str, dtype: type) -> None:
    image = np.maximum(noise(64, 64, 3, dtype), 1)
    alpha = np.full((64, 64), np.iinfo(dtype).max, dtype)
    alpha[:40] = 0
    alpha[20:30] = 1  # of 65535: rounds to 0 in a file of 8 bits, and then must hide what it covers
    write_image(tmp_path / f"a{suffix}", image, alpha)
    decoded = decoded_bgr(tmp_path / f"a{suffix}")
    gone = decoded[..., 3] == 0
    assert gone.sum() == (40 if suffix == ".webp" and dtype == np.uint16 else 30) * 64
    assert not decoded[gone].any()
    assert decoded[~gone][:, :3].any(axis=1).all()


def test_the_callers_arrays_stay_as_they_are(tmp_path: Path) -> None:
    image, alpha = noise(8, 8), np.zeros((8, 8), np.uint8)
    before = image.copy()
    write_image(tmp_path / "a.png", image, alpha)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_profile_exif_and_resolution_are_in_the_file(tmp_path: Path, suffix: str, dtype: type) -> None:
    profile, exif = pictures.srgb_profile(), pictures.exif_bytes()
    path = tmp_path / f"a{suffix}"
    write_image(path, noise(8, 9, 3, dtype), None, icc_profile=profile, exif=exif, dpi=(300, 72))
    with Image.open(path) as picture:
        picture.load()
        assert picture.info["icc_profile"] == profile
        found = picture.getexif()
        assert found[0x010F] == "Maker"
        assert found.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
        assert found.get_ifd(0x8825)[1] == "N"
        if suffix != ".webp":
            assert picture.info["dpi"] == pytest.approx((300, 72), abs=0.02)
    again = read_image(path)
    assert again.icc_profile == profile
    assert again.notices == ()


def test_jpeg_holds_colour_at_full_resolution_and_obeys_quality(tmp_path: Path) -> None:
    image = pictures.corners()[..., ::-1]
    write_image(tmp_path / "a.jpg", image, None)
    assert np.abs(decoded_bgr(tmp_path / "a.jpg").astype(int) - image).max() <= 12
    write_image(tmp_path / "b.jpg", noise(64, 64), None, quality=20)
    write_image(tmp_path / "c.jpg", noise(64, 64), None, quality=90)
    assert (tmp_path / "b.jpg").stat().st_size < (tmp_path / "c.jpg").stat().st_size / 2


def test_quality_makes_webp_lossy(tmp_path: Path) -> None:
    image, alpha = noise(64, 64), opaque_somewhere(64, 64, np.uint8)
    write_image(tmp_path / "a.webp", image, alpha)
    write_image(tmp_path / "b.webp", image, alpha, quality=50)
    assert (tmp_path / "b.webp").stat().st_size < (tmp_path / "a.webp").stat().st_size / 2


# ---- refusals


def test_jpeg_refuses_alpha_and_says_what_to_do(tmp_path: Path) -> None:
    said = r"JPEG cannot hold transparency.*--background"
    with pytest.raises(UnsupportedOutputError, match=said):
        write_image(tmp_path / "a.jpeg", noise(2, 2), noise(2, 2, 1))
    with pytest.raises(UnsupportedOutputError, match=said):
        check_target(tmp_path / "a.jpeg", with_alpha=True, overwrite=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.heic", "a", "a.mp4"])
def test_other_extensions_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedOutputError, match=r"expected an extension of \.png"):
        check_target(tmp_path / name, with_alpha=False, overwrite=True)


def test_sides_too_long_for_the_format(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOutputError, match="16383 pixels a side, got 16384x1"):
        write_image(tmp_path / "a.webp", noise(1, 16384), None)
    with pytest.raises(UnsupportedOutputError, match="65500 pixels a side, got 1x65501"):
        write_image(tmp_path / "a.jpg", noise(65501, 1), None)
    write_image(tmp_path / "a.webp", noise(1, 16383), None)
    assert not (tmp_path / "a.jpg").exists()


def test_an_existing_target_is_refused_without_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"precious")
    for act in (
        lambda: write_image(path, noise(2, 2), None),
        lambda: check_target(path, with_alpha=True, overwrite=False),
    ):
        with pytest.raises(OutputExistsError):
            act()
    assert path.read_bytes() == b"precious"
    check_target(path, with_alpha=True, overwrite=True)
    assert path.read_bytes() == b"precious"
    write_image(path, noise(2, 2), None, overwrite=True)
    assert decoded_bgr(path).shape == (2, 2, 3)
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputWriteError, match="folder"):
        write_image(tmp_path / "none" / "a.png", noise(2, 2), None)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("existing", [True, False])
def test_a_failed_write_leaves_nothing_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, failure: BaseException, existing: bool
) -> None:
    path = tmp_path / f"a{suffix}"
    if existing:
        path.write_bytes(b"precious")
    strips = output_image._strips

    def failing(*arguments: Any) -> Any:
        whole = strips(*arguments)
        yield next(whole)
        raise failure

    monkeypatch.setattr(output_image, "_strips", failing)
    monkeypatch.setattr(output_image, "_STRIP_PIXELS", 100)
    expected = OutputWriteError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="No space" if isinstance(failure, OSError) else None):
        write_image(path, noise(50, 50), None, overwrite=True)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([b"precious"] if existing else [])
