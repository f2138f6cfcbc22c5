"""Foreground over background: the background asked for, and the two mixed in place."""

from __future__ import annotations

import numpy as np

from rtmatte.color import black_level
from rtmatte.composite import kernels
from rtmatte.composite.background import Background
from rtmatte.composite.light_wrap import LightWrap
from rtmatte.frame import I420, U8, Frame, Picture


class Compositor:
    """Turns frames into composites, C = αF + (1 − α)B; `background` None leaves them transparent.
    `light_wrap`, 0 to 1, lets the background's light reach around the foreground; see `LightWrap`.

    Its buffer is allocated for the first frame and again only when sizes change. Owned by one thread; the kernels
    release the GIL.
    """

    def __init__(self, background: Background | None, *, light_wrap: float = 0.0) -> None:
        self.background = background
        self._wrap = LightWrap(strength=light_wrap) if light_wrap else None
        self._half_u8: U8 = np.empty((0, 0), np.uint8)

    def composite(self, frame: Frame, alpha_u8: U8) -> None:
        """Overwrites the frame's picture with the composite.

        `alpha_u8` is (H, W) uint8 at frame size, 255 = foreground. Without a background, colour is black wherever alpha
        is 0, so that nothing of the room travels along under it.

        Raises: `ValueError` for an alpha of another shape or type; whatever the background raises. The picture is
        untouched then.
        """
        picture = frame.picture
        frame_hw = (picture.y if isinstance(picture, I420) else picture).shape[:2]
        if alpha_u8.shape != frame_hw or alpha_u8.dtype != np.uint8:
            raise ValueError(f"expected alpha as uint8 {frame_hw}, got {alpha_u8.dtype} {alpha_u8.shape}")
        if self.background is None:
            _blank(picture, alpha_u8)
        else:
            behind = self.background.picture_for(frame, alpha_u8)
            if self._wrap is not None:
                self._wrap.wrap(picture, behind, alpha_u8)
            self._blend(picture, behind, alpha_u8)

    def _blend(self, picture: Picture, behind: Picture, alpha_u8: U8) -> None:
        if isinstance(picture, I420):
            assert isinstance(behind, I420)  # of the protocol: the same kind as the frame's picture
            if self._half_u8.shape != picture.u.shape:
                self._half_u8 = np.empty(picture.u.shape, np.uint8)
            kernels.halve_alpha(alpha_u8, self._half_u8)
            kernels.blend_plane(picture.y, behind.y, alpha_u8)
            kernels.blend_plane(picture.u, behind.u, self._half_u8)
            kernels.blend_plane(picture.v, behind.v, self._half_u8)
        else:
            kernels.blend_bgr(picture, behind, alpha_u8)


def _blank(picture: Picture, alpha_u8: U8) -> None:
    if isinstance(picture, I420):
        kernels.blank_plane(picture.y, alpha_u8, black_level(picture.color))
        kernels.blank_chroma(picture.u, picture.v, alpha_u8)
    else:
        kernels.blank_plane(picture, alpha_u8, 0)
