"""Closed-form matting of the uncertain band: seconds a picture, for stills and for files that may take their time.

The only home of pymatting (extra `quality`), which is imported when it is first needed.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import RuntimeNotInstalledError, SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.refine.guided import GuidedFilter
from rtmatte.refine.refiner import Refiner
from rtmatte.refine.trimap import unknown_band

_CHROMA_WEIGHT = 2.0
_EPSILON = 1e-5
_CERTAIN = 100.0
_TOLERANCE = 1e-3
_ITERATIONS = 300


Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


class ClosedForm:
    """A `Refiner` that asks another one first, then solves for alpha in the band where that one isn't sure.

    Alpha there is the smoothest that is locally a linear function of colour, fits the sure pixels around, and stays
    near the first estimate as `prior` says. Pictures of more than `max_pixels` are worked on smaller and brought to
    full size by a guided filter. Allocates.

    Reference: A. Levin, D. Lischinski, Y. Weiss, "A closed-form solution to natural image matting", IEEE TPAMI 30(2),
    2008. The soft prior is ours.
    """

    def __init__(
        self, first: Refiner | None = None, *, prior: float = 0.1, radius: int = 1, max_pixels: int = 1_000_000
    ) -> None:
        """`prior` is the weight of the first estimate; alpha is linear in windows of 2·`radius` + 1 pixels a side. A
        radius of 2 finds finer detail, in four times the time and with far more memory.

        Raises: `SettingsError` for a value out of range, `RuntimeNotInstalledError` where pymatting isn't installed.
        """
        if not prior > 0 or radius < 1 or max_pixels < 1:
            raise SettingsError(f"Expected a positive prior, radius and size, got {prior}, {radius} and {max_pixels}.")
        _import_pymatting()
        self._first = first or GuidedFilter()
        self._prior = prior
        self._radius = radius
        self._max_pixels = max_pixels
        self._enlarge = GuidedFilter(grid_long_side=1280, epsilon_y=20, epsilon_uv=5, gain=1, opaque_from=1)

    def refine(self, frame: Frame, alpha: F32, out_u8: U8 | None = None, small: U8 | None = None) -> U8:
        alpha_u8 = self._first.refine(frame, alpha, out_u8, small)
        height, width = alpha_u8.shape
        scale = min(1.0, math.sqrt(self._max_pixels / alpha_u8.size))
        work_wh = max(1, round(width * scale)), max(1, round(height * scale))
        small_u8 = alpha_u8 if scale == 1 else cv2.resize(alpha_u8, work_wh, interpolation=cv2.INTER_AREA)
        band = unknown_band(np.asarray(small_u8, np.uint8))
        if not band.any() or band.all():
            return alpha_u8
        solved = self._solve(_colors(frame.picture, work_wh), (small_u8 / 255).astype(np.float32), band)
        if scale == 1:
            np.copyto(alpha_u8, np.rint(solved * 255), casting="unsafe")
            return alpha_u8
        return self._enlarge.refine(frame, solved, alpha_u8)

    def reset(self) -> None:
        """Forgets the past of the first one."""
        self._first.reset()

    def _solve(self, colors: NDArray[np.float64], alpha: F32, band: NDArray[np.bool_]) -> F32:
        """Minimises xᵀLx + Σ wᵢ(xᵢ − αᵢ)² over the pixels of the band, the others being sure."""
        pymatting = _import_pymatting()
        import scipy.sparse

        laplacian = pymatting.cf_laplacian(
            colors, epsilon=_EPSILON, radius=self._radius, is_known=~band.ravel()
        ).tocsr()
        inside, outside = np.flatnonzero(band), np.flatnonzero(~band)
        first = alpha.ravel().astype(np.float64)
        sure = np.rint(first)
        rows = laplacian[inside]
        matrix = (rows[:, inside] + scipy.sparse.diags(np.full(inside.size, self._prior))).tocsc()
        target = self._prior * first[inside] - rows[:, outside] @ sure[outside]
        sure[inside] = np.clip(
            pymatting.cg(
                matrix, target, x0=first[inside], M=pymatting.ichol(matrix), rtol=_TOLERANCE, maxiter=_ITERATIONS
            ),
            0,
            1,
        )
        return sure.reshape(alpha.shape).astype(np.float32)


def foreground_multi_level(picture_bgr: Pixels, alpha: Pixels) -> Pixels:
    """The foreground's own colours of a still: (H, W, 3) BGR and (H, W) alpha, both uint8 or both uint16, to a new BGR
    picture of that type.

    Raises: `RuntimeNotInstalledError` where pymatting isn't installed.
    Reference: T. Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020.
    """
    pymatting = _import_pymatting()
    full = np.float32(np.iinfo(alpha.dtype).max)
    found = pymatting.estimate_foreground_ml(picture_bgr / full, alpha / full)
    clean: Pixels = np.rint(np.clip(found, 0, 1) * full).astype(alpha.dtype)
    return clean


def _colors(picture: Picture, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """(h, w, 3) in 0..1: luma and weighted chroma."""
    if isinstance(picture, I420):
        yuv = np.stack([_resize(plane, size_wh) for plane in picture.planes], axis=-1)
    else:
        yuv = np.asarray(cv2.cvtColor(_resize(picture, size_wh), cv2.COLOR_BGR2YUV), np.uint8)
    return yuv * (np.array([1, _CHROMA_WEIGHT, _CHROMA_WEIGHT]) / 255)


def _resize(plane: U8, size_wh: tuple[int, int]) -> U8:
    shrinks = plane.shape[1] >= size_wh[0] and plane.shape[0] >= size_wh[1]
    return np.asarray(cv2.resize(plane, size_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))


def _import_pymatting() -> Any:
    try:
        import pymatting
    except ImportError as error:
        raise RuntimeNotInstalledError(
            "Expected pymatting for matting of the best quality, got none.", hint="pip install 'rtmatte[quality]'"
        ) from error
    return pymatting
