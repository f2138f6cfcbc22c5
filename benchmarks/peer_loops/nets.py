"""What each peer does with a frame, as its documentation shows it: picture in, alpha or composite out.

Runs in the peer's own Python, so nothing of rtmatte is imported here. Pictures are (H, W, 3) uint8 BGR, alpha is
(H, W) float32 in [0, 1].
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]
GREEN_RGB = (0, 177, 64)
"""The new background of every peer, `#00b140`."""


class Net(Protocol):
    """One peer; owned by one thread, and in the order of the frames, since some have a memory."""

    packages: tuple[str, ...]

    def alpha(self, bgr: U8) -> F32: ...

    def composite(self, bgr: U8) -> U8: ...


class Rembg:
    """rembg's `remove` with its small net and its own background colour, one picture of Pillow's after the other."""

    packages: tuple[str, ...] = ("rembg", "onnxruntime", "pillow", "numpy", "opencv-python")

    def __init__(self) -> None:
        import rembg
        from PIL import Image

        self._rembg, self._image = rembg, Image
        self._session = rembg.new_session("u2netp")

    def alpha(self, bgr: U8) -> F32:
        mask = self._rembg.remove(self._picture(bgr), session=self._session, only_mask=True)
        return np.asarray(mask, np.float32) / np.float32(255)

    def composite(self, bgr: U8) -> U8:
        picture = self._rembg.remove(self._picture(bgr), session=self._session, bgcolor=(*GREEN_RGB, 255))
        return _to_bgr(np.asarray(picture.convert("RGB")))

    def _picture(self, bgr: U8) -> Any:
        return self._image.fromarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


class Rvm:
    """Robust Video Matting in onnxruntime: the loop of its README, its ratio for HD, its automatic one for the rest."""

    packages: tuple[str, ...] = ("onnxruntime", "numpy", "opencv-python")

    def __init__(self) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(os.environ["RVM_ONNX"], providers=["CPUExecutionProvider"])
        self._state = [np.zeros((1, 1, 1, 1), np.float32)] * 4
        self._background = np.array(GREEN_RGB, np.float32).reshape(1, 3, 1, 1) / 255

    def alpha(self, bgr: U8) -> F32:
        return np.asarray(self._run(bgr)[1][0, 0], np.float32)

    def composite(self, bgr: U8) -> U8:
        foreground, alpha = self._run(bgr)
        composite = foreground * alpha + self._background * (1 - alpha)
        return _to_bgr((composite[0].transpose(1, 2, 0) * 255).astype(np.uint8))

    def _run(self, bgr: U8) -> tuple[F32, F32]:
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        source = rgb.astype(np.float32).transpose(2, 0, 1)[None] / 255
        longest = max(bgr.shape[:2])
        ratio = 0.375 if longest == 1280 else min(1.0, 512 / longest)
        states = dict(zip(("r1i", "r2i", "r3i", "r4i"), self._state, strict=True))
        inputs = {"src": source, **states, "downsample_ratio": np.array([ratio], np.float32)}
        foreground, alpha, *self._state = self._session.run([], inputs)
        return foreground, alpha


class MediaPipe:
    """MediaPipe's selfie segmentation, landscape, with the hard cut at 0.1 of its example."""

    packages: tuple[str, ...] = ("mediapipe", "numpy", "opencv-contrib-python")

    def __init__(self) -> None:
        import mediapipe

        self._net = mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=1)
        self._background: U8 = np.zeros((0, 0, 3), np.uint8)

    def mask(self, bgr: U8) -> F32:
        mask: F32 = self._net.process(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).segmentation_mask
        return mask

    def alpha(self, bgr: U8) -> F32:
        return (self.mask(bgr) > 0.1).astype(np.float32)

    def composite(self, bgr: U8) -> U8:
        is_person = np.stack((self.mask(bgr),) * 3, axis=-1) > 0.1
        return np.where(is_person, bgr, self.background(bgr.shape))

    def background(self, shape: tuple[int, ...]) -> U8:
        if self._background.shape != shape:
            self._background = np.full(shape, GREEN_RGB[::-1], np.uint8)
        return self._background


class SoftMediaPipe(MediaPipe):
    """The same, blended by its mask in floating point, which most users go on to do."""

    def alpha(self, bgr: U8) -> F32:
        return self.mask(bgr)

    def composite(self, bgr: U8) -> U8:
        alpha = self.mask(bgr)[:, :, None]
        return (bgr * alpha + self.background(bgr.shape) * (1 - alpha)).astype(np.uint8)


NETS: Mapping[str, type[Net]] = {"rembg": Rembg, "rvm": Rvm, "mediapipe": MediaPipe, "mediapipe-soft": SoftMediaPipe}


def versions(net: Net) -> dict[str, str]:
    """Of the packages that the peer runs on."""
    return {package: metadata.version(package) for package in net.packages}


def _to_bgr(rgb: NDArray[np.uint8]) -> U8:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)
