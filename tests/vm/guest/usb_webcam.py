"""A USB webcam in user space, to be plugged and unplugged by a program.

Speaks the USB/IP protocol to the kernel's virtual host controller (vhci-hcd) over a pair of sockets; the kernel's own
uvcvideo driver then makes a /dev/videoN of it, as for a camera on a cable.

Reference: Documentation/usb/usbip_protocol.rst of the Linux kernel.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

from tests.vm.guest import usb_descriptors as descriptors
from tests.vm.guest.usb_descriptors import WebcamModel

PixelFormat: TypeAlias = Literal["YUYV", "MJPG"]
Draw: TypeAlias = Callable[[int, tuple[int, int], PixelFormat], bytes]
"""From a frame's number, its size and its format to the bytes that a camera would send for it."""

_HOST_CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")
_SUBMIT, _UNLINK, _SUBMITTED, _UNLINKED = 1, 2, 3, 4
_STALL, _RESET = -32, -104
_DEVICE_ID, _HIGH_SPEED = 1 << 16 | 2, 3
_HEADER_BYTES = 48
_SOCKET_BUFFER_BYTES = 1 << 20
_CUT_SHORT_AFTER_S = 1.0


class UsbWebcam:
    """Sends a frame whenever one is due and the computer has asked for data. Two threads while it is plugged in.

    `silent` makes it stay plugged in and send nothing: a camera that hangs.
    """

    def __init__(self, model: WebcamModel, draw: Draw) -> None:
        self.model = model
        self.frames_sent = 0
        self.silent = False
        self._draw = draw
        self._stream = _StreamSettings(model)
        self._requests: deque[tuple[int, int]] = deque()
        self._newest_request = 0
        self._withdrawn_ahead: set[int] = set()
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._plugged = False
        self._threads: list[threading.Thread] = []
        self._socket: socket.socket | None = None

    def plug(self) -> None:
        """Into a free port. Needs root and the vhci-hcd module; returns before the driver has looked at the camera."""
        kernel_side, self._socket = socket.socketpair()
        for side in (kernel_side, self._socket):
            for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                side.setsockopt(socket.SOL_SOCKET, buffer, _SOCKET_BUFFER_BYTES)
        self._requests.clear()
        self._withdrawn_ahead.clear()
        self._plugged = True
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._answer, self._send_frames)]
        for thread in self._threads:
            thread.start()
        attach = f"{_free_port()} {kernel_side.fileno()} {_DEVICE_ID} {_HIGH_SPEED}"
        (_HOST_CONTROLLER / "attach").write_text(attach)
        kernel_side.close()

    def unplug(self) -> None:
        """Like pulling the cable: in the middle of whatever it is doing."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._plugged = False
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(5)
        self._socket = None

    def _answer(self) -> None:
        """Reads what the host controller sends, until the cable is pulled."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                header = self._receive(_HEADER_BYTES)
                (command,) = struct.unpack_from(">I", header)
                if command == _SUBMIT:
                    self._submit(header)
                elif command == _UNLINK:
                    self._unlink(header)
        self._plugged = False
        with self._changed:
            self._changed.notify_all()

    def _submit(self, header: bytes) -> None:
        _, number, _, to_host, endpoint = struct.unpack_from(">5I", header)
        _, length = struct.unpack_from(">Ii", header, 20)
        data = b"" if to_host or length <= 0 else self._receive(length)
        if endpoint == 0:
            answer = self._stream.control(header[40:48], data)
            if answer is None:
                self._reply(number, _STALL)
            else:
                self._reply(number, 0, answer if to_host else b"", None if to_host else len(data))
        elif to_host:
            with self._changed:
                self._newest_request = number
                if number in self._withdrawn_ahead:
                    return  # an answer to it would make the host pull the cable
                self._requests.append((number, length))
                self._changed.notify()
        else:
            self._reply(number, _STALL)

    def _unlink(self, header: bytes) -> None:
        """The host takes a request back; it may do so before it has sent the request."""
        (number,) = struct.unpack_from(">I", header, 4)
        (withdrawn,) = struct.unpack_from(">I", header, 20)
        with self._changed:
            waiting = [request for request in self._requests if request[0] == withdrawn]
            for request in waiting:
                self._requests.remove(request)
            if withdrawn > self._newest_request:
                self._withdrawn_ahead.add(withdrawn)
            self._write(struct.pack(">5Ii24x", _UNLINKED, number, 0, 0, 0, _RESET if waiting else 0))

    def _send_frames(self) -> None:
        due = time.monotonic()
        with contextlib.suppress(OSError):
            while self._wait_for_request():
                pixel_format, size_wh, seconds = self._stream.committed()
                self._send_frame(self._draw(self.frames_sent, size_wh, pixel_format))
                self.frames_sent += 1
                due = max(due + seconds, time.monotonic() - 0.5)
                time.sleep(max(0.0, due - time.monotonic()))

    def _wait_for_request(self) -> bool:
        """False once it is unplugged."""
        with self._changed:
            while self._plugged and (self.silent or not self._requests):
                self._changed.wait(0.2)
        return self._plugged

    def _send_frame(self, frame: bytes) -> None:
        """In payloads of the size asked for; dropped if the stream is stopped or set anew in its middle."""
        commit = self._stream.commits
        parity = self.frames_sent & 1
        position = 0
        while position < len(frame):
            with self._changed:
                self._changed.wait_for(lambda: bool(self._requests) or not self._plugged, _CUT_SHORT_AFTER_S)
                if not self._requests or commit != self._stream.commits:
                    return
                number, length = self._requests.popleft()
                chunk = frame[position : position + length - 2]
                position += len(chunk)
                end_of_frame = 2 if position >= len(frame) else 0
                # Still under the lock: an answer to an unlink must not overtake this one.
                self._reply(number, 0, bytes([2, 0x80 | end_of_frame | parity]) + chunk)

    def _reply(self, number: int, status: int, data: bytes = b"", length: int | None = None) -> None:
        count = len(data) if length is None else length
        self._write(struct.pack(">5I5i8x", _SUBMITTED, number, 0, 0, 0, status, count, 0, 0, 0) + data)

    def _write(self, message: bytes) -> None:
        cable = self._socket
        if cable is None:
            raise OSError("unplugged")
        with self._writing:
            cable.sendall(message)

    def _receive(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            cable = self._socket
            chunk = cable.recv(length - len(received)) if cable else b""
            if not chunk:
                raise EOFError
            received += chunk
        return received


class _StreamSettings:
    """The control endpoint: hands out the descriptors and negotiates format, size and rate.

    Reference: USB Device Class Definition for Video Devices 1.0, section 4.3.1.1 (probe and commit).
    """

    _PROBE, _COMMIT = 1, 2
    _READABLE_AND_WRITABLE = b"\3"
    _SET_CURRENT, _GET_CURRENT, _GET_MINIMUM, _GET_MAXIMUM, _GET_LENGTH, _GET_INFO, _GET_DEFAULT = (
        0x01, 0x81, 0x82, 0x83, 0x85, 0x86, 0x87,
    )  # fmt: skip

    def __init__(self, model: WebcamModel) -> None:
        self._model = model
        self._probed = self._granted(descriptors.YUYV_FORMAT, 1, 0)
        self._committed = self._probed
        self.commits = 0

    def committed(self) -> tuple[PixelFormat, tuple[int, int], float]:
        """Format, size and seconds a frame of the stream as it was last set."""
        _, pixel_format, size_index, interval = struct.unpack_from("<HBBI", self._committed)
        return (
            "YUYV" if pixel_format == descriptors.YUYV_FORMAT else "MJPG",
            self._model.sizes_wh[size_index - 1],
            interval / descriptors.INTERVAL_UNITS_PER_SECOND,
        )

    def control(self, setup: bytes, data: bytes) -> bytes | None:
        """The answer to one control request, empty if there is nothing to say; None to refuse it."""
        kind, request, value, index, length = struct.unpack("<BBHHH", setup)
        standard, to_host = kind & 0x60 == 0, bool(kind & 0x80)
        if standard:
            return self._standard(request, value, length) if to_host else b""
        interface, selector = index & 0xFF, value >> 8
        if interface != descriptors.VIDEO_STREAMING_INTERFACE or selector not in (self._PROBE, self._COMMIT):
            return None
        if request == self._SET_CURRENT:
            self._set(selector, data)
            return b""
        answer = self._get(selector, request)
        return None if answer is None else answer[:length]

    def _standard(self, request: int, value: int, length: int) -> bytes | None:
        get_status, get_descriptor, get_configuration = 0, 6, 8
        device, configuration, string = 1, 2, 3
        if request == get_status:
            return bytes(2)[:length]
        if request == get_configuration:
            return b"\1"
        if request != get_descriptor:
            return None
        kind, index = value >> 8, value & 0xFF
        found = None
        if kind == device:
            found = descriptors.device_descriptor()
        elif kind == configuration:
            found = descriptors.configuration_descriptor(self._model)
        elif kind == string:
            found = descriptors.string_descriptor(self._model, index)
        return None if found is None else found[:length]

    def _set(self, selector: int, wanted: bytes) -> None:
        _, pixel_format, size_index, interval = struct.unpack_from("<HBBI", wanted)
        self._probed = self._granted(pixel_format, size_index, interval)
        if selector == self._COMMIT:
            self._committed = self._probed
            self.commits += 1

    def _get(self, selector: int, request: int) -> bytes | None:
        if request == self._GET_LENGTH:
            return struct.pack("<H", len(self._probed))
        if request == self._GET_INFO:
            return self._READABLE_AND_WRITABLE
        if request == self._GET_CURRENT and selector == self._COMMIT:
            return self._committed
        if request in (self._GET_CURRENT, self._GET_MINIMUM, self._GET_MAXIMUM, self._GET_DEFAULT):
            return self._probed
        return None

    def _granted(self, pixel_format: int, size_index: int, interval: int) -> bytes:
        """The nearest to what was asked for that this camera can do; interval 0: the default."""
        pixel_format = min(max(pixel_format, descriptors.YUYV_FORMAT), descriptors.MJPEG_FORMAT)
        size_index = min(max(size_index, 1), len(self._model.sizes_wh))
        offered = [self._model.interval(rate) for rate in self._model.frame_rates]
        nearest = min(offered, key=lambda candidate: abs(candidate - (interval or offered[0])))
        width, height = self._model.sizes_wh[size_index - 1]
        return struct.pack(
            "<HBBIHHHHHII", 1, pixel_format, size_index, nearest, 0, 0, 0, 0, 0, width * height * 2,
            descriptors.MAX_PAYLOAD_BYTES,
        )  # fmt: skip


def _free_port() -> int:
    """The number of a high-speed port that nothing is plugged into."""
    not_assigned = "004"
    for line in (_HOST_CONTROLLER / "status").read_text().splitlines()[1:]:
        hub, port, status = line.split()[:3]
        if hub == "hs" and status == not_assigned:
            return int(port)
    raise OSError("every port of the virtual host controller is taken")
