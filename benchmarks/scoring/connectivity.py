"""Up to which level each pixel of a matte hangs together with the largest piece: the slow part of Conn, as a kernel.

Runs of pixels are joined instead of pixels: a person is a few runs a row, so that ten levels of a 720x572 frame take a
few milliseconds.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

U8: TypeAlias = NDArray[np.uint8]
I32: TypeAlias = NDArray[np.int32]

_LEVELS = np.array([-(-255 * tenth // 10) for tenth in range(11)], np.uint8)
"""The least byte of alpha that reaches each tenth."""


def connectivity_error(alpha: U8, truth: U8) -> float:
    """Sum over all pixels of how differently alpha and truth stand above the level up to which they are connected.

    Less than 0.15 above that level counts as connected.
    """
    return float(_summed_difference(alpha, truth, connected_levels(np.minimum(alpha, truth))))


def connected_levels(alpha: U8) -> U8:
    """For each pixel the level, 0 to 10 tenths, from whose next one on it isn't in the largest piece; (H, W) uint8.

    A piece is 4-connected and consists of all pixels that reach a level; of equally large ones, the first from the top
    left counts. Reference: Rhemann et al. 2009, in the form of the usual evaluation scripts (first failure counts).
    """
    levels = np.full(alpha.shape, 10, np.uint8)
    settled = np.zeros(alpha.shape, np.bool_)
    most_runs = alpha.shape[0] * ((alpha.shape[1] + 1) // 2)
    runs = np.empty((most_runs, 3), np.int32)
    parent, sizes = np.empty(most_runs, np.int32), np.empty(most_runs, np.int32)
    for tenth in range(1, 11):
        count = _find_runs(alpha, _LEVELS[tenth], runs)
        best = _largest_piece(runs, count, parent, sizes)
        _settle(runs, count, parent, best, tenth - 1, levels, settled)
    return levels


@njit(nogil=True, cache=True)
def _find_runs(alpha: U8, least: int, runs: I32) -> int:
    """Fills `runs` with (row, first column, column after the last) in reading order; returns how many."""
    count = 0
    for y in range(alpha.shape[0]):
        begun = -1
        for x in range(alpha.shape[1]):
            if alpha[y, x] >= least:
                if begun < 0:
                    begun = x
            elif begun >= 0:
                runs[count, 0], runs[count, 1], runs[count, 2] = y, begun, x
                count += 1
                begun = -1
        if begun >= 0:
            runs[count, 0], runs[count, 1], runs[count, 2] = y, begun, alpha.shape[1]
            count += 1
    return count


@njit(nogil=True, cache=True)
def _root(parent: I32, run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@njit(nogil=True, cache=True)
def _largest_piece(runs: I32, count: int, parent: I32, sizes: I32) -> int:
    """Joins the runs that touch; returns the root of the largest piece, -1 without runs."""
    for run in range(count):
        parent[run] = run
        sizes[run] = 0
    above = 0
    for run in range(count):
        y, begin, end = runs[run, 0], runs[run, 1], runs[run, 2]
        while runs[above, 0] < y - 1 or (runs[above, 0] == y - 1 and runs[above, 2] <= begin):
            above += 1
        other = above
        while runs[other, 0] == y - 1 and runs[other, 1] < end:
            a, b = _root(parent, other), _root(parent, run)
            parent[max(a, b)] = min(a, b)
            other += 1
    best = -1
    for run in range(count):
        root = _root(parent, run)
        sizes[root] += runs[run, 2] - runs[run, 1]
    for run in range(count):
        if parent[run] == run and (best < 0 or sizes[run] > sizes[best]):
            best = run
    return best


@njit(nogil=True, cache=True)
def _settle(runs: I32, count: int, parent: I32, best: int, level: int, levels: U8, settled: NDArray[np.bool_]) -> None:
    """Gives `level` to every pixel outside the best piece that has no level yet."""
    run = 0
    for y in range(levels.shape[0]):
        x = 0
        while run < count and runs[run, 0] == y:
            if _root(parent, run) == best:
                _settle_run(levels, settled, y, x, runs[run, 1], level)
                x = runs[run, 2]
            run += 1
        _settle_run(levels, settled, y, x, levels.shape[1], level)


@njit(nogil=True, cache=True)
def _settle_run(levels: U8, settled: NDArray[np.bool_], y: int, begin: int, end: int, level: int) -> None:
    for x in range(begin, end):
        if not settled[y, x]:
            settled[y, x] = True
            levels[y, x] = level


@njit(nogil=True, cache=True)
def _summed_difference(alpha: U8, truth: U8, levels: U8) -> float:
    # In units of 1/2550, so that tenths and bytes are whole numbers.
    total = 0
    for y in range(levels.shape[0]):
        for x in range(levels.shape[1]):
            level = 255 * int(levels[y, x])
            above, true_above = 10 * int(alpha[y, x]) - level, 10 * int(truth[y, x]) - level
            above = above if 2 * above >= 765 else 0
            true_above = true_above if 2 * true_above >= 765 else 0
            total += abs(true_above - above)
    return total / 2550
