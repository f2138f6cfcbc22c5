"""What the numbers of a picture mean: embedded ICC profiles, and CMYK and greyscale brought to RGB.

Results are written as RGB, and a profile only describes pixels of its own kind. An RGB profile is therefore handed on
untouched; a CMYK or greyscale profile is applied, the pixels become sRGB, and the profile has done its work.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

_HEADER_BYTES, _SPACE, _SIGNATURE = 128, slice(16, 20), slice(36, 40)


@dataclass(frozen=True, slots=True, eq=False)
class ColorPlan:
    """How stored pixels become RGB, and which profile describes the result (None: sRGB).

    `cmyk_to_srgb` is applied to CMYK strips; `grey_curve` maps each 16-bit grey value to sRGB's (65536 uint16).
    """

    icc_profile: bytes | None = None
    cmyk_to_srgb: ImageCms.ImageCmsTransform | None = None
    grey_curve: NDArray[np.uint16] | None = None
    notices: tuple[str, ...] = ()

    def inverted(self) -> ColorPlan:
        """The same for grey values whose zero is white."""
        straight = np.arange(65536, dtype=np.uint16) if self.grey_curve is None else self.grey_curve
        return replace(self, grey_curve=straight[::-1])

    def to_rgb(self, strip: Image.Image, *, has_alpha: bool) -> Image.Image:
        """An 8-bit strip of any Pillow mode as RGB or RGBA; the grey curve isn't applied here."""
        if strip.mode == "CMYK" and self.cmyk_to_srgb is not None:
            converted = ImageCms.applyTransform(strip, self.cmyk_to_srgb)
            assert converted is not None  # None is for in-place transforms
            return converted
        if strip.mode == "La":
            strip = strip.convert("LA")
        return strip.convert("RGBA" if has_alpha else "RGB")


def plan_color(icc_profile: bytes | None, *, cmyk: bool, grey: bool) -> ColorPlan:
    """Decides by the colour space that the profile's own header names; a profile that cannot be used is reported."""
    space = _color_space(icc_profile)
    if cmyk:
        return _plan_cmyk(icc_profile, space)
    if not icc_profile:
        return ColorPlan()
    if space == b"RGB ":
        return ColorPlan(icc_profile=icc_profile)
    if space == b"GRAY" and grey:
        try:
            curve = _grey_curve(icc_profile)
        except (ImageCms.PyCMSError, OSError) as error:
            return ColorPlan(notices=(f"The embedded greyscale profile is damaged and was ignored ({error}).",))
        return ColorPlan(grey_curve=curve, notices=("Greyscale was converted to sRGB by the embedded profile.",))
    return ColorPlan(notices=("The embedded colour profile doesn't fit the picture and was dropped.",))


def _color_space(icc_profile: bytes | None) -> bytes | None:
    if not icc_profile or len(icc_profile) < _HEADER_BYTES or icc_profile[_SIGNATURE] != b"acsp":
        return None
    return icc_profile[_SPACE]


def _plan_cmyk(icc_profile: bytes | None, space: bytes | None) -> ColorPlan:
    if icc_profile and space == b"CMYK":
        try:
            transform = ImageCms.buildTransform(
                ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)),
                ImageCms.createProfile("sRGB"),
                "CMYK",
                "RGB",
                ImageCms.Intent.RELATIVE_COLORIMETRIC,
                ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError):
            pass  # said below: the same as without a profile
        else:
            return ColorPlan(cmyk_to_srgb=transform, notices=("CMYK was converted to sRGB by the embedded profile.",))
    return ColorPlan(notices=("CMYK without a usable profile was converted to sRGB by formula: colours may be off.",))


def _grey_curve(icc_profile: bytes) -> NDArray[np.uint16]:
    """sRGB value of each 16-bit grey value.

    Pillow's transform takes 16-bit grey in and gives 8-bit RGB out; where its output steps from k − 1 to k, the true
    curve passes k − 1/2, and between the 255 steps it is interpolated.
    """
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)),
        ImageCms.createProfile("sRGB"),
        "I;16",
        "RGB",
        flags=ImageCms.Flags.NOOPTIMIZE,  # else the curve is sampled at a few points, and lost in the shadows
    )
    ramp = Image.frombytes("I;16", (256, 256), np.arange(65536, dtype="<u2").tobytes())
    converted = ImageCms.applyTransform(ramp, transform)
    assert converted is not None  # None is for in-place transforms
    levels: NDArray[np.uint8] = np.maximum.accumulate(np.asarray(converted)[..., 1].ravel())
    darkest, brightest = int(levels[0]), int(levels[-1])
    steps = np.arange(darkest + 1, brightest + 1)
    at = np.concatenate(([0], np.searchsorted(levels, steps), [65535]))
    values = np.concatenate(([darkest], steps - 0.5, [brightest]))
    curve: NDArray[np.uint16] = np.rint(np.interp(np.arange(65536), at, values * 257)).astype(np.uint16)
    return curve
