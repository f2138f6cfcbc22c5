"""KNN matting against a dense reference, and what it is for."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

from rtmatte.errors import SettingsError
from rtmatte.refine.trimap import unknown_band
from rtmatte.refine.upscale import Upscale
from tests.frames import at, noise_picture
from tests.soft_scenes import blurred, i420_of, mixed, soft_scene

pytest.importorskip("pymatting", reason="extra `quality` is not installed", exc_type=ImportError)

from rtmatte.refine.closed_form import ClosedForm
from rtmatte.refine.knn import KnnMatting


def dense_reference(
    picture: np.ndarray, first_u8: np.ndarray, prior: float, choices: list[tuple[int, float]]
) -> np.ndarray:
    """Alpha 0..255 in float64, with every distance looked at and every pixel in the matrix."""
    height, width = first_u8.shape
    band, first = unknown_band(first_u8).ravel(), first_u8.ravel() / 255
    yuv = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV).reshape(-1, 3) / 255 * [1, 2, 2]
    place = np.array([(x, y) for y in range(height) for x in range(width)], np.float64) / max(height, width)
    apart = np.abs(place[:, None] - place[None]).max(axis=2) * max(height, width)
    reach = math.ceil(0.02 * math.hypot(height, width)) + 0.5
    is_candidate = (apart[:, band] < reach).any(axis=1)
    weights = np.zeros((band.size, band.size))
    for count, weight in choices:
        squares = ((yuv[:, None] - yuv[None]) ** 2).sum(axis=2)
        distances = np.sqrt(squares + ((weight * (place[:, None] - place[None])) ** 2).sum(axis=2))
        distances[:, ~is_candidate] = np.inf
        beyond = np.sort(distances, axis=1)[:, count]
        chosen = (distances < beyond[:, None] * (1 - 1e-9)) & band[:, None]
        weights += (chosen * 1.0 + chosen.T * 1.0) / sum(count for count, _ in choices)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    solved = np.rint(first)
    matrix = laplacian[np.ix_(band, band)] + prior * np.eye(band.sum())
    target = prior * first[band] - laplacian[np.ix_(band, ~band)] @ solved[~band]
    solved[band] = np.linalg.solve(matrix, target)
    return np.asarray(255 * solved.reshape(height, width))


@pytest.mark.parametrize("prior", [0.1, 1.0])
@pytest.mark.parametrize("levels", [256, 4])
def test_it_agrees_with_a_dense_solution(prior: float, levels: int) -> None:
    """With few levels of colour many distances are equal."""
    picture, truth = soft_scene((50, 38))
    noise = np.random.default_rng(3).integers(-20, 21, picture.shape)
    picture = np.clip(picture + noise, 0, 255).astype(np.uint8) // (256 // levels) * (256 // levels)
    choices = [(9, 2.0), (5, 0.1)]
    first = Upscale().refine(at(picture), blurred(truth)).copy()
    found = KnnMatting(Upscale(), prior=prior, neighbors=choices).refine(at(picture), blurred(truth))
    assert 0 < unknown_band(first).sum() < 0.8 * first.size
    assert np.abs(found - first.astype(int)).max() > 20
    assert np.abs(found - dense_reference(picture, first, prior, choices)).max() <= 1


@pytest.mark.parametrize("levels", [256, 4, 2])
def test_a_mirrored_picture_has_the_mirrored_alpha(levels: int) -> None:
    picture, truth = soft_scene((120, 80))
    picture = picture // (256 // levels) * (256 // levels)
    alpha = blurred(truth)
    alpha[:, 70:] = 0  # the alpha itself is no mirror image
    usual = KnnMatting(Upscale()).refine(at(picture), alpha).copy()
    for flip in (0, 1):
        mirrored = KnnMatting(Upscale()).refine(at(cv2.flip(picture, flip)), cv2.flip(alpha, flip))
        assert np.abs(cv2.flip(np.asarray(mirrored), flip) - usual.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["bgr", "i420"])
def test_a_gap_is_known_by_the_background_elsewhere(kind: str) -> None:
    """A gap of 6x6 pixels in a foreground, in a broad region of which the first estimate has half an idea; with a
    camera's noise, since of many equal colours the nearest few lie in the gap itself. The closed form only looks around
    and leaves it as it was."""
    truth = np.zeros((120, 160))
    truth[20:100, 30:130] = 1
    truth[54:60, 78:84] = 0
    first = truth.astype(np.float32)
    first[44:68, 64:96] = 0.5
    noise = np.random.default_rng(0).normal(0, 2, (120, 160, 3))
    picture = np.clip(mixed(truth) + noise, 0, 255).astype(np.uint8)
    frame = at(i420_of(picture) if kind == "i420" else picture)
    found, local = (make(Upscale(), prior=0.1).refine(frame, first)[54:60, 78:84] for make in (KnnMatting, ClosedForm))
    assert found.mean() < 50 < 110 < local.mean()


def test_fewer_pixels_than_neighbours_will_do() -> None:
    alpha = np.zeros((5, 5), np.float32)
    alpha[1, 1] = 1
    found = KnnMatting(Upscale()).refine(at(noise_picture("bgr", (5, 5))), alpha)
    assert found[1, 1] > found[4, 4] == 0


@pytest.mark.parametrize("neighbors", [[], [(1, 2.0)], [(20, 0.0)], [(20, 2.0), (10, -1.0)]])
def test_neighbours_out_of_range_are_refused(neighbors: list[Any]) -> None:
    with pytest.raises(SettingsError, match="counts"):
        KnnMatting(neighbors=neighbors)
