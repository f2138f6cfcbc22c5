"""What a picture file says about itself: orientation, EXIF, resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import ExifTags, Image

# Names, dates, rights and settings; not the tags that lay out the file, nor any preview (IFD 1, maker notes, XMP) in
# which the removed background would live on.
_KEPT_TAGS = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
        ExifTags.Base.Rating,
    }
)
_DROPPED_SUBTAGS = frozenset({ExifTags.Base.MakerNote, ExifTags.IFD.Interop})


@dataclass(frozen=True, slots=True)
class Metadata:
    """`orientation` is how the stored pixels lie (EXIF, 1 to 8); `exif` and `dpi` describe the upright picture."""

    orientation: int = 1
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    notices: tuple[str, ...] = ()

    @property
    def swapped(self) -> bool:
        """Whether width and height change places."""
        return self.orientation >= 5


def read_metadata(picture: Image.Image) -> Metadata:
    """The metadata of a loaded picture; an EXIF block that cannot be read is left out and reported, not fatal."""
    try:
        source = picture.getexif()
        orientation = source.get(ExifTags.Base.Orientation, 1)
        if orientation not in range(1, 9):
            orientation = 1
        upright_wh = picture.size[::-1] if orientation >= 5 else picture.size
        exif = _for_output(source, upright_wh)
    except Exception:  # a parser of foreign bytes: anything from SyntaxError to struct.error
        return Metadata(dpi=_dpi(picture, swapped=False), notices=("The EXIF block is damaged and was left out.",))
    return Metadata(int(orientation), exif, _dpi(picture, swapped=orientation >= 5))


def _for_output(source: Image.Exif, upright_wh: tuple[int, int]) -> bytes | None:
    kept = Image.Exif()
    for tag in _KEPT_TAGS & set(source):
        kept[tag] = source[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        values = {tag: value for tag, value in source.get_ifd(ifd).items() if tag not in _DROPPED_SUBTAGS}
        if ifd == ExifTags.IFD.Exif and ExifTags.Base.ExifImageWidth in values:
            values[ExifTags.Base.ExifImageWidth], values[ExifTags.Base.ExifImageHeight] = upright_wh
        if values:
            kept[ifd] = values
    if not kept:
        return None
    kept[ExifTags.Base.Orientation] = 1
    return kept.tobytes()


def _dpi(picture: Image.Image, *, swapped: bool) -> tuple[float, float] | None:
    dpi = picture.info.get("dpi")
    if dpi is None:
        return None
    # Of a TIFF that names no resolution, Pillow says 1.
    horizontal, vertical = (float(value) for value in dpi)
    if not (math.isfinite(horizontal) and math.isfinite(vertical) and min(horizontal, vertical) > 1):
        return None
    return (vertical, horizontal) if swapped else (horizontal, vertical)
