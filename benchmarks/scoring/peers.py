"""How others would do it: peers as matters, so that they can be scored in the same way."""

from __future__ import annotations

import struct
import weakref
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import cv2
import numpy as np
from peer_loops.homes import start_server

from rtmatte.color import i420_into_bgr
from rtmatte.frame import F32, I420, U8, Frame, VideoFormat, picture_size_wh
from rtmatte.matting.matter import Matter
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession
from rtmatte.matting.weights import read_verified


class CallableMatter:
    """A `Matter` made of any function from (H, W, 3) uint8 RGB to (h, w) float32 alpha, whatever runs in it."""

    def __init__(self, name: str, provider: str, alpha_of_rgb: Callable[[U8], F32]) -> None:
        self.name = name
        self.provider = provider
        self._alpha_of_rgb = alpha_of_rgb

    def estimate(self, frame: Frame) -> F32:
        """The function's answer, clipped to [0, 1]."""
        rgb = cv2.cvtColor(picture_bgr(frame), cv2.COLOR_BGR2RGB)
        return np.clip(self._alpha_of_rgb(np.asarray(rgb, np.uint8)), 0, 1)

    def reset(self) -> None:
        """Nothing to forget."""


def picture_bgr(frame: Frame) -> U8:
    """The frame's picture as (H, W, 3) uint8 BGR; a new array for I420."""
    picture = frame.picture
    if not isinstance(picture, I420):
        return picture
    width, height = picture_size_wh(picture)
    bgr = np.empty((height, width, 3), np.uint8)
    i420_into_bgr(picture, bgr, height)
    return bgr


def squashed_u2netp(_video: VideoFormat) -> Matter:
    """U²-Net-p as the usual scripts feed it: the picture squashed to 320x320, whatever its shape.

    Interpolated by cubics without averaging, since that is what reproduces its published figures.
    """
    session = OnnxSession(read_verified(find_model("u2netp")), device="cpu")
    binding: Any = session.bind((1, 320, 320, 3), (1, 320, 320))

    def alpha_of_rgb(rgb: U8) -> F32:
        binding.input[0] = cv2.resize(rgb, (320, 320), interpolation=cv2.INTER_CUBIC)
        session.run(binding)
        return np.asarray(binding.output[0], np.float32)

    return CallableMatter("u2netp squashed to 320x320", session.provider, alpha_of_rgb)


def real_peer(peer: str) -> Callable[[VideoFormat], Matter]:
    """The peer's own package in its own Python, as in the speed benchmark (`peer_loops/nets.py`); one for each clip.

    Raises: FileNotFoundError if it isn't installed.
    """

    def start(_video: VideoFormat) -> Matter:
        return _Served(peer)

    return start


class _Served:
    """A `Matter` in another process, which gets pictures and answers alphas; it ends with this object."""

    def __init__(self, peer: str) -> None:
        self.name, self.provider = peer, "its own package"
        self._process = start_server(peer)
        weakref.finalize(self, _end, self._process)

    def estimate(self, frame: Frame) -> F32:
        """Alpha of the frame, (H, W) float32."""
        bgr = picture_bgr(frame)
        height, width = bgr.shape[:2]
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        asked.write(struct.pack("<II", height, width) + bgr.tobytes())
        asked.flush()
        data = answered.read(height * width * 4)
        if len(data) != height * width * 4:
            raise EOFError(f"expected an alpha of {width}x{height} from {self.name}, got {len(data)} bytes of it")
        return np.clip(np.frombuffer(data, np.float32).reshape(height, width), 0, 1)

    def reset(self) -> None:
        """Nothing: the peers' loops know no scene cuts."""


def _end(process: Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    process.wait()
