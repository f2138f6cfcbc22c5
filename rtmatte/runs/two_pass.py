"""Recorded clips gone through twice: first to see everything, then to make each frame with what came after it in mind.

first:   decode ──► estimate ──► remember (alpha, small luma, cuts; the room, if that is to be learnt)
second:  as runs/offline.py has it, with a matter that gives the remembered alpha, averaged over past and future
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rtmatte.capture.source import Source
from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, Frame
from rtmatte.matting.matter import Matter, is_fine
from rtmatte.pool import PicturePool
from rtmatte.refine.clean_plate import CleanPlate
from rtmatte.runs.estimate_stage import estimate_stage
from rtmatte.runs.matting_chain import Matted, MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.settings import VideoSettings
from rtmatte.stats import StageTime
from rtmatte.temporal.around import AroundFilter, Moment
from rtmatte.temporal.remembered import RememberedMoments

_MOST = 6
"""Neighbours on each side that are looked at: a flow each."""


@dataclass(slots=True)
class FirstPass:
    """What the first pass found: of every frame its moment, and the room, None where that wasn't to be learnt."""

    moments: RememberedMoments
    plate: CleanPlate | None
    stages: list[StageTime]


def first_pass(
    clip: Source,
    matter: Matter,
    pool: PicturePool,
    settings: VideoSettings,
    moments: RememberedMoments,
    on_progress: Callable[[int], None],
) -> FirstPass:
    """Runs the whole clip through the model; fills `moments`, which are the caller's to close.

    A fine matter is calm by itself: of its alphas nothing is kept, but the room is learnt.

    Raises: as `run_pipeline`.
    """
    chain = MattingChain(matter, settings)
    plate = CleanPlate() if settings.clean_plate and settings.plate is None else None

    def remember(matted: Matted) -> None:
        luma, frame = chain.find_cut(matted), matted.frame
        if not is_fine(matter):
            moments.append(matted.alpha, luma, float(frame.pts_seconds), cut=matted.cut)
        if plate is not None:
            if matted.cut:
                plate.reset()
            plate.correct(frame, matted.alpha)
        chain.give_back(matted)
        pool.release(frame.picture)

    stages = [estimate_stage(chain), Stage("remember", remember)]
    times = run_pipeline(clip, "decode", stages, stall_timeout_s=settings.stall_timeout_s, on_progress=on_progress)
    return FirstPass(moments, plate, times)


def second_matter(moments: RememberedMoments, matter: Matter, time_constant_seconds: float) -> Matter:
    """Who gives alpha in the second pass: a `SecondLook`, or a fine matter itself, from the beginning."""
    if is_fine(matter):
        matter.reset()
        return matter
    return SecondLook(moments, matter, time_constant_seconds)


class SecondLook:
    """A `Matter` that gives each frame its remembered alpha, averaged with those of the frames around it.

    Frames of other shots, before or after a cut, don't count. Frames have to come in order.
    """

    def __init__(self, moments: RememberedMoments, matter: Matter, time_constant_seconds: float) -> None:
        self.name = matter.name
        self.provider = matter.provider
        self._moments = moments
        self._filter = AroundFilter(time_constant_seconds)
        self._window: dict[int, Moment] = {}

    def estimate(self, frame: Frame) -> F32:
        """As `Matter.estimate`.

        Raises: `ModelOutputError` for a frame that the first pass didn't see.
        """
        index = frame.index
        if not 0 <= index < len(self._moments):
            raise ModelOutputError(
                f"expected one of the {len(self._moments)} frames of the first pass, got frame {index}",
                hint="Did the file change while it was read?",
            )
        neighbours = self._neighbours(index)
        for gone in self._window.keys() - {index, *neighbours}:
            del self._window[gone]
        for wanted in (index, *neighbours):
            if wanted not in self._window:
                self._window[wanted] = self._moments.moment(wanted)
        now = self._window[index]
        around = (self._window[other] for other in neighbours)
        return self._filter.smooth(now, (other for other in around if other.alpha.shape == now.alpha.shape))

    def reset(self) -> None:
        """Nothing to forget: what is remembered stays."""

    def _neighbours(self, index: int) -> list[int]:
        """Frames of the same shot, near enough to matter; of many, some spread evenly."""
        seconds, reach = self._moments.seconds, self._filter.reach_seconds
        first = last = index
        while first > 0 and not self._moments.cuts[first] and 0 <= seconds[index] - seconds[first - 1] <= reach:
            first -= 1
        while (
            last + 1 < len(seconds)
            and not self._moments.cuts[last + 1]
            and 0 <= seconds[last + 1] - seconds[index] <= reach
        ):
            last += 1
        step_before, step_after = (max(1, math.ceil(count / _MOST)) for count in (index - first, last - index))
        return [*range(index - step_before, first - 1, -step_before), *range(index + step_after, last + 1, step_after)]
