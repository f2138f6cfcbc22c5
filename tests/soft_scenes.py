"""Pictures whose alpha is known, for tests of matting."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import I420
from tests.frames import noise_picture

COLORS = np.array([[40, 60, 200], [190, 150, 60]], np.float64)
"""BGR of the foreground and of the background."""


def soft_scene(size_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A BGR picture mixed of two colours, and its alpha: a disk with thin soft spikes."""
    y, x = np.mgrid[: size_wh[1], : size_wh[0]].astype(np.float64)
    dy, dx = y - size_wh[1] / 2, x - size_wh[0] / 2
    radius = np.hypot(dy, dx) / min(size_wh)
    alpha = np.clip((0.3 + 0.03 * np.sin(18 * np.arctan2(dy, dx)) - radius) * 60 + 0.5, 0, 1)
    return mixed(alpha), alpha


def mixed(alpha: np.ndarray) -> np.ndarray:
    """The two colours, mixed by (H, W) alpha: (H, W, 3) uint8."""
    picture = alpha[..., None] * COLORS[0] + (1 - alpha[..., None]) * COLORS[1]
    return np.asarray(np.rint(picture).astype(np.uint8))


def blurred(alpha: np.ndarray) -> np.ndarray:
    """What a coarse first estimate would be, float32."""
    return np.asarray(cv2.GaussianBlur(alpha.astype(np.float32), (0, 0), 4))


def i420_of(picture_bgr: np.ndarray) -> I420:
    """The same picture on planes; its sides are even."""
    planes = noise_picture("i420", picture_bgr.shape[1::-1])
    assert isinstance(planes, I420)
    planes.buffer[:] = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2YUV_I420).ravel()
    return planes
