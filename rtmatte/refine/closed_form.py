"""Closed-form matting of the uncertain band: seconds a picture, for stills and for files that may take their time."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import SettingsError
from rtmatte.refine.refiner import Refiner
from rtmatte.refine.solved_band import SolvedBand, import_pymatting

_EPSILON = 1e-5


Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]


class ClosedForm(SolvedBand):
    """A `SolvedBand` whose alpha is the smoothest that is locally a linear function of colour.

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
        super().__init__(first, prior, max_pixels)
        if radius < 1:
            raise SettingsError(f"Expected a radius of 1 or more, got {radius}.")
        self._radius = radius

    def _laplacian_rows(self, colors: NDArray[np.float64], band: NDArray[np.bool_]) -> Any:
        laplacian = import_pymatting().cf_laplacian(
            colors, epsilon=_EPSILON, radius=self._radius, is_known=~band.ravel()
        )
        return laplacian.tocsr()[np.flatnonzero(band)]

    def _preconditioner(self, matrix: Any) -> Any:
        return import_pymatting().ichol(matrix)


def foreground_multi_level(picture_bgr: Pixels, alpha: Pixels) -> Pixels:
    """The foreground's own colours of a still: (H, W, 3) BGR and (H, W) alpha, both uint8 or both uint16, to a new BGR
    picture of that type.

    Raises: `RuntimeNotInstalledError` where pymatting isn't installed.
    Reference: T. Germer et al., "Fast Multi-Level Foreground Estimation", ICPR 2020.
    """
    pymatting = import_pymatting()
    full = np.float32(np.iinfo(alpha.dtype).max)
    found = pymatting.estimate_foreground_ml(picture_bgr / full, alpha / full)
    clean: Pixels = np.rint(np.clip(found, 0, 1) * full).astype(alpha.dtype)
    return clean
