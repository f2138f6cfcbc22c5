"""What a USB webcam says about itself: the descriptors of a camera with YUYV and MJPEG over one bulk endpoint.

Reference: USB 2.0 specification, chapter 9; USB Device Class Definition for Video Devices 1.0, chapters 3 and 4.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

YUYV_FORMAT, MJPEG_FORMAT = 1, 2
"""Indices of the two formats in the descriptors and in the stream's settings."""

VIDEO_CONTROL_INTERFACE, VIDEO_STREAMING_INTERFACE = 0, 1
VIDEO_ENDPOINT = 0x81
INTERVAL_UNITS_PER_SECOND = 10_000_000
MAX_PAYLOAD_BYTES = 16384

_YUY2_GUID = bytes.fromhex("5955593200001000800000aa00389b71")
_DEVICE, _CONFIGURATION, _STRING, _INTERFACE, _ENDPOINT, _ASSOCIATION, _CLASS_SPECIFIC = 1, 2, 3, 4, 5, 0x0B, 0x24
_VIDEO_CLASS, _CONTROL_SUBCLASS, _STREAMING_SUBCLASS, _COLLECTION_SUBCLASS = 0x0E, 1, 2, 3
_CAMERA_TERMINAL, _STREAMING_TERMINAL = 1, 2
_MANUFACTURER_NAME, _PRODUCT_NAME, _SERIAL_NUMBER = 1, 2, 3


@dataclass(frozen=True, slots=True)
class WebcamModel:
    """What can be bought: name, serial number, sizes (width, height) and frame rates; the first is the default."""

    product: str = "rtmatte test webcam"
    serial: str = "0001"
    sizes_wh: tuple[tuple[int, int], ...] = ((320, 240), (160, 120))
    frame_rates: tuple[int, ...] = (15, 10, 5)

    def interval(self, frame_rate: int) -> int:
        return INTERVAL_UNITS_PER_SECOND // frame_rate


def device_descriptor() -> bytes:
    """A device of several interfaces that belong together, with made-up vendor and product numbers."""
    miscellaneous_class, common_subclass, association_protocol = 0xEF, 2, 1
    control_packet_bytes, vendor, product, release, configurations = 64, 0x1D6B, 0x0102, 0x0100, 1
    return _packed(
        "BHBBBBHHHBBBB", _DEVICE, 0x0200, miscellaneous_class, common_subclass, association_protocol,
        control_packet_bytes, vendor, product, release, _MANUFACTURER_NAME, _PRODUCT_NAME, _SERIAL_NUMBER,
        configurations,
    )  # fmt: skip


def string_descriptor(model: WebcamModel, index: int) -> bytes | None:
    """Text number `index` in UTF-16, or for 0 the list of languages (US English); None if there is no such text."""
    if index == 0:
        return _packed("BH", _STRING, 0x0409)
    texts = {_MANUFACTURER_NAME: "rtmatte", _PRODUCT_NAME: model.product, _SERIAL_NUMBER: model.serial}
    return _packed("B", _STRING, tail=texts[index].encode("utf-16le")) if index in texts else None


def configuration_descriptor(model: WebcamModel) -> bytes:
    """Everything: the two interfaces, how they hang together, formats, sizes, rates, and the endpoint."""
    video = _packed("BBBBBBB", _ASSOCIATION, VIDEO_CONTROL_INTERFACE, 2, _VIDEO_CLASS, _COLLECTION_SUBCLASS, 0, 0)
    video += _interface(VIDEO_CONTROL_INTERFACE, endpoints=0, subclass=_CONTROL_SUBCLASS)
    video += _control_header()
    video += _interface(VIDEO_STREAMING_INTERFACE, endpoints=1, subclass=_STREAMING_SUBCLASS)
    video += _streaming_header(_formats(model))
    bulk, packet_bytes = 2, 512
    video += _packed("BBBHB", _ENDPOINT, VIDEO_ENDPOINT, bulk, packet_bytes, 0)
    interfaces, number, bus_powered, milliamperes_halved = 2, 1, 0x80, 250
    head_bytes = 9
    total = head_bytes + len(video)
    return _packed("BHBBBBB", _CONFIGURATION, total, interfaces, number, 0, bus_powered, milliamperes_halved) + video


def _interface(number: int, *, endpoints: int, subclass: int) -> bytes:
    return _packed("BBBBBBBB", _INTERFACE, number, 0, endpoints, _VIDEO_CLASS, subclass, 0, 0)


def _control_header() -> bytes:
    """A camera without controls, joined to the stream."""
    header, input_terminal, output_terminal = 1, 2, 3
    camera_kind, streaming_kind = 0x0201, 0x0101
    camera = _packed(
        "BBBHBBHHHB", _CLASS_SPECIFIC, input_terminal, _CAMERA_TERMINAL, camera_kind, 0, 0, 0, 0, 0, 3, tail=bytes(3)
    )
    stream = _packed(
        "BBBHBBB", _CLASS_SPECIFIC, output_terminal, _STREAMING_TERMINAL, streaming_kind, 0, _CAMERA_TERMINAL, 0
    )
    own_bytes, version, clock_hz = 13, 0x0100, 48_000_000
    total = own_bytes + len(camera) + len(stream)
    head = _packed("BBHHIBB", _CLASS_SPECIFIC, header, version, total, clock_hz, 1, VIDEO_STREAMING_INTERFACE)
    return head + camera + stream


def _streaming_header(formats: bytes) -> bytes:
    input_header, own_bytes, format_count = 1, 15, 2
    total = own_bytes + len(formats)
    head = _packed(
        "BBBHBBBBBBB", _CLASS_SPECIFIC, input_header, format_count, total, VIDEO_ENDPOINT, 0, _STREAMING_TERMINAL,
        0, 0, 0, 1, tail=bytes(format_count),
    )  # fmt: skip
    return head + formats


def _formats(model: WebcamModel) -> bytes:
    uncompressed, uncompressed_frame, mjpeg, mjpeg_frame, color = 4, 5, 6, 7, 0x0D
    sizes, bits_per_pixel, default_size, fixed_sample_size = len(model.sizes_wh), 16, 1, 1
    yuyv = _packed(
        "BBBB16sBBBBBB", _CLASS_SPECIFIC, uncompressed, YUYV_FORMAT, sizes, _YUY2_GUID, bits_per_pixel, default_size,
        0, 0, 0, 0,
    )  # fmt: skip
    jpeg = _packed(
        "BBBBBBBBBB", _CLASS_SPECIFIC, mjpeg, MJPEG_FORMAT, sizes, fixed_sample_size, default_size, 0, 0, 0, 0
    )
    bt709_primaries, bt709_transfer, bt601_matrix = 1, 1, 4
    color_matching = _packed("BBBBB", _CLASS_SPECIFIC, color, bt709_primaries, bt709_transfer, bt601_matrix)
    return yuyv + _frames(model, uncompressed_frame) + jpeg + _frames(model, mjpeg_frame) + color_matching


def _frames(model: WebcamModel, subtype: int) -> bytes:
    """One descriptor for each size, each with all frame rates."""
    intervals = [model.interval(rate) for rate in model.frame_rates]
    described = b""
    for index, (width, height) in enumerate(model.sizes_wh, start=1):
        frame_bits = width * height * 16
        described += _packed(
            "BBBBHHIIIIB", _CLASS_SPECIFIC, subtype, index, 0, width, height, frame_bits * min(model.frame_rates),
            frame_bits * max(model.frame_rates), frame_bits // 8, intervals[0], len(intervals),
            tail=struct.pack(f"<{len(intervals)}I", *intervals),
        )  # fmt: skip
    return described


def _packed(layout: str, *values: int | bytes, tail: bytes = b"") -> bytes:
    """The values in little-endian order and the tail, behind a byte that says how long the whole is."""
    return _with_length(struct.pack(f"<{layout}", *values) + tail)


def _with_length(body: bytes) -> bytes:
    return bytes([1 + len(body)]) + body
