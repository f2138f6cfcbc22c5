"""The kernels against exact arithmetic, over all values there are and over odd sizes."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from rtmatte import color_kernels
from rtmatte.composite import kernels
from tests.frames import means_of_blocks

SIZES = st.tuples(st.integers(1, 37), st.integers(1, 70))
BYTES = np.arange(256, dtype=np.uint8)


def random_u8(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("alpha", [0, 1, 2, 63, 127, 128, 129, 200, 254, 255])
def test_every_pair_of_values_is_mixed_exactly(alpha: int) -> None:
    f, b = np.meshgrid(BYTES, BYTES)
    mixed = f.copy()
    kernels.blend_plane(mixed, np.ascontiguousarray(b), np.full_like(mixed, alpha))
    exact = f * (alpha / 255) + b * (1 - alpha / 255)
    assert np.array_equal(mixed, np.floor(exact + 0.5))


def test_every_alpha_is_mixed_exactly() -> None:
    f, a = np.meshgrid(BYTES, BYTES)
    for background in (0, 1, 16, 128, 254, 255):
        mixed = f.copy()
        kernels.blend_plane(mixed, np.full_like(mixed, background), np.ascontiguousarray(a))
        whole = f.astype(int) * a + background * (255 - a.astype(int))
        assert np.array_equal(mixed, (whole + 127) // 255)


@given(SIZES, st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_the_ends_the_symmetry_and_the_inputs(shape: tuple[int, int], seed: int) -> None:
    f, b, a = (random_u8(shape, seed + offset) for offset in (0, 100, 200))
    one_way, other_way, unread = f.copy(), b.copy(), (b.copy(), a.copy())
    kernels.blend_plane(one_way, b, a)
    kernels.blend_plane(other_way, f, 255 - a)
    assert np.array_equal(one_way, other_way)
    assert np.array_equal(one_way[a == 0], b[a == 0])
    assert np.array_equal(one_way[a == 255], f[a == 255])
    assert np.array_equal(b, unread[0])
    assert np.array_equal(a, unread[1])
    same = f.copy()
    kernels.blend_plane(same, f, a)
    assert np.array_equal(same, f)


@given(SIZES, st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_interleaved_colour_is_mixed_as_planes_are(shape: tuple[int, int], seed: int) -> None:
    f, b, a = random_u8((*shape, 3), seed), random_u8((*shape, 3), seed + 100), random_u8(shape, seed + 200)
    wanted = []
    for channel in range(3):
        plane = f[:, :, channel].copy()
        kernels.blend_plane(plane, b[:, :, channel].copy(), a)
        wanted.append(plane)
    kernels.blend_bgr(f, b, a)
    assert np.array_equal(f, np.stack(wanted, axis=2))


@given(SIZES, st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_chroma_alpha_is_the_rounded_mean(shape: tuple[int, int], seed: int) -> None:
    alpha = random_u8(shape, seed)
    half = np.zeros(((shape[0] + 1) // 2, (shape[1] + 1) // 2), np.uint8)
    kernels.halve_alpha(alpha, half)
    assert np.array_equal(half, np.floor(means_of_blocks(alpha) + 0.5))


@given(SIZES, st.integers(0, 9))
@settings(max_examples=50, deadline=None)
def test_blanking_takes_what_alpha_hides_and_nothing_else(shape: tuple[int, int], seed: int) -> None:
    alpha = random_u8(shape, seed) * (random_u8(shape, seed + 1) > 180).astype(np.uint8)
    luma, colour = random_u8(shape, seed + 2), random_u8((*shape, 3), seed + 3)
    half_hw = (shape[0] + 1) // 2, (shape[1] + 1) // 2
    u, v = random_u8(half_hw, seed + 4), random_u8(half_hw, seed + 5)
    hidden = means_of_blocks(alpha) == 0
    wanted = [np.where(alpha, luma, 16), np.where(alpha[:, :, None], colour, 0), np.where(hidden, 128, u)]
    wanted.append(np.where(hidden, 128, v))
    kernels.blank_plane(luma, alpha, 16)
    kernels.blank_plane(colour, alpha, 0)
    kernels.blank_chroma(u, v, alpha)
    for got, exact in zip((luma, colour, u, v), wanted, strict=True):
        assert np.array_equal(got, exact)


@pytest.mark.parametrize("name", ["blend_plane", "blend_bgr"])
def test_the_blends_compile_to_packed_16_bit_multiplications(name: str) -> None:
    if not llvm.get_host_cpu_features().get("avx2", False):
        pytest.skip("no AVX2 on this processor")
    pixels = random_u8((32, 64, 3) if name == "blend_bgr" else (32, 64))
    compiled = njit(nogil=True)(getattr(kernels, name).py_func)  # afresh: cached code has no assembly to look at
    compiled(pixels.copy(), pixels, random_u8((32, 64)))
    (assembly,) = compiled.inspect_asm().values()
    assert re.search(r"vpmullw\s.*%[yz]mm", assembly)


ROW, WIDE = np.zeros(64, np.uint8), np.zeros(128, np.int32)
COLOR_ROWS = {
    "spread_offsets": (ROW, ROW, np.float32(1), np.float32(1), np.float32(1), WIDE),
    "recolor_luma_row": (np.zeros(128, np.uint8), np.int32(65536), WIDE),
    "recolor_chroma_row": (ROW.copy(), ROW.copy(), np.zeros((3, 4), np.float32)),
}


@pytest.mark.parametrize("name", COLOR_ROWS)
def test_recolouring_compiles_to_packed_arithmetic(name: str) -> None:
    if not llvm.get_host_cpu_features().get("avx2", False):
        pytest.skip("no AVX2 on this processor")
    compiled = njit(nogil=True)(getattr(color_kernels, name).py_func)
    compiled(*COLOR_ROWS[name])
    (assembly,) = compiled.inspect_asm().values()
    assert re.search(r"v(pmull|fmadd\d+p|mulp)[ds]\s.*%[yz]mm", assembly)
