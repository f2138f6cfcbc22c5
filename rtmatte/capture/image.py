"""Pictures from files: read once, upright, with their depth, alpha and metadata.

Pillow reads headers, metadata and 8-bit pixels; OpenCV decodes what Pillow would reduce to 8 bits. Pixels move in
strips of rows straight to their upright place, so that a 100-megapixel photo never exists as a third copy.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal

import numpy as np
from PIL import Image, TiffImagePlugin

from rtmatte.capture.image_color import ColorPlan, plan_color
from rtmatte.capture.image_metadata import Metadata, read_metadata
from rtmatte.capture.image_pixels import U16, OpenCvReading, Strip, opencv_strips, pillow_strips, upright
from rtmatte.errors import ImageTooLargeError, InputNotFoundError, RtmatteError, UnreadableInputError
from rtmatte.frame import U8

DEFAULT_MAX_MEGAPIXELS = 200.0

# Decoders that only read bytes: Pillow's EPS plug-in, for one, would start an interpreter on them.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "JPEG2000", "PPM")
_FORMATS_HINT = "Readable are JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000 and PPM."

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_PLANAR, _TIFF_EXTRA_SAMPLES = 258, 262, 284, 338
_MIN_IS_WHITE, _RGB, _CONTIGUOUS, _PREMULTIPLIED, _UNASSOCIATED = 0, 2, 1, 1, 2
_PNG_GREY, _PNG_GREY_ALPHA, _PNG_RGBA = 0, 4, 6

_PILLOW = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A decoded picture.

    `image` is (H, W, 3) BGR, C-contiguous, upright, uint8 or uint16 as `depth` says; `alpha_existing` is (H, W) of the
    same type, full scale = opaque, or None. `icc_profile` says what the values mean (None: sRGB). `exif` is ready to be
    written: orientation reset, thumbnails and maker notes left out. `dpi` is (horizontal, vertical). `notices` are
    sentences for the user.
    """

    image: U8 | U16
    alpha_existing: U8 | U16 | None
    depth: Literal[8, 16]
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    notices: tuple[str, ...] = ()

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[0]

    def reduced_bgr(self) -> U8:
        """A copy of the picture in 8 bits."""
        return (self.image >> (self.depth - 8)).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Header:
    """All that is known of a picture besides its pixels; `opencv` where only OpenCV reads them at full depth."""

    stored_wh: tuple[int, int]
    has_alpha: bool
    plan: ColorPlan
    metadata: Metadata
    opencv: OpenCvReading | None
    notices: tuple[str, ...]


def read_image(path: str | Path, *, max_megapixels: float | None = DEFAULT_MAX_MEGAPIXELS) -> Still:
    """Reads a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000 or PPM file; of several frames or pages, the first.

    CMYK and greyscale profiles are applied (the result is sRGB); an RGB profile is handed on as it is. The size is
    looked up in the header before any pixel is decoded; `max_megapixels` None lifts the limit.

    Raises: InputNotFoundError; ImageTooLargeError stating size and limit; UnreadableInputError for a folder, for what
    isn't a picture, and for a damaged or truncated one.
    """
    path = Path(path)
    if not path.exists():
        raise InputNotFoundError(f"no such file: {path}.", hint="Check the name and the folder.")
    if not path.is_file():
        raise UnreadableInputError(f"expected a picture file, got a folder or device: {path}.")
    with _pillow_without_limits(), _damage_reported(str(path)):
        with Image.open(path, formats=_available_formats()) as picture:
            _check_size(str(path), picture.size, max_megapixels)
            picture.load()  # also when OpenCV decodes: this is what notices a truncated file
            header = _header(str(path), picture, _png_form(path) if picture.format == "PNG" else None)
            if header.opencv is None:
                return _gathered(header, pillow_strips(picture, header.plan, has_alpha=header.has_alpha))
        del picture  # its pixels, before the full-depth ones are decoded
        return _gathered(header, opencv_strips(path, header.opencv, header.plan))


def still_from_pil(picture: Image.Image) -> Still:
    """A Pillow image as a still, turned upright by its EXIF orientation; the image itself is left as it is.

    Raises: UnreadableInputError when the file behind it turns out to be damaged, or for modes without a fixed range.
    """
    with _pillow_without_limits(), _damage_reported("the given picture"):
        picture.load()
        header = _header("the given picture", picture, None)
        return _gathered(header, pillow_strips(picture, header.plan, has_alpha=header.has_alpha))


def _gathered(header: _Header, strips: Iterator[Strip]) -> Still:
    metadata = header.metadata
    image, alpha = upright(strips, header.stored_wh, metadata.orientation, has_alpha=header.has_alpha)
    return Still(
        image=image,
        alpha_existing=alpha,
        depth=16 if image.dtype.itemsize == 2 else 8,
        icc_profile=header.plan.icc_profile,
        exif=metadata.exif,
        dpi=metadata.dpi,
        notices=header.notices,
    )


@contextmanager
def _pillow_without_limits() -> Iterator[None]:
    """Our own size check stands in for Pillow's, whose limit and warnings are global settings; hence the lock."""
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def _damage_reported(name: str) -> Iterator[None]:
    try:
        yield
    except (RtmatteError, MemoryError):
        raise
    except Exception as error:  # on damaged files decoders raise nearly everything, from OSError to IndexError
        raise UnreadableInputError(f"cannot read {name} as a picture: {error}.", hint=_FORMATS_HINT) from error


def _available_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _check_size(name: str, size_wh: tuple[int, int], max_megapixels: float | None) -> None:
    megapixels = size_wh[0] * size_wh[1] / 1e6
    if max_megapixels is not None and megapixels > max_megapixels:
        raise ImageTooLargeError(
            f"{name} is {size_wh[0]}x{size_wh[1]}, {megapixels:.1f} megapixels: expected at most {max_megapixels:g}.",
            hint=f"If you trust the file, allow it with --max-megapixels {math.ceil(megapixels)} "
            "(max_megapixels= in Python).",
        )


def _header(name: str, picture: Image.Image, png_form: tuple[int, int] | None) -> _Header:
    """Looks a loaded picture over; `png_form` is bit depth and colour type when its PNG file may be read again."""
    _check_mode(name, picture.mode, picture.format)
    metadata = read_metadata(picture)
    notices = [*metadata.notices]
    if getattr(picture, "is_animated", False) and picture.format != "MPO":  # an MPO's other frames are previews, depth
        notices.append("The file holds several frames or pages: only the first one was used.")

    opencv = None
    if png_form is not None:
        opencv = _deep_png(picture, *png_form)
    elif isinstance(picture, TiffImagePlugin.TiffImageFile) and _is_reduced(picture):
        opencv = _deep_tiff(name, picture)
        if opencv is None:
            notices.append("Values were reduced to 8 bits: this kind of TIFF is not read at its full depth.")

    grey = picture.mode[0] in "1LI" or (png_form is not None and png_form[1] in (_PNG_GREY, _PNG_GREY_ALPHA))
    plan = plan_color(picture.info.get("icc_profile"), cmyk=picture.mode == "CMYK", grey=grey)
    if _is_inverted(picture):
        plan = plan.inverted()
    keyed = opencv is not None and opencv.transparent_rgb is not None
    return _Header(
        stored_wh=picture.size,
        has_alpha=opencv.has_alpha or keyed if opencv else picture.has_transparency_data,
        plan=plan,
        metadata=metadata,
        opencv=opencv,
        notices=(*notices, *plan.notices),
    )


def _check_mode(name: str, mode: str, file_format: str | None) -> None:
    # Pillow's 32-bit modes have no fixed white, except that 16-bit PGM comes as one scaled to 65535.
    if mode in ("F", "LAB", "HSV") or (mode == "I" and file_format != "PPM"):
        raise UnreadableInputError(
            f"{name}: expected 8 or 16 bits per channel in RGB, grey, palette or CMYK, got pixel mode {mode}.",
            hint="Convert it to 16-bit RGB first.",
        )


def _png_form(path: Path) -> tuple[int, int]:
    """Bit depth and colour type: two fixed bytes of every PNG header, which Pillow doesn't hand on."""
    with path.open("rb") as file:
        depth, color_type = file.read(26)[24:]
    return depth, color_type


def _deep_png(picture: Image.Image, depth: int, color_type: int) -> OpenCvReading | None:
    if depth != 16 or color_type == _PNG_GREY:
        return None
    return OpenCvReading(
        has_alpha=color_type in (_PNG_GREY_ALPHA, _PNG_RGBA), transparent_rgb=picture.info.get("transparency")
    )


def _is_reduced(picture: TiffImagePlugin.TiffImageFile) -> bool:
    return max(picture.tag_v2.get(_TIFF_BITS, (1,))) > 8 and not picture.mode.startswith("I")


def _deep_tiff(name: str, picture: TiffImagePlugin.TiffImageFile) -> OpenCvReading | None:
    tags = picture.tag_v2
    if tags.get(_TIFF_PLANAR, _CONTIGUOUS) != _CONTIGUOUS:
        # Both libraries take the 16-bit planes for interleaved or 8-bit values, and say nothing.
        raise UnreadableInputError(
            f"{name}: expected a 16-bit TIFF with interleaved channels, got separate planes.",
            hint="Save it interleaved.",
        )
    if set(tags.get(_TIFF_BITS, ())) != {16} or tags.get(_TIFF_PHOTOMETRIC) != _RGB:
        return None
    extra = tags.get(_TIFF_EXTRA_SAMPLES, (0,))[0]
    return OpenCvReading(has_alpha=extra in (_PREMULTIPLIED, _UNASSOCIATED), premultiplied=extra == _PREMULTIPLIED)


def _is_inverted(picture: Image.Image) -> bool:
    """Pillow turns 8-bit "white is zero" TIFFs around, and leaves 16-bit ones."""
    return (
        isinstance(picture, TiffImagePlugin.TiffImageFile)
        and picture.mode.startswith("I;16")
        and picture.tag_v2.get(_TIFF_PHOTOMETRIC) == _MIN_IS_WHITE
    )
