"""The room without the person, learnt as it is revealed, and what it tells about alpha."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import SettingsError
from rtmatte.frame import F32, I420, U8, Frame, Picture
from rtmatte.refine import clean_plate_kernels as kernels
from rtmatte.small import SmallPlanes

_CHROMA_WEIGHT = 2.0
_BACKGROUND = 0.05
"""No alpha about a cell above this: it shows the room."""
_MARGIN = np.ones((7, 7), np.uint8)
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_KNOWN_S = 0.2
_MEMORY_S = 0.8
"""How fast the plate follows changes of light."""
_CONTRAST = 6.7
"""Of foreground and plate, in units of the noise, at which the plate has half a say."""
_WINDOW = (11, 11)
_MOVED = 0.3
"""Of the cells that show the room: when more than this differ from the plate, the camera has moved or the light was
switched. None of seven clips with a still camera ever got there; a pan over bookshelves did in 86 of 150 frames, a slow
one over a plain wall in 3 of 60, and no clip with a moving camera came out worse for the rest."""
_DIFFERS = 4.0
"""In units of the noise."""
_LEAST_DIFFERENCE = 6.0
_NOISE_RANGE = (1.0, 6.0)
_LEAST_CHECKED = 0.05
_EVERY = np.s_[::2, ::2]
"""Enough cells to tell the noise and another room by."""
_EQUALS = 2.5
"""In units of the noise, the root mean square of 5x5 cells."""
_CLUTTER_S = 1.0
_STANDS_OUT = 6.0, 12.0
"""From where to where what differs from the plate is taken for something before it, in units of the noise, likewise."""
_HINT = 0.02
"""Nothing is raised where the net sees less than this: shadows and whatever else moves are no people."""
_RAISED_BY = 0.75
_STANDS_S = 2.0
"""What differs for so long belongs to the room from then on, unless the net sees a person."""
_GAP_S = 0.5


class CleanPlate:
    """Learns the room where alpha is 0 and corrects alpha by it, at the model's resolution, before refinement.

    In the uncertain band, alpha is solved from C = αF + (1 − α)B with B of the plate and F from sure foreground nearby.
    Where the net has a faint idea of a person and the picture is clearly not the plate, alpha is raised. What has
    equalled the plate for a second is no person and fades out. When much of the room differs from the plate,
    the camera has moved: everything is forgotten, and `forgotten` counts it. Noise is measured on the way. Owned by one
    thread; allocates when the shape changes, and some scratch.
    """

    def __init__(self, photo: Picture | None = None, *, clutter: bool = True) -> None:
        """`photo`: the empty room from the same place, of any size; else the room is learnt. It is only read.

        Raises: `SettingsError` for a photo that isn't a picture.
        """
        if not (photo is None or isinstance(photo, I420) or (photo.ndim == 3 and photo.dtype == np.uint8)):
            raise SettingsError(f"Expected a picture of the room, got {photo.dtype} {photo.shape}.")
        self._photo = photo
        self._clutter = clutter
        self.forgotten = 0
        self._buffers: _Buffers | None = None
        self._noise = 3.0
        self._last_s = 0.0

    def reset(self) -> None:
        """Forgets what was learnt; a photo is kept."""
        if self._buffers is not None:
            self._begin(self._buffers)

    def _begin(self, b: _Buffers) -> None:
        b.known_s.fill(0)
        b.matched_s.fill(0)
        b.stands_s.fill(0)
        if self._photo is not None:
            b.shrink(self._photo)
            b.plate[:] = b.planes
            b.known_s.fill(_MEMORY_S)

    def correct(self, frame: Frame, alpha: F32) -> None:
        """Corrects (h, w) float32 alpha of the frame in place, and learns from both."""
        b, elapsed = self._compare(frame, alpha)
        if b.any_known:
            kernels.raise_what_stands_out(b.squared, b.known, self._noise, _HINT, *_STANDS_OUT, _RAISED_BY, alpha)
            self._settle(b, alpha)
            if self._clutter:
                self._drop_clutter(b, elapsed, alpha)
        self._learn(b, elapsed)

    def learn(self, frame: Frame, alpha: F32) -> None:
        """Learns from (h, w) float32 alpha of the frame, and leaves it as it is."""
        b, elapsed = self._compare(frame, alpha)
        if b.any_known and self._clutter:
            np.copyto(b.band, alpha)
            self._drop_clutter(b, elapsed, b.band)
        self._learn(b, elapsed)

    def _drop_clutter(self, b: _Buffers, elapsed: float, alpha: F32) -> None:
        limit = (_EQUALS * self._noise) ** 2
        kernels.drop_clutter(b.squared, b.known, limit, b.matched_s, elapsed, _CLUTTER_S, alpha)

    def _compare(self, frame: Frame, alpha: F32) -> tuple[_Buffers, float]:
        """How far the frame is from the plate, and the seconds since the last one."""
        seconds = float(frame.pts_seconds)
        elapsed = seconds - self._last_s
        self._last_s = seconds
        if self._buffers is None or self._buffers.shape_hw != alpha.shape:
            self._buffers = _Buffers((alpha.shape[0], alpha.shape[1]))
            self._begin(self._buffers)
        elapsed = elapsed if 0 < elapsed <= _GAP_S else 1 / 30
        b = self._buffers
        b.shrink(frame.picture)
        kernels.compare(b.planes, b.plate, _CHROMA_WEIGHT, b.squared)
        cv2.dilate(alpha, _MARGIN, dst=b.nearby)
        self._check_camera(b)
        np.multiply(b.known_s, 1 / _KNOWN_S, out=b.known)
        np.floor(b.known, out=b.known)
        np.minimum(b.known, 1, out=b.known)
        b.any_known = bool(b.known.any())
        if b.any_known:
            cv2.blur(b.squared, (5, 5), dst=b.squared)
        return b, elapsed

    def _learn(self, b: _Buffers, elapsed: float) -> None:
        if b.any_known:
            limit = (_STANDS_OUT[0] * self._noise) ** 2
            kernels.hold_back(b.squared, b.known, limit, b.stands_s, elapsed, _STANDS_S, b.nearby)
        kernels.learn(b.planes, b.nearby, _BACKGROUND, b.plate, b.known_s, elapsed, _MEMORY_S)

    def _check_camera(self, b: _Buffers) -> None:
        """Measures the noise where the room shows, or forgets all where it is another room."""
        squared, nearby, known_s = b.squared[_EVERY], b.nearby[_EVERY], b.known_s[_EVERY]
        distances = np.sqrt(squared[(nearby < _BACKGROUND) & (known_s > 0)])
        if distances.size < _LEAST_CHECKED * squared.size:
            return
        if float((distances > max(_LEAST_DIFFERENCE, _DIFFERS * self._noise)).mean()) > _MOVED:
            b.known_s.fill(0)
            b.matched_s.fill(0)
            self.forgotten += 1
        else:
            self._noise += 0.1 * (float(np.clip(np.median(distances), *_NOISE_RANGE)) - self._noise)

    def _settle(self, b: _Buffers, alpha: F32) -> None:
        kernels.weigh(b.planes, alpha, b.weighted)
        cv2.blur(b.weighted, _WINDOW, dst=b.weighted, borderType=cv2.BORDER_REPLICATE)
        cv2.inRange(alpha, 0.03, 0.97, dst=b.soft)
        cv2.dilate(b.soft, _NEIGHBOURS, dst=b.soft)
        np.copyto(b.band, b.soft)
        cv2.GaussianBlur(b.band, (0, 0), 1, dst=b.band)
        np.divide(b.band, np.float32(255), out=b.band)
        kernels.settle(b.planes, b.plate, b.known, b.weighted, b.band, alpha, _CHROMA_WEIGHT, _CONTRAST * self._noise)


class _Buffers:
    """Everything of one alpha's shape."""

    def __init__(self, shape_hw: tuple[int, int]) -> None:
        self.shape_hw = shape_hw
        self._small = SmallPlanes()
        self._pixels: U8 = np.empty((*shape_hw, 3), np.uint8)
        self.planes: U8 = np.empty((3, *shape_hw), np.uint8)
        self.plate: F32 = np.zeros((3, *shape_hw), np.float32)
        self.weighted: F32 = np.empty((*shape_hw, 4), np.float32)
        self.soft: U8 = np.empty(shape_hw, np.uint8)
        self.known_s, self.matched_s, self.stands_s = (_zeros(shape_hw) for _ in range(3))
        self.known, self.squared, self.nearby = (_zeros(shape_hw) for _ in range(3))
        self.band = _zeros(shape_hw)
        self.any_known = False

    def shrink(self, picture: Picture) -> None:
        """Y, U, V of a picture into `planes`."""
        self._small.shrink(picture, self.planes)
        if not isinstance(picture, I420):
            cv2.merge(list(self.planes), dst=self._pixels)
            cv2.cvtColor(self._pixels, cv2.COLOR_BGR2YUV, dst=self._pixels)
            cv2.split(self._pixels, mv=list(self.planes))


def _zeros(shape_hw: tuple[int, int]) -> NDArray[np.float32]:
    return np.zeros(shape_hw, np.float32)
