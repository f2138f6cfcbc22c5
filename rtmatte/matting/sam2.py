"""Segment Anything 2: cuts out of a still what is clicked, whatever it is. Apache-2.0; users pull it.

Reference: Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. Only the form of its ONNX export is known
here: an encoder from image to image_embed, high_res_feats_0 and _1; a decoder from those and point_coords,
point_labels, mask_input, has_mask_input to masks (logits) and iou_predictions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmatte.clicks import Point
from rtmatte.errors import ModelOutputError, SettingsError
from rtmatte.frame import F32, U8, Frame
from rtmatte.matting.image_net import normalise
from rtmatte.matting.net_spec import IMAGENET
from rtmatte.matting.preprocess import Preprocessor
from rtmatte.matting.session import OnnxSession

_SIDE = 1024
"""Of the encoder's picture, to which any picture is stretched, as upstream does."""
_MASK_SIDE = 256
_AS_GOOD = 0.05
"""Of the IoU that the decoder predicts: of masks this close to each other the whole is rather meant than a part."""
_FEATURES = ("image_embed", "high_res_feats_0", "high_res_feats_1")


class Sam2:
    """A `Matter` and `Prompted`: alpha of what was clicked. For stills: many seconds a picture on a CPU.

    Owned by one thread; allocates. The decoder offers three masks, of a part or of the whole: of those that it thinks
    about as well of as of the best one, the largest is taken.
    """

    def __init__(self, encoder: OnnxSession, decoder: OnnxSession, *, name: str = "sam2") -> None:
        """Raises: `SettingsError` for graphs without these inputs and outputs."""
        encoder.input_name("image")
        for port in ("point_coords", "point_labels", "mask_input", "has_mask_input", *_FEATURES):
            decoder.input_name(port)
        for port in _FEATURES:
            encoder.output_name(port)
        for port in ("masks", "iou_predictions"):
            decoder.output_name(port)
        self.name = name
        self.provider = encoder.provider
        self.provider_reason, self.provider_missed = encoder.provider_reason, encoder.provider_missed
        self._encoder, self._decoder = encoder, decoder
        self._preprocessor = Preprocessor()
        self._picture_rgb: U8 = np.empty((_SIDE, _SIDE, 3), np.uint8)
        self._image = encoder.new_input("image", (1, 3, _SIDE, _SIDE))
        self._keep: tuple[Point, ...] = ()
        self._drop: tuple[Point, ...] = ()

    def prompt(self, keep: Sequence[Point], drop: Sequence[Point]) -> None:
        """What is wanted of the pictures to come, and what of it isn't.

        Raises: `SettingsError` without a point to keep.
        """
        if not keep:
            raise SettingsError(
                f"{self.name} cuts out what is clicked: expected a point to keep, got none.",
                hint="Give one with --keep, such as --keep 50%,60%.",
            )
        self._keep, self._drop = tuple(keep), tuple(drop)

    def estimate(self, frame: Frame) -> F32:
        """Alpha of what was clicked, (256, 256) float32 in [0, 1] whatever the picture's shape. Releases the GIL.

        Raises:
            SettingsError: nothing was clicked.
            ModelOutputError: a network failed, or gave a value that is not finite, or other masks than expected.
        """
        self.prompt(self._keep, self._drop)
        return self._best(*self._masks(self._features(frame)), as_good=_AS_GOOD)

    def estimate_wholes(self, frame: Frame, prompts: Sequence[tuple[Sequence[Point], Sequence[Point]]]) -> list[F32]:
        """As `estimate`, for each of several prompts, but always the largest mask: the person whose face was clicked.

        The encoder runs but once. The last prompt stays.
        """
        features, found = None, []
        for keep, drop in prompts:
            self.prompt(keep, drop)
            features = features or self._features(frame)
            found.append(self._best(*self._masks(features), as_good=math.inf))
        return found

    def _best(self, masks: NDArray[Any], scores: NDArray[Any], *, as_good: float) -> F32:
        """The largest of the masks whose scores are within `as_good` of the best one's."""
        if masks.ndim != 4 or scores.shape != masks.shape[:2] or not masks.size:
            raise ModelOutputError(f"{self.name}: expected masks and their scores, got {masks.shape}, {scores.shape}")
        sizes = np.count_nonzero(masks[0] > 0, axis=(1, 2))
        logits = masks[0, int(np.argmax(np.where(scores[0] >= scores[0].max() - as_good, sizes, -1)))]
        if not math.isfinite(float(logits.sum(dtype=np.float64))):
            raise ModelOutputError(f"{self.name} on {self.provider}: expected finite values, got NaN or infinity")
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)

    def reset(self) -> None:
        """Nothing to forget; what was clicked stays."""

    def _features(self, frame: Frame) -> dict[str, NDArray[Any]]:
        self._preprocessor.write(frame.picture, (_SIDE, _SIDE), self._picture_rgb)
        for channel in range(3):
            normalise(self._picture_rgb[:, :, channel], IMAGENET, channel, self._image[0, channel])
        return dict(self._encoder.start({"image": self._image}, _FEATURES).outputs)

    def _masks(self, features: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
        points = np.array([[*self._keep, *self._drop]], np.float32) * _SIDE
        labels = np.array([[1.0] * len(self._keep) + [0.0] * len(self._drop)], np.float32)
        given = {
            **features,
            "point_coords": points,
            "point_labels": labels,
            "mask_input": np.zeros((1, 1, _MASK_SIDE, _MASK_SIDE), np.float32),
            "has_mask_input": np.zeros(1, np.float32),
        }
        found = self._decoder.start(given, ("masks", "iou_predictions")).outputs
        return found["masks"], found["iou_predictions"]
