"""Who brings alpha to frame size: the protocol, and what every one of them checks first."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.refine import kernels

_TOLERANCE = 1e-3
"""How far outside [0, 1] alpha may lie: rounding of a filter, not a broken model."""


@runtime_checkable
class Refiner(Protocol):
    """Turns alpha at the model's resolution into bytes at the frame's. Owned by one thread."""

    def refine(self, frame: Frame, alpha: F32, out_u8: U8 | None = None, small: U8 | None = None) -> U8:
        """Alpha of the frame, (H, W) uint8 at frame size, 255 = foreground.

        `alpha` is (h, w) float32 in [0, 1] at any resolution and covers the whole frame; the frame's picture is only
        read; `small` are its `SmallPlanes`, where somebody has them already. The result is `out_u8` if given, else a
        buffer that belongs to the refiner until the next call.

        Raises: `ModelOutputError` for an alpha that isn't two-dimensional float32, or holds NaN or values outside
        [0, 1].
        """
        ...

    def reset(self) -> None:
        """Forgets the past; a no-op for those that look at one frame."""
        ...


def shape_hw(picture: Picture) -> tuple[int, int]:
    """Height and width of either kind of picture."""
    height, width = (picture.y if isinstance(picture, I420) else picture).shape[:2]
    return height, width


class Quantizer:
    """Checks alpha and rounds it to bytes while it is small; its buffer is allocated anew only when the shape changes.

    Bytes are a quarter of the memory for whatever walks over it next. Alpha of `opaque_from` and more becomes 255, less
    in proportion.
    """

    def __init__(self, opaque_from: float = 1.0) -> None:
        self._opaque_from = opaque_from
        self._small_u8: U8 = np.empty((0, 0), np.uint8)

    def quantize(self, alpha: F32, out_u8: U8 | None = None) -> U8:
        """(h, w) uint8, 255 = opaque, into `out_u8` of that shape or a buffer of its own.

        Raises: `ModelOutputError` as `Refiner.refine`.
        """
        if alpha.ndim != 2 or not alpha.size or alpha.dtype != np.float32:
            raise ModelOutputError(f"Expected alpha as (h, w) float32, got {alpha.dtype} {alpha.shape}.")
        if out_u8 is None:
            if self._small_u8.shape != alpha.shape:
                self._small_u8 = np.empty(alpha.shape, np.uint8)
            out_u8 = self._small_u8
        bad = kernels.quantize_alpha(alpha, out_u8, _TOLERANCE, self._opaque_from)
        if bad:
            raise ModelOutputError(
                f"Expected alpha in [0, 1], got {bad} of {alpha.size} values that are NaN or outside.",
                hint="The model or its runtime is broken here; 'rtmatte doctor' checks both.",
            )
        return out_u8
