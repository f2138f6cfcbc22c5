"""One picture: read, estimate, bring alpha to size, composite, write.

Every full-size array is 8 or 16 bits; anything wider exists for one tile at a time, so that 100 megapixels fit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rtmatte import clicks
from rtmatte.capture.image import DEFAULT_MAX_MEGAPIXELS, Still, read_image, still_from_pil
from rtmatte.composite.background import Background
from rtmatte.errors import ModelOutputError, UnreadableInputError
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.matting.load_for_stills import load_for_stills
from rtmatte.matting.matter import Matter, Prompted, device_notices, why_there
from rtmatte.output.image import Pixels, check_target, write_image
from rtmatte.refine.choose import make_refiner
from rtmatte.refine.closed_form import foreground_multi_level
from rtmatte.refine.refiner import Refiner
from rtmatte.refine.spill import Despill
from rtmatte.refine.subject import Subject
from rtmatte.runs.backgrounds import open_background
from rtmatte.settings import ImageSettings, SpillName

_TILE_PIXELS = 1 << 20


@dataclass(frozen=True, slots=True)
class StillReport:
    """What was done: `size_wh` of the upright picture, which model ran on what and why, sentences for the user."""

    size_wh: tuple[int, int]
    seconds: float
    model: str
    provider: str
    provider_reason: str
    notices: tuple[str, ...]


def run_image(source: Path, target: Path, settings: ImageSettings) -> StillReport:
    """A picture file through all that the settings ask for.

    Raises: as `process_image`, `load_for_stills` and `open_background`.
    """
    behind = open_background(settings.background, settings.fit)
    matter = load_for_stills(
        settings.model, model_spec=settings.model_spec, device=settings.device, threads=settings.threads
    )
    return process_image(
        source,
        target,
        matter=matter,
        background=behind,
        # Plainly is what happens without one, at the picture's own depth and a tile at a time.
        refiner=None if settings.refiner == "upscale" else make_refiner(settings.refiner),
        edge_colors=settings.edge_colors,
        spill=settings.spill,
        keep=settings.keep,
        drop=settings.drop,
        max_megapixels=settings.max_megapixels,
        overwrite=settings.overwrite,
        encoder_quality=settings.encoder_quality,
    )


def process_image(
    source: str | Path,
    target: str | Path,
    *,
    matter: Matter,
    background: Background | None = None,
    refiner: Refiner | None = None,
    edge_colors: bool = False,
    spill: SpillName = "off",
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    max_megapixels: float | None = DEFAULT_MAX_MEGAPIXELS,
    overwrite: bool = False,
    encoder_quality: int | None = None,
) -> StillReport:
    """Takes the background out of a picture file, or puts another one in; the format goes by the target's extension.

    Depth, colour profile, EXIF and resolution are kept as far as the format can; alpha that the picture has already is
    multiplied in. `background` None leaves it transparent. `refiner` brings alpha to the picture's size, by default
    plainly; `edge_colors` puts the foreground's own colours where alpha is in between; `spill`, `keep` and `drop` are
    as of `ImageSettings`. `encoder_quality`, 1 to 100, is for JPEG and makes WebP lossy.

    Raises: what `read_image` and `write_image` raise; ModelOutputError for an alpha that isn't one; SettingsError for a
    point that isn't on anything; RuntimeNotInstalledError for `edge_colors` without the extra `quality`.
    """
    started = time.perf_counter()
    check_target(target, with_alpha=background is None, overwrite=overwrite)
    still = read_image(source, max_megapixels=max_megapixels)
    alpha = _matte(still, matter, background, refiner, edge_colors=edge_colors, spill=spill, keep=keep, drop=drop)
    notices = write_image(
        target,
        still.image,
        alpha if background is None else None,
        icc_profile=still.icc_profile,
        exif=still.exif,
        dpi=still.dpi,
        quality=encoder_quality,
        overwrite=overwrite,
    )
    return StillReport(
        still.size_wh,
        time.perf_counter() - started,
        matter.name,
        matter.provider,
        why_there(matter),
        (*still.notices, *device_notices(matter), *notices),
    )


def remove_background(
    image: str | Path | Image.Image | U8,
    *,
    model: str = "u2netp",
    background: Background | None = None,
    matter: Matter | None = None,
    refiner: Refiner | None = None,
    edge_colors: bool = False,
    spill: SpillName = "off",
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
) -> U8:
    """Takes the background out of a picture: a path, a Pillow image, or an array.

    Arrays are uint8 and in RGB order, as everywhere outside OpenCV: (H, W, 3), (H, W, 4) with straight alpha, or grey
    (H, W). Returns a new (H, W, 4) uint8 RGBA array: straight alpha, black where it is 0; with a `background`, opaque.
    Files and Pillow images are turned upright; values stay in the picture's own colour space. The model is loaded by
    every call; for many pictures hand in a `matter`. The options from `refiner` on are those of
    `process_image`.

    Raises: what `read_image` raises; UnreadableInputError for an array of another shape or type; ModelError;
    SettingsError for a point that isn't on anything.
    """
    still = _to_8_bits(_still_of(image))
    if matter is None:
        matter = load_for_stills(model)
    alpha = _matte(still, matter, background, refiner, edge_colors=edge_colors, spill=spill, keep=keep, drop=drop)
    if background is not None:
        alpha = np.full_like(alpha, 255)
    rgba: U8 = np.dstack([still.image[..., ::-1], alpha])
    rgba[alpha == 0] = 0
    return rgba


def _matte(
    still: Still,
    matter: Matter,
    background: Background | None,
    refiner: Refiner | None,
    *,
    edge_colors: bool,
    spill: SpillName,
    keep: Sequence[str],
    drop: Sequence[str],
) -> Pixels:
    """The picture's alpha at its own size and depth; clears the picture's edges and composites it, in place, if wanted.

    The 8-bit twin of a 16-bit picture is gone when it returns: the encoder wants memory next.
    """
    frame = _frame_of(still)
    kept = clicks.points(keep, still.size_wh, option="--keep")
    dropped = clicks.points(drop, still.size_wh, option="--drop")
    if isinstance(matter, Prompted):
        matter.prompt(kept, dropped)
    estimated = _estimated(frame, matter)
    if (kept or dropped) and not isinstance(matter, Prompted):
        estimated = _selected(estimated, kept, dropped)
    alpha = _full_size_alpha(_refined(frame, estimated, refiner), still)
    behind = None if background is None else background.picture_for(frame, _as_u8(alpha))
    if spill != "off":
        Despill(spill).suppress(still.image, alpha, frame.picture)
    if edge_colors:
        _clear_edges(still, alpha)
    if behind is not None:
        _composite(still, alpha, behind)
    return alpha


def _still_of(image: str | Path | Image.Image | U8) -> Still:
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return still_from_pil(image)
    shape = image.shape
    if (
        image.dtype != np.uint8
        or len(shape) not in (2, 3)
        or (len(shape) == 3 and shape[2] not in (3, 4))
        or not image.size
    ):
        raise UnreadableInputError(
            f"expected a uint8 array of shape (H, W), (H, W, 3) or (H, W, 4), got {image.dtype} {shape}.",
            hint="Scale other types to 0..255 first.",
        )
    rgb = image[..., :3] if len(shape) == 3 else np.broadcast_to(image[..., np.newaxis], (*shape, 3))
    alpha = np.ascontiguousarray(image[..., 3]) if rgb.shape != shape and len(shape) == 3 else None
    return Still(image=np.array(rgb[..., ::-1], order="C"), alpha_existing=alpha, depth=8)


def _frame_of(still: Still) -> Frame:
    return Frame(picture=_as_u8(still.image), pts=0, time_base=Fraction(1), index=0)


def _estimated(frame: Frame, matter: Matter) -> F32:
    matter.reset()
    alpha = matter.estimate(frame)
    if alpha.ndim != 2 or not alpha.size or not np.isfinite(alpha).all():
        raise ModelOutputError(f"{matter.name}: expected a finite (h, w) alpha, got {alpha.dtype} {alpha.shape}.")
    return alpha


def _selected(estimated: F32, keep: Sequence[clicks.Point], drop: Sequence[clicks.Point]) -> F32:
    """A copy of alpha, without what wasn't to be kept."""
    subject = Subject(keep=keep, drop=drop)
    alpha = np.array(np.clip(estimated, 0, 1), np.float32)
    subject.select(alpha, 0.0)
    return alpha


def _full_size_alpha(estimated: F32, still: Still) -> Pixels:
    """Alpha at the size and depth of the picture, times the one that it has already.

    Shrinking averages, growing interpolates by cubics, one direction after the other: first all rows to full width,
    then blocks of columns to full height.
    """
    width, height = still.size_wh
    alpha = np.empty((height, width), still.image.dtype)
    opaque = 2**still.depth - 1
    wide = cv2.resize(estimated, (width, estimated.shape[0]), interpolation=_interpolation(estimated.shape[1], width))
    columns = max(1, _TILE_PIXELS // height)
    for left in range(0, width, columns):
        block = np.s_[:, left : left + columns]
        narrow = np.ascontiguousarray(wide[block])
        tile = cv2.resize(narrow, (narrow.shape[1], height), interpolation=_interpolation(len(narrow), height))
        np.clip(tile, 0, 1, out=tile)
        np.multiply(tile, opaque if still.alpha_existing is None else still.alpha_existing[block], out=tile)
        alpha[block] = np.rint(tile, out=tile)
    return alpha


def _interpolation(length: int, wanted: int) -> int:
    return cv2.INTER_AREA if wanted < length else cv2.INTER_CUBIC


def _refined(frame: Frame, estimated: F32, refiner: Refiner | None) -> F32:
    """What a refiner makes of alpha; at the picture's size then."""
    if refiner is None:
        return estimated
    return np.multiply(refiner.refine(frame, np.clip(estimated, 0, 1)), np.float32(1 / 255), dtype=np.float32)


def _clear_edges(still: Still, alpha: Pixels) -> None:
    """Puts the foreground's own colours into the picture wherever alpha is in between, at its own depth."""
    between = (alpha > 0) & (alpha < 2**still.depth - 1)
    if between.any():
        clean = foreground_multi_level(still.image, alpha)
        np.copyto(still.image, clean, where=between[..., np.newaxis])


def _composite(still: Still, alpha: Pixels, behind: Picture) -> None:
    """Puts the background behind the picture, in place: the exactly rounded αF + (1 − α)B, at the picture's depth."""
    assert not isinstance(behind, I420)  # it is of the same kind as the frame's picture
    bits = still.depth
    wide: Any = np.uint16 if bits == 8 else np.uint32
    opaque = 2**bits - 1
    for rows in _tiles(alpha):
        foreground, a = still.image[rows], alpha[rows][..., np.newaxis].astype(wide)
        # An 8-bit background under a 16-bit picture: 255 becomes 65535.
        b = behind[rows].astype(wide) * wide(opaque // 255)
        # As in composite/kernels.py, v / opaque is rounded by shifts, and v never leaves the wide type.
        v = foreground * a + b * (wide(opaque) - a) + wide(2 ** (bits - 1))
        foreground[...] = (v + (v >> wide(bits))) >> wide(bits)


def _to_8_bits(still: Still) -> Still:
    existing = None if still.alpha_existing is None else _as_u8(still.alpha_existing)
    return replace(still, image=_as_u8(still.image), alpha_existing=existing, depth=8)


def _as_u8(values: NDArray[Any]) -> U8:
    """8-bit values as they are, 16-bit ones rounded."""
    if values.dtype == np.uint8:
        return values
    reduced = np.empty(values.shape, np.uint8)
    for rows in _tiles(values):
        reduced[rows] = (values[rows].astype(np.uint32) + 128) // 257
    return reduced


def _tiles(array: NDArray[Any]) -> Iterator[slice]:
    """Slices of rows of about a million pixels."""
    height, width = array.shape[:2]
    rows = max(1, _TILE_PIXELS // width)
    for top in range(0, height, rows):
        yield slice(top, top + rows)
