"""Pictures from files, against pixels that the tests made themselves."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rtmatte.capture.image import Still, read_image, still_from_pil
from rtmatte.errors import ImageTooLargeError, InputNotFoundError, UnreadableInputError
from tests import pictures
from tests.pictures import corners, noise, png_bytes, save, stored, tiff_bytes

ORIENTATIONS = range(1, 9)
HAS_AVIF = ".avif" in Image.registered_extensions()


def rgb(still: Still) -> np.ndarray:
    return still.image[..., ::-1]


def pillow_bytes(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


# ---- pixels, depth, alpha


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (7, 5), (1500, 1501)])
def test_png_of_any_size_depth_and_kind_is_exact(
    tmp_path: Path, dtype: type, channels: int, shape: tuple[int, int]
) -> None:
    pixels = noise(*shape, channels, dtype)
    still = read_image(save(tmp_path / "a.png", png_bytes(pixels)))
    deep = np.atleast_3d(pixels)
    color = deep[..., :3] if channels >= 3 else np.repeat(deep[..., :1], 3, axis=2)
    np.testing.assert_array_equal(rgb(still), color)
    assert still.image.dtype == dtype
    assert still.image.flags.c_contiguous
    assert still.depth == np.dtype(dtype).itemsize * 8
    assert still.size_wh == shape[::-1]
    if channels in (2, 4):
        np.testing.assert_array_equal(still.alpha_existing, deep[..., -1])
    else:
        assert still.alpha_existing is None


@pytest.mark.parametrize("channels", [1, 3])
def test_the_transparent_colour_of_a_16_bit_png_becomes_alpha(tmp_path: Path, channels: int) -> None:
    pixels = noise(6, 5, channels, np.uint16)
    pixels[2, 3] = pixels[0, 0]
    key = pictures.png_chunk(b"tRNS", np.atleast_1d(pixels[0, 0]).astype(">u2").tobytes())
    still = read_image(save(tmp_path / "a.png", png_bytes(pixels, key)))
    expected = np.full((6, 5), 65535)
    expected[0, 0] = expected[2, 3] = 0
    np.testing.assert_array_equal(still.alpha_existing, expected)
    np.testing.assert_array_equal(rgb(still), np.broadcast_to(np.atleast_3d(pixels), (6, 5, 3)))


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_is_exact(tmp_path: Path, order: str) -> None:
    pixels = noise(7, 5, 4, np.uint16)
    color = read_image(save(tmp_path / "a.tif", tiff_bytes(pixels[..., :3].copy(), order=order)))
    np.testing.assert_array_equal(rgb(color), pixels[..., :3])
    straight = read_image(save(tmp_path / "b.tif", tiff_bytes(pixels, extra=2, order=order)))
    np.testing.assert_array_equal(rgb(straight), pixels[..., :3])
    np.testing.assert_array_equal(straight.alpha_existing, pixels[..., 3])
    no_alpha = read_image(save(tmp_path / "c.tif", tiff_bytes(pixels, extra=0, order=order)))
    np.testing.assert_array_equal(rgb(no_alpha), pixels[..., :3])
    assert no_alpha.alpha_existing is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_grey_and_its_white_is_zero_form(tmp_path: Path, dtype: type) -> None:
    grey = noise(7, 5, 1, dtype)
    expected = np.repeat(grey[..., np.newaxis], 3, axis=2)
    plain = read_image(save(tmp_path / "a.tif", tiff_bytes(grey, photometric=1)))
    inverted = read_image(save(tmp_path / "b.tif", tiff_bytes(np.iinfo(dtype).max - grey, photometric=0)))
    np.testing.assert_array_equal(rgb(plain), expected)
    np.testing.assert_array_equal(rgb(inverted), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_tiff_becomes_straight(tmp_path: Path, dtype: type) -> None:
    top = np.iinfo(dtype).max
    straight = noise(16, 16, 3, dtype).astype(np.float64)
    alpha = np.linspace(0, top, 256).round().reshape(16, 16)
    premultiplied = np.dstack([straight * alpha[..., None] / top, alpha]).round().astype(dtype)
    still = read_image(save(tmp_path / "a.tif", tiff_bytes(premultiplied, extra=1)))
    np.testing.assert_array_equal(still.alpha_existing, alpha)
    shown = still.image[..., ::-1].astype(np.float64) * alpha[..., None] / top
    np.testing.assert_allclose(shown, premultiplied[..., :3], atol=1.01)


def test_palette_with_transparency(tmp_path: Path) -> None:
    picture = Image.new("P", (3, 2))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    picture.putdata([0, 1, 2, 2, 1, 0])
    picture.save(tmp_path / "a.png", transparency=bytes([0, 128, 255]))
    still = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(still.alpha_existing, [[0, 128, 255], [255, 128, 0]])
    np.testing.assert_array_equal(rgb(still)[0], [[10, 20, 30], [40, 50, 60], [70, 80, 90]])


def test_bilevel_and_16_bit_pgm(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").image[0], [[255] * 3, [0] * 3])
    deep = save(tmp_path / "a.pgm", b"P5 2 1 65535\n" + np.array([1, 65534], ">u2").tobytes())
    np.testing.assert_array_equal(read_image(deep).image[0], [[1] * 3, [65534] * 3])


@pytest.mark.parametrize(("kind", "options"), [("BMP", {}), ("WEBP", {"lossless": True}), ("PPM", {}), ("GIF", {})])
def test_other_lossless_formats(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    pixels = corners(9, 14)
    still = read_image(save(tmp_path / "a", pillow_bytes(Image.fromarray(pixels), kind, **options)))
    np.testing.assert_array_equal(rgb(still), pixels)
    assert still.notices == ()


@pytest.mark.skipif(not HAS_AVIF, reason="this Pillow has no AVIF")
def test_avif_keeps_alpha(tmp_path: Path) -> None:
    alpha = np.zeros((48, 80), np.uint8)
    alpha[:, 40:] = 255
    data = pillow_bytes(Image.fromarray(np.dstack([corners(), alpha])), "AVIF", quality=100)
    still = read_image(save(tmp_path / "a.avif", data))
    np.testing.assert_allclose(still.alpha_existing, alpha, atol=3)
    np.testing.assert_allclose(rgb(still)[8:16, 48:70].astype(int), corners()[8:16, 48:70], atol=6)


def test_an_animation_gives_its_first_frame_and_says_so(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    still = read_image(tmp_path / "a.gif")
    assert (still.image == 10).all()
    assert "first" in still.notices[0]


def test_16_bit_tiff_in_planes_is_refused(tmp_path: Path) -> None:
    data = bytearray(tiff_bytes(noise(8, 8, 3, np.uint16)))
    planar_tag = data.index(np.array([284, 3, 1, 0], "<u2").tobytes())
    data[planar_tag + 8] = 2
    with pytest.raises(UnreadableInputError, match="separate planes"):
        read_image(save(tmp_path / "a.tif", bytes(data)))


def test_16_bit_cmyk_is_read_at_8_bits_and_says_so(tmp_path: Path) -> None:
    ink = np.zeros((2, 3, 4), np.uint16)
    ink[:, 1, 0] = ink[:, 2, 3] = 65535
    still = read_image(save(tmp_path / "a.tif", tiff_bytes(ink, photometric=5)))
    np.testing.assert_allclose(rgb(still)[0], [[255, 255, 255], [0, 255, 255], [0, 0, 0]], atol=3)
    assert "reduced to 8 bits" in still.notices[0]


# ---- orientation


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF", "PNG16", "TIFF16", "AVIF"])
def test_every_orientation_comes_out_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    if kind == "AVIF" and not HAS_AVIF:
        pytest.skip("this Pillow has no AVIF")
    upright = corners()
    lying = stored(upright, orientation)
    if kind in ("PNG", "PNG16"):
        pixels = lying if kind == "PNG" else lying.astype(np.uint16) * 257
        data = png_bytes(pixels, pictures.exif_chunk(pictures.exif_bytes(orientation)))
    elif kind in ("TIFF", "TIFF16"):
        pixels = lying if kind == "TIFF" else lying.astype(np.uint16) * 257
        data = tiff_bytes(pixels, orientation=orientation)
    else:
        data = pillow_bytes(Image.fromarray(lying), kind, exif=pictures.exif_bytes(orientation), quality=100)
    still = read_image(save(tmp_path / "a", data))
    assert still.size_wh == (80, 48)
    shown = rgb(still) / (257 if "16" in kind else 1)
    inner = np.s_[4:20, 4:36], np.s_[4:20, 44:76], np.s_[28:44, 4:36], np.s_[28:44, 44:76]
    for part in inner:
        np.testing.assert_allclose(shown[part], upright[part], atol=6)
    if still.exif is not None:
        exif = Image.Exif()
        exif.load(still.exif)
        assert exif[0x0112] == 1
        assert (exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003]) == (80, 48)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_odd_sizes_with_alpha_turn_exactly(tmp_path: Path, dtype: type, orientation: int) -> None:
    upright = noise(3, 5, 4, dtype)
    exif = pictures.exif_chunk(pictures.exif_bytes(orientation))
    still = read_image(save(tmp_path / "a.png", png_bytes(stored(upright, orientation), exif)))
    np.testing.assert_array_equal(rgb(still), upright[..., :3])
    np.testing.assert_array_equal(still.alpha_existing, upright[..., 3])


def test_an_impossible_orientation_counts_as_upright(tmp_path: Path) -> None:
    pixels = noise(3, 5)
    still = read_image(save(tmp_path / "a.png", png_bytes(pixels, pictures.exif_chunk(pictures.exif_bytes(9)))))
    np.testing.assert_array_equal(rgb(still), pixels)


# ---- colour


def test_an_rgb_profile_is_handed_on_byte_for_byte(tmp_path: Path) -> None:
    profile = pictures.srgb_profile()
    for dtype in (np.uint8, np.uint16):
        still = read_image(save(tmp_path / "a.png", png_bytes(noise(2, 2, 3, dtype), pictures.iccp_chunk(profile))))
        assert still.icc_profile == profile
        assert still.notices == ()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_grey_profile_is_applied_at_full_depth(tmp_path: Path, dtype: type, channels: int) -> None:
    top = np.iinfo(dtype).max
    ramp = np.linspace(0, top, 512).round().astype(dtype).reshape(16, 32)
    pixels = ramp if channels == 1 else np.dstack([ramp, ramp[::-1]])
    data = png_bytes(pixels, pictures.iccp_chunk(pictures.linear_grey_profile()))
    still = read_image(save(tmp_path / "a.png", data))
    light = ramp / top
    srgb = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    # Half a step of 8 bits where the transform behind it works in 8 bits; 16-bit values must be an order finer.
    np.testing.assert_allclose(still.image[..., 1] / top, srgb, atol=0.0006 if dtype == np.uint16 else 0.003)
    if channels == 2:
        np.testing.assert_array_equal(still.alpha_existing, ramp[::-1])
    assert still.icc_profile is None
    assert "sRGB" in still.notices[0]


@pytest.mark.parametrize("profile", [b"not a profile", pictures.linear_grey_profile(), pictures.swapped_cmyk_profile()])
def test_a_profile_that_does_not_fit_is_dropped_with_a_notice(tmp_path: Path, profile: bytes) -> None:
    pixels = noise(2, 3)
    still = read_image(save(tmp_path / "a.png", png_bytes(pixels, pictures.iccp_chunk(profile))))
    assert still.icc_profile is None
    assert "profile" in still.notices[0]
    np.testing.assert_array_equal(rgb(still), pixels)


def cmyk_jpeg(ink_cmyk: tuple[int, int, int, int], **options: object) -> bytes:
    # Pillow writes Adobe's inverted form, the one that Photoshop writes.
    return pillow_bytes(Image.new("CMYK", (16, 16), ink_cmyk), "JPEG", quality=100, **options)


@pytest.mark.parametrize(
    ("ink", "expected"), [((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 0, 0, 255), (0, 0, 0))]
)
def test_cmyk_without_a_profile_goes_by_formula(
    tmp_path: Path, ink: tuple[int, int, int, int], expected: tuple[int, int, int]
) -> None:
    data = cmyk_jpeg(ink)
    assert b"Adobe" in data
    still = read_image(save(tmp_path / "a.jpg", data))
    np.testing.assert_allclose(rgb(still), np.broadcast_to(expected, (16, 16, 3)), atol=3)
    assert "without a usable profile" in still.notices[0]


@pytest.mark.parametrize(
    ("ink", "expected"), [((0, 0, 0, 0), 255), ((255, 0, 0, 0), 0), ((0, 255, 255, 255), 255), ((255, 255, 0, 0), 0)]
)
def test_cmyk_goes_through_its_profile_which_is_then_not_kept(
    tmp_path: Path, ink: tuple[int, int, int, int], expected: int
) -> None:
    still = read_image(save(tmp_path / "a.jpg", cmyk_jpeg(ink, icc_profile=pictures.swapped_cmyk_profile())))
    np.testing.assert_allclose(rgb(still), np.full((16, 16, 3), expected), atol=3)
    assert still.icc_profile is None
    assert still.notices == ("CMYK was converted to sRGB by the embedded profile.",)


# ---- metadata


def test_exif_is_kept_without_previews(tmp_path: Path) -> None:
    preview = b"\xff\xd8 the old background \xff\xd9"
    data = pillow_bytes(Image.fromarray(corners()), "JPEG", exif=pictures.exif_with_thumbnail(preview))
    assert preview in data
    still = read_image(save(tmp_path / "a.jpg", data))
    assert still.exif is not None
    assert b"Cam" in still.exif
    assert b"old background" not in still.exif

    data = pillow_bytes(Image.fromarray(corners()), "JPEG", exif=pictures.exif_bytes())
    still = read_image(save(tmp_path / "b.jpg", data))
    assert still.exif is not None
    exif = Image.Exif()
    exif.load(still.exif)
    assert exif[0x010F] == "Maker"
    assert exif.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert exif.get_ifd(0x8825)[1] == "N"
    assert b"secret preview" not in still.exif


def test_a_tiff_hands_on_names_but_not_its_layout(tmp_path: Path) -> None:
    Image.fromarray(corners()).save(tmp_path / "a.tif", exif=pictures.exif_bytes(), dpi=(300, 150))
    still = read_image(tmp_path / "a.tif")
    assert still.exif is not None
    exif = Image.Exif()
    exif.load(still.exif)
    assert set(exif) == {0x010F, 0x0112, 0x8769, 0x8825}
    assert still.dpi == (300, 150)


def test_a_file_that_names_no_resolution_has_none(tmp_path: Path) -> None:
    for name, data in (("a.png", png_bytes(noise(2, 2))), ("a.tif", tiff_bytes(noise(2, 2)))):
        assert read_image(save(tmp_path / name, data)).dpi is None


def test_resolution_turns_with_the_picture(tmp_path: Path) -> None:
    Image.fromarray(corners()).save(tmp_path / "a.jpg", exif=pictures.exif_bytes(6), dpi=(300, 150))
    assert read_image(tmp_path / "a.jpg").dpi == (150, 300)


def test_a_damaged_exif_block_costs_the_exif_not_the_picture(tmp_path: Path) -> None:
    pixels = noise(3, 4)
    still = read_image(save(tmp_path / "a.png", png_bytes(pixels, pictures.png_chunk(b"eXIf", b"rubbish rubbish"))))
    np.testing.assert_array_equal(rgb(still), pixels)
    assert still.exif is None
    assert "EXIF" in still.notices[0]


# ---- refusals


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    bomb = save(tmp_path / "bomb.png", pictures.png_header_only(60000, 50000))
    with pytest.raises(ImageTooLargeError, match=r"60000x50000.*3000\.0 megapixels.*200.*--max-megapixels 3000"):
        read_image(bomb)
    with pytest.raises(UnreadableInputError):  # allowed in, it turns out to be empty
        read_image(save(tmp_path / "small.png", pictures.png_header_only(6, 5)), max_megapixels=None)


def test_the_limit_is_ours_and_not_pillows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    pixels = noise(20, 30)
    for name, data in (("a.png", png_bytes(pixels)), ("a.tif", tiff_bytes(pixels))):
        path = save(tmp_path / name, data)
        np.testing.assert_array_equal(rgb(read_image(path, max_megapixels=0.0006)), pixels)
        with pytest.raises(ImageTooLargeError):
            read_image(path, max_megapixels=0.000599)
        assert Image.MAX_IMAGE_PIXELS == 10


def test_missing_folder_text_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"none\.png"):
        read_image(tmp_path / "none.png")
    with pytest.raises(UnreadableInputError, match="folder"):
        read_image(tmp_path)
    for data in (b"", b"Dear reader, this is no picture.", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        with pytest.raises(UnreadableInputError, match=r"a\.png.*Readable are JPEG"):
            read_image(save(tmp_path / "a.png", data))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", png_bytes(noise(2, 2)))
    path.chmod(0)
    with pytest.raises(UnreadableInputError, match="ermission"):
        read_image(path)


def whole_files() -> dict[str, bytes]:
    picture = Image.fromarray(noise(64, 64))
    files = {kind: pillow_bytes(picture, kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")}
    files["PNG16"] = png_bytes(noise(64, 64, 4, np.uint16))
    files["TIFF16"] = tiff_bytes(noise(64, 64, 3, np.uint16))
    return files


@pytest.mark.parametrize("kind", whole_files())
@pytest.mark.parametrize("part", [0.05, 0.5, 0.95])
def test_a_truncated_file_is_unreadable(tmp_path: Path, kind: str, part: float) -> None:
    data = whole_files()[kind]
    with pytest.raises(UnreadableInputError):
        read_image(save(tmp_path / "a", data[: int(len(data) * part)]))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_a_picture_or_our_error(tmp_path: Path, data: st.DataObject) -> None:
    files = whole_files()
    damaged = bytearray(files[data.draw(st.sampled_from(sorted(files)))])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(400, len(damaged) - 1)))] = data.draw(st.integers(0, 255))
    path = save(tmp_path / "a", bytes(damaged))
    try:
        still = read_image(path, max_megapixels=1)
    except (UnreadableInputError, ImageTooLargeError):
        return
    assert still.image.ndim == 3


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_modes_without_a_fixed_white_are_refused(tmp_path: Path, dtype: type) -> None:
    Image.fromarray(np.ones((3, 3), dtype)).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableInputError, match="pixel mode"):
        read_image(tmp_path / "a.tif")


# ---- Pillow images


def test_a_pillow_image_is_turned_upright_and_left_alone() -> None:
    upright = noise(3, 5, 4)
    picture = Image.open(io.BytesIO(png_bytes(stored(upright, 6), pictures.exif_chunk(pictures.exif_bytes(6)))))
    still = still_from_pil(picture)
    np.testing.assert_array_equal(rgb(still), upright[..., :3])
    np.testing.assert_array_equal(still.alpha_existing, upright[..., 3])
    assert picture.size == (3, 5)
    assert picture.getexif()[0x0112] == 6
