"""Robust Video Matting: people in video, with a memory of the frames before. GPL-3.0; never shipped, users pull it.

Reference: Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022. Only the form of its
ONNX export is known here: inputs src, r1i to r4i and downsample_ratio; outputs fgr, pha and r1o to r4o.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import F32, U8, Frame, picture_size_wh
from rtmatte.matting.image_net import normalise
from rtmatte.matting.net_spec import InputSpec
from rtmatte.matting.preprocess import Preprocessor
from rtmatte.matting.session import Binding, OnnxSession

_STATE_IN, _STATE_OUT = ("r1i", "r2i", "r3i", "r4i"), ("r1o", "r2o", "r3o", "r4o")
_BYTES_TO_UNIT = InputSpec()
_BACKBONE_SIDE = 512
"""The longer side that the network looks at; it brings alpha back to the picture's size by itself."""


class Rvm:
    """A `Matter` with memory. Owned by one thread; allocates when a frame size is first seen and after `reset`.

    The four states go round: what one run writes the next one reads, without a copy.
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
        for port in ("src", "downsample_ratio", *_STATE_IN):
            session.input_name(port)
        for port in ("fgr", "pha", *_STATE_OUT):
            session.output_name(port)
        self.name = name
        self.provider = session.provider
        self.provider_reason = session.provider_reason
        self._session = session
        self._long_side = long_side
        self._sample_aspect_ratio = sample_aspect_ratio
        self._preprocessor = Preprocessor(sample_aspect_ratio=sample_aspect_ratio)
        self._picture_rgb: U8 = np.empty((0, 0, 3), np.uint8)
        self._alpha: F32 = np.empty((0, 0), np.float32)
        self._foreground: F32 = np.empty((3, 0, 0), np.float32)
        self._bindings: tuple[Binding, ...] = ()
        self._runs = 0

    @property
    def foreground_rgb(self) -> F32:
        """The last frame's own foreground colours: (3, h, w) float32 in [0, 1], RGB; overwritten by the next frame."""
        return self._foreground

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
            self.reset()
        self._preprocessor.write(frame.picture, shape_hw, self._picture_rgb)
        binding = self._run(shape_hw)
        self._foreground = np.asarray(binding.outputs["fgr"][0], np.float32)
        alpha = binding.outputs["pha"][0, 0]
        if not math.isfinite(float(alpha.sum(dtype=np.float64))):
            self.reset()
            raise ModelOutputError(
                f"{self.name} on {self.provider}: expected finite values for frame {frame.index}, got NaN or infinity"
            )
        return np.clip(alpha, 0, 1, out=self._alpha)

    def reset(self) -> None:
        """Forgets the frames before: a scene cut, another size, a gap."""
        self._bindings = ()
        self._runs = 0

    def _shape_hw(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        display_w, height = size_wh[0] * self._sample_aspect_ratio, Fraction(size_wh[1])
        scale = min(Fraction(1), self._long_side / max(display_w, height))
        return max(1, round(height * scale)), max(1, round(display_w * scale))

    def _run(self, shape_hw: tuple[int, int]) -> Binding:
        if not self._bindings:
            first = self._first(shape_hw)
            self._fill(first)
            started = self._session.start(first, ("fgr", "pha", *_STATE_OUT))
            self._bindings = _turns(started)
            return started
        binding = self._bindings[self._runs % 2]
        self._runs += 1
        self._fill(binding.inputs)
        self._session.run(binding)
        return binding

    def _first(self, shape_hw: tuple[int, int]) -> dict[str, np.ndarray]:
        """No past yet: states of one zero each, which the network spreads to their size."""
        ratio = np.array([min(1.0, _BACKBONE_SIDE / max(shape_hw))], np.float32)
        states = {name: self._session.new_input(name, (1, 1, 1, 1)) for name in _STATE_IN}
        return {"src": self._session.new_input("src", (1, 3, *shape_hw)), **states, "downsample_ratio": ratio}

    def _fill(self, inputs: Mapping[str, np.ndarray]) -> None:
        for channel in range(3):
            normalise(self._picture_rgb[:, :, channel], _BYTES_TO_UNIT, channel, inputs["src"][0, channel])


def _turns(started: Binding) -> tuple[Binding, Binding]:
    """Two bindings that hand the states to each other: the first reads what `started` wrote."""
    pictures = {name: started.outputs[name] for name in ("fgr", "pha")}
    others = {name: np.empty_like(started.outputs[name]) for name in _STATE_OUT}
    fixed = {name: started.inputs[name] for name in ("src", "downsample_ratio")}
    written = [{name: started.outputs[name] for name in _STATE_OUT}, others]
    turns = []
    for read, write in (written, written[::-1]):
        states = {given: read[wanted] for given, wanted in zip(_STATE_IN, _STATE_OUT, strict=True)}
        turns.append(Binding({**fixed, **states}, {**pictures, **write}))
    return turns[0], turns[1]
