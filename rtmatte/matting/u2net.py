"""U²-Net: what stands out in a single picture.

Reference: Qin et al., "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition
106, 2020.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, Frame
from rtmatte.matting.preprocess import Preprocessor
from rtmatte.matting.session import OnnxSession


class U2Net:
    """A `Matter` that looks at one frame at a time. Owned by one thread; allocates when a frame size is first seen.

    Alpha is what the network says, never stretched to the frame's own extremes: an empty room stays empty.
    """

    def __init__(
        self,
        session: OnnxSession,
        *,
        name: str = "u2netp",
        long_side: int = 320,
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        """`long_side` of the model's picture in pixels, a multiple of 32; `sample_aspect_ratio` of the frames' pixels.

        Raises:
            SettingsError: either of them out of range.
        """
        self.name = name
        self.provider = session.provider
        self.provider_reason = session.provider_reason
        self._session = session
        self._preprocessor = Preprocessor(long_side=long_side, sample_aspect_ratio=sample_aspect_ratio)
        self._alpha: F32 = np.empty((0, 0), np.float32)

    def estimate(self, frame: Frame) -> F32:
        """Alpha of the frame, (h, w) float32 in [0, 1]; its longer side is `long_side`. Releases the GIL.

        Raises:
            ModelOutputError: the network failed or gave a value that is not finite.
        """
        fit = self._preprocessor.fit(frame)
        binding = self._session.bind((1, *fit.padded_hw, 3), (1, *fit.padded_hw))
        self._preprocessor.write(frame.picture, fit.content_hw, binding.input[0])
        self._session.run(binding)
        if not math.isfinite(float(binding.output.sum(dtype=np.float64))):
            raise ModelOutputError(
                f"{self.name} on {self.provider}: expected finite values for frame {frame.index}, got NaN or infinity"
            )
        if self._alpha.shape != fit.content_hw:
            self._alpha = np.empty(fit.content_hw, np.float32)
        height, width = fit.content_hw
        return np.clip(binding.output[0, :height, :width], 0, 1, out=self._alpha)

    def reset(self) -> None:
        """Nothing to forget."""
