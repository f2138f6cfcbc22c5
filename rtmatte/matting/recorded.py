"""A matte that exists already, in the place of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, U8, Frame


class RecordedAlpha:
    """A `Matter` that replays given alphas: frame i gets alpha i, at the alpha's own resolution.

    For mattes that were made elsewhere, and for tests and benchmarks that need a known alpha.
    """

    def __init__(self, alphas: Iterable[F32 | U8], *, name: str = "recorded") -> None:
        """Each alpha is (h, w), float32 in [0, 1] or uint8 with 255 = foreground.

        A sequence or an (N, h, w) array is looked up by `frame.index`. Any other iterable is read as far as the frame
        needs and not kept, so that frames can only be asked for in rising order.
        """
        self.name = name
        self.provider = "recorded alpha"
        self._lookup = alphas if isinstance(alphas, Sequence | np.ndarray) else None
        self._rest: Iterator[F32 | U8] = iter(alphas)
        self._index = -1  # of what `_alpha` holds
        self._alpha: F32 = np.empty((0, 0), np.float32)

    def estimate(self, frame: Frame) -> F32:
        """The alpha of `frame.index`, (h, w) float32 in [0, 1]. Copied, so that nobody writes into the recording.

        Raises:
            ModelOutputError: no alpha for that frame, or one that is not an alpha; states expected and got.
        """
        if frame.index != self._index or self._lookup is not None:
            self._take(self._recorded(frame.index), frame.index)
        return self._alpha

    def reset(self) -> None:
        """Nothing to forget."""

    def _recorded(self, index: int) -> F32 | U8:
        if self._lookup is not None:
            if not 0 <= index < len(self._lookup):
                raise ModelOutputError(f"expected an alpha for frame {index}, got {len(self._lookup)} alphas")
            found: F32 | U8 = self._lookup[index]
            return found
        if index <= self._index:
            raise ModelOutputError(f"expected frames in rising order, got frame {index} after frame {self._index}")
        for alpha in self._rest:
            self._index += 1
            if self._index == index:
                return alpha
        raise ModelOutputError(f"expected an alpha for frame {index}, got {self._index + 1} alphas")

    def _take(self, alpha: NDArray[np.generic], index: int) -> None:
        if alpha.ndim != 2 or alpha.size == 0 or alpha.dtype not in (np.uint8, np.float32):
            raise ModelOutputError(
                f"alpha of frame {index}: expected (h, w) float32 or uint8, got {alpha.dtype} {alpha.shape}"
            )
        if self._alpha.shape != alpha.shape:
            self._alpha = np.empty(alpha.shape, np.float32)
        if alpha.dtype == np.uint8:
            np.divide(alpha, np.float32(255), out=self._alpha)
            return
        low, high = float(alpha.min()), float(alpha.max())
        if not 0 <= low <= high <= 1:
            raise ModelOutputError(f"alpha of frame {index}: expected values in [0, 1], got {low} to {high}")
        np.copyto(self._alpha, alpha)
