"""A net that looks at each picture twice, once in a mirror, and takes the mean: its errors on both sides differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from rtmatte.frame import F32, I420, Frame, Picture
from rtmatte.matting.batched import TakesBatches
from rtmatte.matting.matter import Matter


class Mirrored:
    """A `Matter` that is the mean of another one's alphas of the picture and of its mirror image. Twice the work.

    For nets without a memory. Owned by one thread; allocates when a frame size is first seen.

    Reference: test-time augmentation (Krizhevsky et al., NIPS 2012, section 4.1).
    """

    def __init__(self, matter: Matter) -> None:
        self.name = matter.name
        self.provider = matter.provider
        self.asks = matter
        self._picture: Picture = np.empty((0, 0, 3), np.uint8)
        self._alpha: F32 = np.empty((0, 0), np.float32)

    def estimate(self, frame: Frame) -> F32:
        """As `Matter.estimate`. Raises: as the other one does."""
        alpha = self.asks.estimate(frame)
        if self._alpha.shape != alpha.shape:
            self._alpha = np.empty_like(alpha)
        np.copyto(self._alpha, alpha)
        mirrored = self.asks.estimate(replace(frame, picture=self._mirror(frame.picture)))
        self._alpha += mirrored[:, ::-1]
        self._alpha *= np.float32(0.5)
        return self._alpha

    @property
    def batch_note(self) -> str:
        """As of the other one."""
        assert isinstance(self.asks, TakesBatches)
        return self.asks.batch_note

    def estimate_batch(self, frames: Iterable[Frame], most: int) -> list[F32]:
        """As `TakesBatches.estimate_batch`, over one that is that: a run for the frames, another for their mirrors."""
        assert isinstance(self.asks, TakesBatches)
        given = list(frames)
        alphas = self.asks.estimate_batch(given, most)
        mirrors = (replace(frame, picture=self._mirror(frame.picture)) for frame in given)
        for alpha, mirrored in zip(alphas, self.asks.estimate_batch(mirrors, most), strict=True):
            alpha += mirrored[:, ::-1]
            alpha *= np.float32(0.5)
        return alphas

    def _mirror(self, picture: Picture) -> Picture:
        if isinstance(picture, I420):
            kept = self._picture
            if not isinstance(kept, I420) or kept.size_wh != picture.size_wh or kept.color != picture.color:
                self._picture = kept = I420.allocate(picture.size_wh, picture.color)
            for plane, target in zip(picture.planes, kept.planes, strict=True):
                cv2.flip(plane, 1, dst=target)
            return kept
        if isinstance(self._picture, I420) or self._picture.shape != picture.shape:
            self._picture = np.empty_like(picture)
        cv2.flip(picture, 1, dst=self._picture)
        return self._picture

    def reset(self) -> None:
        """As `Matter.reset`."""
        self.asks.reset()
