"""How good a matte is, in the units of the papers: one frame against its truth, or two frames against theirs.

Alpha is (H, W) uint8 with 255 = foreground throughout, as it would be composited; sums run over integers where that is
possible, so that most figures are exact. Checked against slow float64 code in tests/test_matting_metrics.py.

References:
    Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009 (Grad, Conn).
    Erofeev et al., "Perceptually motivated benchmark for video matting", BMVC 2015 (dtSSD).
    Lin et al., "Robust high-resolution video matting with temporal guidance", WACV 2022 (units, and all of the above).
    Perazzi et al., "A benchmark dataset and evaluation methodology for video object segmentation", CVPR 2016 (J, F).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from scoring.connectivity import connectivity_error

U8: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]

_GRAD_SIGMA = 1.4
_GRAD_EPSILON = 1e-2
"""Where the Gaussian is cut off."""
_BOUNDARY_TOLERANCE = 0.008
"""Of the diagonal."""
_MASK_FROM = 128
"""Alpha of a mask pixel: over one half."""
_STILL_CHANGE = 3
"""Of a 5x5 mean of luma, in code values: the 99th percentile of what noise and encoder leave where the truth doesn't
change is 3 to 5 on the clips with a still camera."""
_STILL_BLUR = (5, 5)
_LEAST_STILL = 0.01
"""Of the picture; with less, flicker isn't scored."""
_EMPTY_UP_TO = 0.02
"""A truth that covers no more than this of the picture shows an all but empty room."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure by name: its heading with the unit, which way is better, and decimals worth printing."""

    name: str
    heading: str
    better: Literal["lower", "higher"]
    decimals: int


METRICS: tuple[Metric, ...] = (
    Metric("mad", "MAD e-3", "lower", 2),
    Metric("mse", "MSE e-3", "lower", 2),
    Metric("grad", "Grad e3", "lower", 3),
    Metric("conn", "Conn e3", "lower", 3),
    Metric("dtssd", "dtSSD e-2", "lower", 3),
    Metric("boundary_f", "bF %", "higher", 2),
    Metric("boundary_f_narrow", "bF/2 %", "higher", 2),
    Metric("iou", "IoU %", "higher", 2),
    Metric("flicker", "flicker e-2", "lower", 3),
    Metric("empty_alpha", "empty e-3", "lower", 2),
    Metric("foreground_mse", "F MSE e-3", "lower", 3),
    Metric("foreground_edge_mad", "F edge e-3", "lower", 2),
)


def mad(alpha: U8, truth: U8) -> float:
    """Mean absolute difference, x 1000."""
    return cv2.norm(alpha, truth, cv2.NORM_L1) / (255 * truth.size) * 1e3


def mse(alpha: U8, truth: U8) -> float:
    """Mean squared difference, x 1000."""
    return cv2.norm(alpha, truth, cv2.NORM_L2SQR) / (255**2 * truth.size) * 1e3


def grad(alpha: U8, truth: U8) -> float:
    """Summed squared difference of gradient magnitudes (Gaussian derivatives, sigma 1.4), / 1000.

    As in RVM's evaluation each picture is stretched to 0..1 first, which changes nothing for one that holds both a sure
    background and a sure foreground. Where the truth is empty that would blow up a stray 1/255; nothing is stretched.
    """
    stretch = bool(truth.any())
    difference = _gradient(truth, stretch) - _gradient(alpha, stretch)
    return cv2.norm(difference, cv2.NORM_L2SQR) / 1e3


def _gradient(alpha: U8, stretch: bool) -> F32:
    span = int(alpha.max()) - int(alpha.min()) if stretch else 255
    smooth, slope = _gradient_kernels()
    border = cv2.BORDER_REPLICATE
    along_x = cv2.sepFilter2D(alpha, cv2.CV_32F, slope, smooth, borderType=border)
    along_y = cv2.sepFilter2D(alpha, cv2.CV_32F, smooth, slope, borderType=border)
    magnitude = np.asarray(cv2.magnitude(along_x, along_y), np.float32)
    magnitude /= max(span, 1)
    return magnitude


@lru_cache
def _gradient_kernels() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A Gaussian and its derivative, whose product has the Euclidean norm 1."""
    sigma = _GRAD_SIGMA
    reach = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * _GRAD_EPSILON)))
    x = np.arange(-reach, reach + 1, dtype=np.float64)
    smooth = np.exp(-(x**2) / (2 * sigma**2))
    slope = -x * smooth
    return smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)


def conn(alpha: U8, truth: U8) -> float:
    """How much of both mattes isn't connected to the largest common piece at its own level (steps of 0.1), / 1000."""
    return connectivity_error(alpha, truth) / 1e3


def dtssd(alpha: U8, alpha_before: U8, truth: U8, truth_before: U8) -> float:
    """Root mean square of the difference between alpha's change and the truth's, x 100."""
    change = np.subtract(alpha, alpha_before, dtype=np.int16) - np.subtract(truth, truth_before, dtype=np.int16)
    return _rms(change) * 1e2


def flicker(
    alpha: U8, alpha_before: U8, truth: U8, truth_before: U8, luma: U8, luma_before: U8, min_share: float = _LEAST_STILL
) -> float:
    """Root mean square of alpha's change where nothing changes, x 100; NaN if that is less than 1 % of the picture.

    Nothing changes where the truth is equal in both frames and a 5x5 mean of luma differs by 3 code values at most.
    Which pixels these are depends on the clip alone, so figures of different mattes compare. It is dtSSD's own unit.
    """
    moved = cv2.absdiff(cv2.blur(luma, _STILL_BLUR), cv2.blur(luma_before, _STILL_BLUR))
    still = (truth == truth_before) & (moved <= _STILL_CHANGE)
    if np.count_nonzero(still) < min_share * still.size:
        return math.nan
    return _rms(np.subtract(alpha, alpha_before, dtype=np.int16)[still]) * 1e2


def _rms(change: NDArray[np.int16]) -> float:
    """Root mean square of differences of byte alphas, in units of alpha."""
    return math.sqrt(cv2.norm(np.ascontiguousarray(change), cv2.NORM_L2SQR) / max(change.size, 1)) / 255


def iou(alpha: U8, truth: U8) -> float:
    """Intersection over union of the masks (alpha over one half), in %; 100 if both are empty."""
    mask, true_mask = alpha >= _MASK_FROM, truth >= _MASK_FROM
    union = np.count_nonzero(mask | true_mask)
    return 100.0 * np.count_nonzero(mask & true_mask) / union if union else 100.0


def boundary_f(alpha: U8, truth: U8) -> float:
    """F of both masks' outlines in %, as DAVIS: a point is right within 0.8 % of the diagonal; 100 without any."""
    return _outline_f(alpha, truth, _disk(math.ceil(_BOUNDARY_TOLERANCE * math.hypot(*truth.shape))))


def boundary_f_narrow(alpha: U8, truth: U8) -> float:
    """The same, but right within a square whose whole width is 0.8 % of the diagonal: half as much to each side."""
    reach = round(_BOUNDARY_TOLERANCE * math.hypot(*truth.shape) / 2)
    return _outline_f(alpha, truth, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))


def _outline_f(alpha: U8, truth: U8, tolerance: U8) -> float:
    """F of outlines, where points within the footprint `tolerance` of each other agree."""
    outline, true_outline = _outline(alpha), _outline(truth)
    points, true_points = np.count_nonzero(outline), np.count_nonzero(true_outline)
    if not points or not true_points:
        return 100.0 if points == true_points else 0.0
    precision = np.count_nonzero(outline & _dilated(true_outline, tolerance)) / points
    recall = np.count_nonzero(true_outline & _dilated(outline, tolerance)) / true_points
    return 100 * 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _outline(alpha: U8) -> NDArray[np.bool_]:
    """Pixels that differ from their right, lower or lower right neighbour; beyond the picture all is the same."""
    mask = np.pad(alpha >= _MASK_FROM, ((0, 1), (0, 1)), mode="edge")
    here = mask[:-1, :-1]
    return np.asarray((here != mask[:-1, 1:]) | (here != mask[1:, :-1]) | (here != mask[1:, 1:]))


def _dilated(points: NDArray[np.bool_], footprint: U8) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(points.view(np.uint8), footprint)).view(np.bool_)


@lru_cache
def _disk(radius: int) -> U8:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius, np.uint8)


def empty_alpha(alpha: U8, truth: U8) -> float:
    """Mean alpha where the truth is 0, x 1000, on frames that show an all but empty room; NaN on others."""
    room = truth == 0
    if truth.size - np.count_nonzero(room) > _EMPTY_UP_TO * truth.size:
        return math.nan
    return float(alpha[room].mean()) / 255 * 1e3


def foreground_mse(foreground_bgr: U8, true_foreground_bgr: U8, truth: U8) -> float:
    """Mean squared error of the foreground's colours where the true alpha isn't 0, x 1000; NaN without it."""
    there = truth > 0
    if not there.any():
        return math.nan
    return mse(foreground_bgr[there], true_foreground_bgr[there])


def foreground_edge_mad(foreground_bgr: U8, true_foreground_bgr: U8, truth: U8) -> float:
    """Mean absolute error of the foreground's colours weighted by alpha where it is neither 0 nor 1, x 1000.

    That is the error of what the foreground puts into a composite; NaN without such pixels.
    """
    edge = (truth > 0) & (truth < 255)
    if not edge.any():
        return math.nan
    error = np.abs(np.subtract(foreground_bgr[edge], true_foreground_bgr[edge], dtype=np.int16)).mean(axis=1)
    weights = truth[edge].astype(np.float64)
    return float(np.average(error, weights=weights)) / 255 * 1e3
