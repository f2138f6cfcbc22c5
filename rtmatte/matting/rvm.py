"""Robust Video Matting: people in video, with a memory of the frames before. GPL-3.0; never shipped, users pull it.

Reference: Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022. Only the form of its
ONNX export is known here: inputs src, r1i to r4i and downsample_ratio; outputs fgr, pha and r1o to r4o.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import F32, U8, Frame, picture_size_wh
from rtmatte.matting.image_net import normalise
from rtmatte.matting.net_spec import InputSpec
from rtmatte.matting.preparing import preparing
from rtmatte.matting.preprocess import Preprocessor
from rtmatte.matting.session import Binding, OnnxSession

_STATES = {"r1i": "r1o", "r2i": "r2o", "r3i": "r3o", "r4i": "r4o"}
_BYTES_TO_UNIT = InputSpec()
_BACKBONE_SIDE = 512
"""The longer side that the network looks at; it brings alpha back to the picture's size by itself."""


class Rvm:
    """A `Matter` with memory. Owned by one thread; allocates when a frame size is first seen.

    The four states go round: what one run writes the next one reads, without a copy, and on a GPU they stay there. So
    does the foreground, until somebody asks for it.
    """

    fine = True

    def __init__(
        self,
        session: OnnxSession,
        *,
        name: str = "rvm",
        long_side: int = 1280,
        sample_aspect_ratio: Fraction = Fraction(1),
    ) -> None:
        """Frames of a longer side than `long_side` pixels are shrunk to it, smaller ones are taken as they are.

        Raises:
            SettingsError: a side or ratio that isn't positive, or a graph without these inputs and outputs.
        """
        if long_side < 1 or sample_aspect_ratio <= 0:
            raise SettingsError(f"expected a positive side and aspect ratio, got {long_side}, {sample_aspect_ratio}")
        for port in ("src", "downsample_ratio", *_STATES):
            session.input_name(port)
        for port in ("fgr", "pha", *_STATES.values()):
            session.output_name(port)
        self.name = name
        self.provider = session.provider
        self._session = session
        self._long_side = long_side
        self._sample_aspect_ratio = sample_aspect_ratio
        self._preprocessor = Preprocessor(sample_aspect_ratio=sample_aspect_ratio)
        self._picture_rgb: U8 = np.empty((0, 0, 3), np.uint8)
        self._alpha: F32 = np.empty((0, 0), np.float32)
        # States of one zero each, which the network spreads to their size: no past yet.
        self._states = session.states(_STATES, (1, 1, 1, 1), ["fgr"])
        self._binding = Binding({}, {}, self._states)
        self._has_run = False

    @property
    def provider_reason(self) -> str:
        """The session's, and what came of the states."""
        note = self._states.note
        return f"{self._session.provider_reason}; {note}" if note else self._session.provider_reason

    @property
    def provider_missed(self) -> str:
        """The session's."""
        return self._session.provider_missed

    @property
    def seconds_building(self) -> float:
        """The session's, as it is now."""
        return self._session.seconds_building

    @property
    def foreground_rgb(self) -> F32:
        """The last frame's own foreground colours: (3, h, w) float32 in [0, 1], RGB; fetched from the device."""
        if not self._has_run:
            return np.empty((3, 0, 0), np.float32)
        return np.asarray(self._states.fetch("fgr")[0], np.float32)

    def estimate(self, frame: Frame) -> F32:
        """Alpha of the frame, (h, w) float32 in [0, 1], at the frame's displayed size or `long_side`.

        A frame of another size than the one before forgets the past. Releases the GIL.

        Raises:
            ModelOutputError: the network failed or gave a value that is not finite.
        """
        shape_hw = self._shape_hw(picture_size_wh(frame.picture))
        if self._picture_rgb.shape[:2] != shape_hw:
            self._picture_rgb = np.empty((*shape_hw, 3), np.uint8)
            self._alpha = np.empty(shape_hw, np.float32)
            self._binding = self._bind(shape_hw)
            self.reset()
        with preparing():
            self._preprocessor.write(frame.picture, shape_hw, self._picture_rgb)
            for channel in range(3):
                plane = self._binding.inputs["src"][0, channel]
                normalise(self._picture_rgb[:, :, channel], _BYTES_TO_UNIT, channel, plane)
        self._has_run = False
        self._session.run(self._binding)
        self._has_run = True
        alpha = self._binding.output[0, 0]
        if not math.isfinite(float(alpha.sum(dtype=np.float64))):
            self.reset()
            raise ModelOutputError(
                f"{self.name} on {self.provider}: expected finite values for frame {frame.index}, got NaN or infinity"
            )
        return np.clip(alpha, 0, 1, out=self._alpha)

    def reset(self) -> None:
        """Forgets the frames before: a scene cut, another size, a gap."""
        self._states.forget()
        self._has_run = False

    def _shape_hw(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        display_w, height = size_wh[0] * self._sample_aspect_ratio, Fraction(size_wh[1])
        scale = min(Fraction(1), self._long_side / max(display_w, height))
        return max(1, round(height * scale)), max(1, round(display_w * scale))

    def _bind(self, shape_hw: tuple[int, int]) -> Binding:
        ratio = np.array([min(1.0, _BACKBONE_SIDE / max(shape_hw))], np.float32)
        picture = self._session.new_input("src", (1, 3, *shape_hw))
        alpha = np.zeros((1, 1, *shape_hw), np.float32)
        return Binding({"src": picture, "downsample_ratio": ratio}, {"pha": alpha}, self._states)
