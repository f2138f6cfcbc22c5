"""Every pixel format of webcams against planes computed in float64, and JPEGs with every kind of damage."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from rtmatte.capture.chroma import halve_both
from rtmatte.capture.mjpeg import JPEG_COLOR, MjpegDecoder
from rtmatte.capture.raw_frame import RAW_FORMATS, WEBCAM_COLOR, RawFrame, RawReader
from rtmatte.frame import I420
from rtmatte.pool import PicturePool
from tests.frames import means_of_blocks

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
RANDOM = np.random.default_rng(5)


def noise(*shape: int) -> np.ndarray:
    return RANDOM.integers(0, 256, shape, np.uint8)


def packed(order: str) -> Callable[[int, int], tuple[np.ndarray, Planes]]:
    def make(width: int, height: int) -> tuple[np.ndarray, Planes]:
        data = noise(height, width // 2, 4)
        y = np.stack([data[:, :, order.index("Y")], data[:, :, order.rindex("Y")]], axis=2).reshape(height, width)
        u, v = (mean_of_rows(data[:, :, order.index(letter)]) for letter in "UV")
        return data.reshape(height, width, 2), (y, u, v)

    return make


def mean_of_rows(plane: np.ndarray) -> np.ndarray:
    """Float64 means of pairs of rows; the last row of an odd height alone."""
    return means_of_blocks(np.repeat(plane, 2, axis=1))


def planar(order: str) -> Callable[[int, int], tuple[np.ndarray, Planes]]:
    def make(width: int, height: int) -> tuple[np.ndarray, Planes]:
        chroma = -(-height // 2), -(-width // 2)
        planes = {"Y": noise(height, width), "U": noise(*chroma), "V": noise(*chroma)}
        data = np.concatenate([planes[letter].reshape(-1) for letter in order])
        return data, (planes["Y"], planes["U"], planes["V"])

    return make


def semi_planar(order: str) -> Callable[[int, int], tuple[np.ndarray, Planes]]:
    def make(width: int, height: int) -> tuple[np.ndarray, Planes]:
        y, chroma = noise(height, width), noise(-(-height // 2), -(-width // 2), 2)
        planes = (y, chroma[:, :, order.index("U")], chroma[:, :, order.index("V")])
        return np.concatenate([y.reshape(-1), chroma.reshape(-1)]), planes

    return make


def bgr(width: int, height: int) -> tuple[np.ndarray, Planes]:
    """Blocks of 2x2 equal pixels, so that it doesn't matter where chroma is sampled."""
    small = noise(-(-height // 2), -(-width // 2), 3)
    image = small.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    blue, green, red = (image[:, :, channel].astype(np.float64) / 255 for channel in range(3))
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / 1.772, (red - y) / 1.402
    return image, (16 + 219 * y, (128 + 224 * u)[::2, ::2], (128 + 224 * v)[::2, ::2])


MAKERS: dict[str, Callable[[int, int], tuple[np.ndarray, Planes]]] = {
    "YUYV": packed("YUYV"),
    "UYVY": packed("UYVY"),
    "YU12": planar("YUV"),
    "YV12": planar("YVU"),
    "NV12": semi_planar("UV"),
    "NV21": semi_planar("VU"),
    "BGR3": bgr,
}


def test_there_is_a_reference_for_every_format() -> None:
    assert {*MAKERS, "MJPG", "JPEG"} == RAW_FORMATS


@pytest.mark.parametrize("size_wh", [(64, 48), (66, 50), (2, 2), (64, 47), (63, 47)], ids=str)
@pytest.mark.parametrize("fourcc", MAKERS)
def test_planes_are_within_rounding_of_the_reference(fourcc: str, size_wh: tuple[int, int]) -> None:
    if size_wh[0] % 2 and fourcc in ("YUYV", "UYVY"):
        pytest.skip("two pixels share chroma: there is no odd width")
    data, planes = MAKERS[fourcc](*size_wh)
    picture = RawReader(PicturePool()).read(RawFrame(data, fourcc, size_wh))
    assert picture is not None
    assert picture.size_wh == size_wh
    assert picture.color == WEBCAM_COLOR
    tolerance = 1.5 if fourcc == "BGR3" else 0.5  # OpenCV computes BGR in fixed point
    for got, expected in zip(picture.planes, planes, strict=True):
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= tolerance


@pytest.mark.parametrize("fourcc", MAKERS)
def test_too_few_bytes_are_no_picture_and_more_are_ignored(fourcc: str) -> None:
    data, _ = MAKERS[fourcc](64, 48)
    flat = data.reshape(-1)
    reader = RawReader(PicturePool())
    assert reader.read(RawFrame(flat[:-1], fourcc, (64, 48))) is None
    padded = reader.read(RawFrame(np.append(flat, noise(100)), fourcc, (64, 48)))
    exact = reader.read(RawFrame(flat, fourcc, (64, 48)))
    assert padded is not None
    assert exact is not None
    assert np.array_equal(padded.buffer, exact.buffer)


@pytest.mark.parametrize("fourcc", MAKERS)
def test_pictures_come_from_the_pool_and_sizes_may_change(fourcc: str) -> None:
    pool = PicturePool()
    reader = RawReader(pool)
    for size_wh in ((64, 48), (64, 48), (32, 32), (32, 32)):
        picture = reader.read(RawFrame(MAKERS[fourcc](*size_wh)[0], fourcc, size_wh))
        assert picture is not None
        assert picture.size_wh == size_wh
        pool.release(picture)
    assert pool.allocated == 2


def jpeg(pixel_format: str = "yuvj422p", size_wh: tuple[int, int] = (64, 48)) -> tuple[bytes, av.VideoFrame]:
    """A smooth picture with colour, and what it looks like decoded."""
    width, height = size_wh
    ramp = (np.arange(height)[:, None] * 2 + np.arange(width)[None, :] * 2).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(np.stack([ramp, 255 - ramp, ramp // 2], axis=2), "bgr24")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, pixel_format, Fraction(1, 30)
    encoder.qmin = encoder.qmax = 2
    frame = frame.reformat(format=pixel_format)
    frame.pts, frame.time_base = 0, encoder.time_base
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    decoder = av.CodecContext.create("mjpeg", "r")
    return data, decoder.decode(av.Packet(data))[0]


def plane_of(frame: av.VideoFrame, number: int) -> np.ndarray:
    plane = frame.planes[number]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


@pytest.mark.parametrize("size_wh", [(64, 48), (62, 45)], ids=str)
@pytest.mark.parametrize("pixel_format", ["yuvj420p", "yuvj422p", "yuvj444p"])
def test_jpeg_planes_are_within_rounding_of_the_reference(pixel_format: str, size_wh: tuple[int, int]) -> None:
    data, decoded = jpeg(pixel_format, size_wh)
    picture = MjpegDecoder().decode(np.frombuffer(data, np.uint8), PicturePool())
    assert picture is not None
    assert picture.color == JPEG_COLOR
    assert np.array_equal(picture.y, plane_of(decoded, 0))
    reduce = {"yuvj420p": lambda plane: plane, "yuvj422p": mean_of_rows, "yuvj444p": means_of_blocks}[pixel_format]
    for number in (1, 2):
        expected = reduce(plane_of(decoded, number))
        got = picture.planes[number]
        assert got.shape == expected.shape
        assert np.abs(got - expected).max() <= 0.5


def test_grey_jpeg_has_neutral_chroma() -> None:
    ramp = np.arange(48, dtype=np.uint8)[:, None] * np.ones(64, np.uint8)
    picture = MjpegDecoder().decode(cv2.imencode(".jpg", ramp)[1].reshape(-1), PicturePool())
    assert picture is not None
    assert np.abs(picture.y.astype(int) - ramp).max() <= 3
    assert set(np.unique(picture.buffer[picture.y.size :])) == {128}


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "zeros": lambda data: b"\0" * 500,
    "noise": lambda data: noise(500).tobytes(),
    "the first half": lambda data: data[: len(data) // 2],
    "the first half, ended properly": lambda data: data[: len(data) // 2] + b"\xff\xd9",
    "the second half": lambda data: data[len(data) // 2 :],
    "a hole": lambda data: data[: -len(data) // 4] + data[-len(data) // 8 :],
    "two torn together": lambda data: data[: -len(data) // 6] + data[: len(data) // 6],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_jpeg_is_no_picture_and_the_next_one_is(damage: Callable[[bytes], bytes]) -> None:
    data, decoded = jpeg()
    decoder, pool = MjpegDecoder(), PicturePool()
    assert decoder.decode(np.frombuffer(damage(data), np.uint8), pool) is None
    whole = decoder.decode(np.frombuffer(data, np.uint8), pool)
    assert isinstance(whole, I420)
    assert np.array_equal(whole.y, plane_of(decoded, 0))


def test_padding_behind_a_jpeg_does_no_harm() -> None:
    data, decoded = jpeg()
    picture = RawReader(PicturePool()).read(
        RawFrame(np.frombuffer(data + b"\0" * 1000, np.uint8)[None], "MJPG", (64, 48))
    )
    assert picture is not None
    assert np.array_equal(picture.y, plane_of(decoded, 0))


def test_halving_both_sides_is_the_mean_of_the_block() -> None:
    for shape in ((48, 64), (47, 63), (1, 1)):
        plane = noise(*shape)
        target = np.empty((-(-shape[0] // 2), -(-shape[1] // 2)), np.uint8)
        halve_both(plane, target)
        assert np.abs(target - means_of_blocks(plane)).max() <= 0.5
