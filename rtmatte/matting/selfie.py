"""MediaPipe's selfie nets: people near a webcam, a frame at a time.

Reference: Google, "MediaPipe Selfie Segmentation", model card of 2021.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, Frame
from rtmatte.matting.preprocess import Preprocessor
from rtmatte.matting.session import OnnxSession


class Selfie:
    """A `Matter` that looks at one frame at a time. Owned by one thread; allocates when a frame size is first seen.

    Every frame is stretched to the size that the net was trained on, as MediaPipe does.
    """

    def __init__(
        self,
        session: OnnxSession,
        *,
        name: str,
        size_wh: tuple[int, int],
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        """`size_wh` of the model's picture in pixels; `sample_aspect_ratio` of the frames' pixels.

        Raises:
            SettingsError: the ratio isn't positive.
        """
        self.name = name
        self.provider = session.provider
        self.provider_reason = session.provider_reason
        self._session = session
        self._size_hw = size_wh[1], size_wh[0]
        self._preprocessor = Preprocessor(sample_aspect_ratio=sample_aspect_ratio)
        self._alpha: F32 = np.empty(self._size_hw, np.float32)

    def estimate(self, frame: Frame) -> F32:
        """Alpha of the frame, (h, w) float32 in [0, 1], at the model's size whatever the frame's. Releases the GIL.

        Raises:
            ModelOutputError: the network failed or gave a value that is not finite.
        """
        binding = self._session.bind((1, *self._size_hw, 3), (1, *self._size_hw))
        self._preprocessor.write(frame.picture, self._size_hw, binding.input[0])
        self._session.run(binding)
        if not math.isfinite(float(binding.output.sum(dtype=np.float64))):
            raise ModelOutputError(
                f"{self.name} on {self.provider}: expected finite values for frame {frame.index}, got NaN or infinity"
            )
        return np.clip(binding.output[0], 0, 1, out=self._alpha)

    def reset(self) -> None:
        """Nothing to forget."""
