"""Recorded clips gone through twice: first to see everything, then to make each frame with what came after it in mind.

first:   decode ──► estimate ──► remember (alpha, cuts; the room, if that is to be learnt)
second:  as runs/offline.py has it, with a matter that gives the remembered alpha, smoothed over past and future
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rtmatte.capture.source import Source
from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, Frame
from rtmatte.matting.matter import Matter
from rtmatte.matting.remembered import RememberedAlphas
from rtmatte.pool import PicturePool
from rtmatte.refine.clean_plate import CleanPlate
from rtmatte.runs.matting_chain import LETS_GO_AT, Matted, MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.settings import VideoSettings
from rtmatte.stats import StageTime
from rtmatte.temporal.around import AroundFilter


@dataclass(slots=True)
class FirstPass:
    """What the first pass found: alphas, and the room, None where that wasn't to be learnt."""

    alphas: RememberedAlphas
    plate: CleanPlate | None
    stages: list[StageTime]


def first_pass(
    clip: Source,
    matter: Matter,
    pool: PicturePool,
    settings: VideoSettings,
    alphas: RememberedAlphas,
    on_progress: Callable[[int], None],
) -> FirstPass:
    """Runs the whole clip through the model; fills `alphas`, which are the caller's to close.

    Raises: as `run_pipeline`.
    """
    chain = MattingChain(matter, settings)
    plate = CleanPlate() if settings.clean_plate and settings.plate is None else None

    def remember(matted: Matted) -> None:
        chain.find_cut(matted)
        frame = matted.frame
        alphas.append(matted.alpha, float(frame.pts_seconds), cut=matted.cut)
        if plate is not None:
            if matted.cut:
                plate.reset()
            plate.correct(frame, matted.alpha)
        pool.release(frame.picture)

    stages = [Stage("estimate", chain.estimate), Stage("remember", remember)]
    times = run_pipeline(clip, "decode", stages, stall_timeout_s=settings.stall_timeout_s, on_progress=on_progress)
    return FirstPass(alphas, plate, times)


class SecondLook:
    """A `Matter` that gives each frame its remembered alpha, averaged with those of the frames around it.

    Frames of other shots, before or after a cut, don't count. Frames have to come in order.
    """

    def __init__(self, alphas: RememberedAlphas, matter: Matter, time_constant_seconds: float) -> None:
        self.name = matter.name
        self.provider = matter.provider
        self._alphas = alphas
        self._filter = AroundFilter(time_constant_seconds, lets_go_at=LETS_GO_AT)
        self._window: dict[int, F32] = {}

    def estimate(self, frame: Frame) -> F32:
        """As `Matter.estimate`.

        Raises: `ModelOutputError` for a frame that the first pass didn't see.
        """
        index = frame.index
        if not 0 <= index < len(self._alphas):
            raise ModelOutputError(
                f"expected one of the {len(self._alphas)} frames of the first pass, got frame {index}",
                hint="Did the file change while it was read?",
            )
        neighbours = list(self._neighbours(index))
        for gone in self._window.keys() - {index, *neighbours}:
            del self._window[gone]
        for wanted in (index, *neighbours):
            if wanted not in self._window:
                self._window[wanted] = self._alphas.alpha(wanted)
        alpha, now = self._window[index], self._alphas.seconds[index]
        around = ((self._window[other], self._alphas.seconds[other] - now) for other in neighbours)
        return self._filter.smooth(alpha, around)

    def reset(self) -> None:
        """Nothing to forget: what is remembered stays."""

    def _neighbours(self, index: int) -> Iterator[int]:
        """Frames of the same shot and size, near enough to matter."""
        seconds, reach = self._alphas.seconds, self._filter.reach_seconds
        before = index
        while before > 0 and not self._alphas.cuts[before] and 0 <= seconds[index] - seconds[before - 1] <= reach:
            before -= 1
            yield before
        after = index + 1
        while after < len(seconds) and not self._alphas.cuts[after] and 0 <= seconds[after] - seconds[index] <= reach:
            yield after
            after += 1
