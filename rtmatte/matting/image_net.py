"""Any net that looks at each picture by itself, run by its spec: one in a run, or several."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import F32, U8, Frame, picture_size_wh
from rtmatte.matting.net_spec import InputSpec, NetSpec, OutputSpec, ShapeHw
from rtmatte.matting.preparing import preparing
from rtmatte.matting.preprocess import Preprocessor
from rtmatte.matting.session import Binding, OnnxSession

_AGREES = 2e-2
"""What a picture's alpha may differ by for what else is in its run: a GPU may compute with sixteen bits."""


class ImageNet:
    """A `Matter` that looks at each frame by itself. Owned by one thread; allocates when a frame size is first seen.

    Alpha is what the network says, never stretched to the frame's own extremes: an empty room stays empty.
    """

    can_be_spared = True

    def __init__(
        self, session: OnnxSession, spec: NetSpec, *, name: str, sample_aspect_ratio: Fraction = Fraction(1)
    ) -> None:
        """`sample_aspect_ratio`: width / height of one pixel of the frames.

        Raises:
            SettingsError: the ratio isn't positive, or the graph has no input or output of the spec's name.
        """
        if sample_aspect_ratio <= 0:
            raise SettingsError(f"expected a positive sample aspect ratio, got {sample_aspect_ratio}")
        self.name = name
        self.provider = session.provider
        self._session = session
        self._input, self._output = spec.input, _Output(spec.output)
        self._input_name = session.input_name(spec.input.name)
        self._output_name = session.output_name(spec.output.name)
        wanted = session.new_input(self._input_name, (0,)).dtype
        if wanted != np.dtype(spec.input.dtype):
            raise SettingsError(f"{name}: expected a model whose input is {spec.input.dtype}, got {wanted}")
        self._sample_aspect_ratio = sample_aspect_ratio
        self._preprocessor = Preprocessor(sample_aspect_ratio=sample_aspect_ratio)
        self._picture_rgb: U8 = np.empty((0, 0, 3), np.uint8)
        self._bindings: dict[tuple[int, ShapeHw], Binding] = {}
        self._has_tried_batches = False
        self.batch_note = ""

    @property
    def provider_reason(self) -> str:
        """The session's, as it is now."""
        return self._session.provider_reason

    @property
    def provider_missed(self) -> str:
        """The session's."""
        return self._session.provider_missed

    @property
    def seconds_building(self) -> float:
        """The session's, as it is now."""
        return self._session.seconds_building

    def estimate(self, frame: Frame) -> F32:
        """Alpha of the frame, (h, w) float32 in [0, 1], at the net's resolution. Releases the GIL.

        Raises:
            ModelOutputError: the network failed, or gave values that aren't finite or aren't where the spec says.
        """
        content_hw, padded_hw = self._shapes(frame)
        binding = self._bind(1, padded_hw)
        self._write(frame, content_hw, padded_hw, binding.input[0])
        self._session.run(binding)
        return self._alpha(binding, 0, frame.index, content_hw, padded_hw)

    def estimate_batch(self, frames: Iterable[Frame], most: int) -> list[F32]:
        """Alpha of each frame, as by `estimate`, in new arrays; `most` frames in one run.

        Each frame is read before the next one is asked for. Where the session should see few shapes every run is of
        `most` pictures, and older ones fill it up; elsewhere it has as many as there are frames. Whether the net can do
        that and keeps its pictures apart is found out by two runs before the first one. If it doesn't keep them apart
        it gets one frame at a time, and `batch_note` says why.

        Raises: as `estimate`, also where only a run of several fails.
        """
        alphas: list[F32] = []
        waiting: list[int] = []
        shapes: tuple[ShapeHw, ShapeHw] = (0, 0), (0, 0)
        for frame in frames:
            if most > 1 and not self._has_tried_batches:
                self._try_batches(frame, most)
            if self.batch_note:
                alphas.append(self.estimate(frame).copy())
                continue
            before, shapes = shapes, self._shapes(frame)
            if waiting and (shapes != before or len(waiting) == most):
                alphas += self._answers(waiting, most, *before)
                waiting = []
            self._write(frame, *shapes, self._bind(most, shapes[1]).input[len(waiting)])
            waiting.append(frame.index)
        return alphas + self._answers(waiting, most, *shapes) if waiting else alphas

    def _shapes(self, frame: Frame) -> tuple[ShapeHw, ShapeHw]:
        return self._input.shapes(picture_size_wh(frame.picture), self._sample_aspect_ratio)

    def _answers(self, indices: list[int], most: int, content_hw: ShapeHw, padded_hw: ShapeHw) -> list[F32]:
        """Of the pictures that are written, which are those of the frames with these indices."""
        whole = self._bind(most, padded_hw)
        places = most if self._session.few_shapes else len(indices)
        inputs, outputs = (
            {name: array[:places] for name, array in arrays.items()} for arrays in (whole.inputs, whole.outputs)
        )
        self._session.run(Binding(inputs, outputs))
        return [self._alpha(whole, place, index, content_hw, padded_hw).copy() for place, index in enumerate(indices)]

    def _try_batches(self, frame: Frame, most: int) -> None:
        """Compares what the net says of a frame among black pictures and among pictures of that frame."""
        content_hw, padded_hw = self._shapes(frame)
        binding = self._bind(most, padded_hw)
        self._write(frame, content_hw, padded_hw, binding.input[0])
        self._session.run(binding)
        alone = self._alpha(binding, 0, frame.index, content_hw, padded_hw).copy()
        binding.input[1:] = binding.input[:1]
        self._session.run(binding)
        alphas = (self._alpha(binding, place, frame.index, content_hw, padded_hw) for place in range(most))
        off = max(float(np.abs(alpha - alone).max()) for alpha in alphas)
        self._has_tried_batches = True
        if off > _AGREES:
            self.batch_note = f"{self.name} says otherwise of a picture, by {off:.2g}, for what else is in its run"

    def _alpha(self, binding: Binding, place: int, index: int, content_hw: ShapeHw, padded_hw: ShapeHw) -> F32:
        """Of one of the pictures of the last run, in an array that the next call overwrites."""
        alpha = self._output.alpha(binding.output[place : place + 1], content_hw, padded_hw)
        if not math.isfinite(float(alpha.sum(dtype=np.float64))):
            raise ModelOutputError(
                f"{self.name} on {self.provider}: expected finite values for frame {index}, got NaN or infinity"
            )
        return np.clip(alpha, 0, 1, out=alpha)

    def reset(self) -> None:
        """Nothing to forget."""

    def _bind(self, pictures: int, padded_hw: ShapeHw) -> Binding:
        """The arrays for so many pictures of that size, the same ever after; where the outputs' shape isn't known, the
        net runs on black once.
        """
        key = pictures, padded_hw
        if key not in self._bindings:
            shape = (pictures, *padded_hw, 3) if self._input.layout == "nhwc" else (pictures, 3, *padded_hw)
            inputs = {self._input_name: self._session.new_input(self._input_name, shape)}
            if self._output.spec.same_size:
                binding = Binding(inputs, {self._output_name: np.zeros((pictures, *padded_hw), np.float32)})
            else:
                binding = self._session.start(inputs, [self._output_name])
            if binding.output.shape[:1] != (pictures,):
                raise ModelOutputError(
                    f"{self.name}: expected an output for {pictures} in a run, got one of shape {binding.output.shape}"
                )
            self._bindings[key] = binding
        return self._bindings[key]

    def _write(self, frame: Frame, content_hw: ShapeHw, padded_hw: ShapeHw, target: np.ndarray) -> None:
        """Fills one of the net's pictures from the frame."""
        with preparing():
            if self._input.dtype == "uint8" and self._input.layout == "nhwc":
                self._preprocessor.write(frame.picture, content_hw, target)
                return
            if self._picture_rgb.shape[:2] != padded_hw:
                self._picture_rgb = np.empty((*padded_hw, 3), np.uint8)
            self._preprocessor.write(frame.picture, content_hw, self._picture_rgb)
            for channel in range(3):
                plane = target[channel] if self._input.layout == "nchw" else target[:, :, channel]
                normalise(self._picture_rgb[:, :, channel], self._input, channel, plane)


def normalise(values: U8, spec: InputSpec, channel: int, target: np.ndarray) -> None:
    """(value / range - mean) / std into float32 `target`, or the bytes as they are into uint8; allocates nothing."""
    if spec.dtype == "uint8":
        np.copyto(target, values)
        return
    np.multiply(values, np.float32(1 / (spec.range * spec.std[channel])), out=target)
    target -= np.float32(spec.mean[channel] / spec.std[channel])


class _Output:
    """From what the net gave to alpha."""

    def __init__(self, spec: OutputSpec) -> None:
        self.spec = spec
        self._alpha: F32 = np.empty((0, 0), np.float32)
        self._scratch: F32 = np.empty((0, 0, 0), np.float32)

    def alpha(self, output: np.ndarray, content_hw: tuple[int, int], padded_hw: tuple[int, int]) -> F32:
        """The frame's part of it, not yet clipped. The array is this object's own.

        Raises:
            ModelOutputError: another number of dimensions, batch or channels than the spec says.
        """
        planes = self._planes(output)
        height, width = planes.shape[1:]
        # The net's alpha may be smaller or larger than its picture: the frame's part of it is then so, too.
        rows = max(1, round(height * content_hw[0] / padded_hw[0]))
        columns = max(1, round(width * content_hw[1] / padded_hw[1]))
        if self._alpha.shape != (rows, columns):
            self._alpha = np.empty((rows, columns), np.float32)
        values = planes[:, :rows, :columns]
        if self.spec.activation == "softmax":
            self._softmax(values)
        else:
            np.copyto(self._alpha, values[self.spec.channel])
        if self.spec.activation == "sigmoid":
            _sigmoid(self._alpha)
        if self.spec.background:
            np.subtract(np.float32(1), self._alpha, out=self._alpha)
        if (self.spec.low, self.spec.high) != (0, 1):
            self._alpha -= np.float32(self.spec.low)
            self._alpha *= np.float32(1 / (self.spec.high - self.spec.low))
        return self._alpha

    def _planes(self, output: np.ndarray) -> np.ndarray:
        """(channels, h, w), as a view."""
        spec = self.spec
        if output.ndim == (3 if spec.layout == "nhw" else 4) and output.shape[0] == 1:
            planes = output if spec.layout == "nhw" else output[0]
            planes = planes.transpose(2, 0, 1) if spec.layout == "nhwc" else planes
            if planes.shape[0] > spec.channel:
                return planes
        raise ModelOutputError(
            f"expected an output of layout {spec.layout} with a channel {spec.channel}, got shape {output.shape}"
        )

    def _softmax(self, values: np.ndarray) -> None:
        if self._scratch.shape != values.shape:
            self._scratch = np.empty(values.shape, np.float32)
        np.max(values, axis=0, out=self._alpha)
        np.subtract(values, self._alpha, out=self._scratch)
        np.exp(self._scratch, out=self._scratch)
        np.sum(self._scratch, axis=0, out=self._alpha)
        np.divide(self._scratch[self.spec.channel], self._alpha, out=self._alpha)


def _sigmoid(values: F32) -> None:
    """In place, by the hyperbolic tangent, which doesn't overflow."""
    values *= np.float32(0.5)
    np.tanh(values, out=values)
    values += np.float32(1)
    values *= np.float32(0.5)
