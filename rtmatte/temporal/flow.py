"""A mask carried from the frame that it was estimated for to a later one, by optical flow."""

from __future__ import annotations

import cv2
import numpy as np

from rtmatte.frame import F32, I420, U8, Picture, picture_size_wh

_LONG_SIDE = 160
"""Of the plane that the flow is computed on."""


class MaskPropagator:
    """Remembers one estimated alpha and warps it to any picture shortly after, straight from where it was estimated.

    The flow runs from the current picture to the remembered one, so that errors don't add up from frame to frame; it
    is computed on small luma planes. Buffers are allocated when sizes change. Owned by one thread; OpenCV releases the
    GIL.

    Reference: T. Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016.
    """

    def __init__(self) -> None:
        self._flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._remembered: U8 = np.empty((0, 0), np.uint8)
        self._current: U8 = np.empty((0, 0), np.uint8)
        self._alpha: F32 = np.empty((0, 0), np.float32)
        self._carried: F32 = np.empty((0, 0), np.float32)
        self._columns_rows: F32 = np.empty((0, 0, 2), np.float32)
        self.empty = True

    def remember(self, picture: Picture, alpha: F32) -> None:
        """Keeps copies of alpha, (h, w) float32 at any resolution, and of the small luma plane of its picture."""
        self._allocate(picture, alpha)
        _shrink(picture, self._remembered)
        np.copyto(self._alpha, alpha)
        self.empty = False

    def propagate(self, picture: Picture) -> F32:
        """The remembered alpha as it lies in this picture, of the same size; overwritten by the next call.

        Raises: `ValueError` if nothing is remembered.
        """
        if self.empty:
            raise ValueError("expected a remembered mask, got none")
        _shrink(picture, self._current)
        flow: F32 = self._flow_of.calc(self._current, self._remembered, None)  # type: ignore[call-overload]
        height, width = self._alpha.shape
        scale = width / flow.shape[1], height / flow.shape[0]
        places = np.asarray(cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        np.multiply(places, np.array(scale, np.float32), out=places)
        np.add(places, self._columns_rows, out=places)
        # The second map may be None where the first holds both coordinates; OpenCV's type stubs don't know.
        border = cv2.BORDER_REPLICATE
        cv2.remap(self._alpha, places, None, cv2.INTER_LINEAR, dst=self._carried, borderMode=border)  # type: ignore[call-overload]
        return self._carried

    def reset(self) -> None:
        """Forgets the mask."""
        self.empty = True

    def _allocate(self, picture: Picture, alpha: F32) -> None:
        width, height = picture_size_wh(picture)
        scale = _LONG_SIDE / max(width, height)
        small_hw = max(8, round(height * scale)), max(8, round(width * scale))
        if self._remembered.shape != small_hw:
            self._remembered, self._current = np.empty(small_hw, np.uint8), np.empty(small_hw, np.uint8)
        if self._alpha.shape != alpha.shape:
            self._alpha, self._carried = np.empty_like(alpha), np.empty_like(alpha)
            columns, rows = np.meshgrid(np.arange(alpha.shape[1]), np.arange(alpha.shape[0]))
            self._columns_rows = np.stack([columns, rows], axis=-1).astype(np.float32)


def _shrink(picture: Picture, small: U8) -> None:
    luma = picture.y if isinstance(picture, I420) else np.ascontiguousarray(picture[:, :, 1])
    cv2.resize(luma, small.shape[::-1], dst=small, interpolation=cv2.INTER_AREA)
