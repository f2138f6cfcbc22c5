"""Backgrounds that stand still: one colour, one image."""

from __future__ import annotations

import numpy as np

from rtmatte.color import yuv_of_rgb
from rtmatte.composite.fitting import Fit, Fitter
from rtmatte.errors import SettingsError
from rtmatte.frame import I420, U8, ColorTags, Frame, Picture, picture_size_wh


class ColorBackground:
    """One colour, `rgb` 0..255, in the frame's own matrix and range. Allocates when size or colours change.

    Raises: SettingsError for a colour that isn't three values of 0..255.
    """

    def __init__(self, rgb: tuple[int, int, int]) -> None:
        if len(rgb) != 3 or not all(0 <= value <= 255 for value in rgb):
            raise SettingsError(f"a background colour has wrong values: expected three of 0..255, got {rgb}")
        self.name = "#{:02x}{:02x}{:02x}".format(*rgb)
        self._rgb = rgb
        self._made: Picture | None = None

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:  # noqa: ARG002 - of the protocol
        if self._made is None or _form(self._made) != _form(frame.picture):
            self._made = _filled(self._rgb, frame.picture)
        return self._made

    def close(self) -> None:
        pass


class ImageBackground:
    """One image, (H, W, 3) uint8 BGR, resized and converted once per frame size and colours.

    Raises: SettingsError for an array of another shape or type.
    """

    def __init__(self, image_bgr: U8, fit: Fit = "cover", *, name: str = "image") -> None:
        if image_bgr.ndim != 3 or image_bgr.shape[2] != 3 or image_bgr.dtype != np.uint8 or not image_bgr.size:
            raise SettingsError(
                "the background image is not a picture: expected (H, W, 3) uint8, "
                f"got {image_bgr.shape} {image_bgr.dtype}"
            )
        self.name = name
        self._image_bgr = image_bgr
        self._fitter = Fitter(fit)
        self._made: Picture | None = None

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:  # noqa: ARG002 - of the protocol
        if self._made is None or _form(self._made) != _form(frame.picture):
            self._made = self._fitter.make(self._image_bgr, frame.picture)
        return self._made

    def close(self) -> None:
        pass


def _form(picture: Picture) -> tuple[tuple[int, int], ColorTags | None]:
    return picture_size_wh(picture), picture.color if isinstance(picture, I420) else None


def _filled(rgb: tuple[int, int, int], like: Picture) -> Picture:
    if not isinstance(like, I420):
        picture_bgr = np.empty_like(like)
        picture_bgr[...] = rgb[::-1]
        return picture_bgr
    picture = I420.allocate(like.size_wh, like.color)
    for plane, value in zip(picture.planes, yuv_of_rgb(rgb, like.color, like.size_wh[1]), strict=True):
        plane.fill(value)
    return picture
