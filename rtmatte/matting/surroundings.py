"""What happens outside the part of a picture that is looked at closely."""

from __future__ import annotations

import numpy as np

from rtmatte.frame import I420, U8, Picture, picture_size_wh
from rtmatte.matting.crop import Crop
from rtmatte.shrink import Shrinker

_SIZE_WH = (64, 36)
_STEP = 24
"""Change of a cell's luma, in code values, that somebody makes and no lamp or exposure control usually does."""


class Surroundings:
    """Compares the picture around a crop with a remembered one, on 64x36 cells of luma (green, of BGR).

    Owned by one thread; allocates when sizes change.
    """

    def __init__(self) -> None:
        self._shrinker = Shrinker()
        self._now: U8 = np.empty(_SIZE_WH[::-1], np.uint8)
        self._remembered: U8 = np.empty(_SIZE_WH[::-1], np.uint8)

    def remember(self, picture: Picture) -> None:
        """Compare with this one from now on."""
        self._shrink(picture, self._remembered)

    def changed(self, picture: Picture, crop: Crop) -> float:
        """Which share of the whole picture lies outside the crop and has changed since: 0 to 1."""
        self._shrink(picture, self._now)
        width, height = picture_size_wh(picture)
        # In whole numbers of both signs, since bytes would wrap around.
        changed = np.abs(np.subtract(self._now, self._remembered, dtype=np.int16)) > _STEP
        across, down = _SIZE_WH[0] / width, _SIZE_WH[1] / height
        # Cells that the crop's border runs through are the crop's.
        rows = slice(int(crop.top * down), int(np.ceil(crop.bottom * down)))
        changed[rows, int(crop.left * across) : int(np.ceil(crop.right * across))] = False
        return np.count_nonzero(changed) / changed.size

    def _shrink(self, picture: Picture, target: U8) -> None:
        self._shrinker.shrink(picture.y if isinstance(picture, I420) else picture[:, :, 1], target)
