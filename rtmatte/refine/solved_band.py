"""What matting of the uncertain band has in common: a linear system over its pixels, solved near a first estimate.

The only home of pymatting (extra `quality`), which is imported when it is first needed; scipy comes with it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import RuntimeNotInstalledError, SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.refine.guided import GuidedFilter
from rtmatte.refine.refiner import Refiner
from rtmatte.refine.trimap import unknown_band

_CHROMA_WEIGHT = 2.0
_TOLERANCE = 1e-3
_ITERATIONS = 300


class SolvedBand(ABC):
    """A `Refiner` that asks another one first, then solves for alpha in the band where that one isn't sure.

    Alpha there is the one that a matting Laplacian L finds smoothest, fits the sure pixels around, and stays near the
    first estimate as `prior` says: the smallest xᵀLx + prior·Σ(xᵢ − firstᵢ)². Which pixels should be alike, and so L,
    is up to the subclass. Pictures of more than `max_pixels` are worked on smaller and brought to full size by a
    guided filter. Allocates.
    """

    def __init__(self, first: Refiner | None, prior: float, max_pixels: int) -> None:
        """Raises: `SettingsError` for a value out of range, `RuntimeNotInstalledError` where there is no pymatting."""
        if not prior > 0 or max_pixels < 1:
            raise SettingsError(f"Expected a positive prior and size, got {prior} and {max_pixels}.")
        import_pymatting()
        self._first = first or GuidedFilter()
        self._prior = float(prior)
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

    @abstractmethod
    def _laplacian_rows(self, colors: NDArray[np.float64], band: NDArray[np.bool_]) -> Any:
        """The Laplacian's rows of the n pixels of the band, as a sparse (n, H·W) matrix; among those pixels symmetric.

        `colors` is (H, W, 3) in 0..1, luma and weighted chroma; `band` is (H, W) and neither empty nor everything.
        """

    @abstractmethod
    def _preconditioner(self, matrix: Any) -> Any:
        """What brings a sparse, symmetric (n, n) matrix nearer to one for conjugate gradients."""

    def _solve(self, colors: NDArray[np.float64], alpha: F32, band: NDArray[np.bool_]) -> F32:
        """(H, W) alpha in 0..1: solved for in the band, elsewhere 0 or 1."""
        import scipy.sparse

        rows = self._laplacian_rows(colors, band).tocsc()
        inside, outside = np.flatnonzero(band), np.flatnonzero(~band)
        first = alpha.ravel().astype(np.float64)
        sure = np.rint(first)
        matrix = (rows[:, inside] + scipy.sparse.diags(np.full(inside.size, self._prior))).tocsc()
        target = self._prior * first[inside] - rows[:, outside] @ sure[outside]
        found = import_pymatting().cg(
            matrix, target, x0=first[inside], M=self._preconditioner(matrix), rtol=_TOLERANCE, maxiter=_ITERATIONS
        )
        sure[inside] = np.clip(found, 0, 1)
        return sure.reshape(alpha.shape).astype(np.float32)


def import_pymatting() -> Any:
    """The package. Raises: `RuntimeNotInstalledError` where it isn't installed."""
    try:
        import pymatting
    except ImportError as error:
        raise RuntimeNotInstalledError(
            "Expected pymatting for matting of the best quality, got none.", hint="pip install 'rtmatte[quality]'"
        ) from error
    return pymatting


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
