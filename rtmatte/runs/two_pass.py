"""Recorded clips gone through twice: first to see everything, then to make each frame with what came after it in mind.

first:     decode ──► estimate ──► remember     alpha, small luma, cuts; the room, if that is to be learnt
                                                where motion tells what lies between, of every second frame only
backwards: recall ──► gather ──► remember       what the future makes of each frame; the clip itself isn't read
second:    as runs/offline.py has it, with a matter that gives the remembered alpha, averaged over past and future
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rtmatte.capture.source import Source
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.errors import ModelOutputError
from rtmatte.frame import F32, Frame
from rtmatte.matting.matter import Matter, can_be_spared, is_fine
from rtmatte.pool import PicturePool
from rtmatte.refine.clean_plate import CleanPlate
from rtmatte.refine.subject import Subject
from rtmatte.runs.estimate_stage import estimate_stage, sparing_stage
from rtmatte.runs.matting_chain import Matted, MattingChain
from rtmatte.runs.pipeline import Stage, run_pipeline
from rtmatte.runs.progress import Teller
from rtmatte.settings import VideoSettings
from rtmatte.temporal.one_way import Moment, OneWayMean, Said, both_sides
from rtmatte.temporal.remembered import RememberedFuture, RememberedMoments
from rtmatte.temporal.sparing import Sparing


class FirstPass:
    """What is found out about a clip before its frames are made: `moments`, their `future`, and the room.

    `plate` is None where that wasn't to be learnt, and for clips of several shots: one room is of no use to another. A
    fine matter is calm by itself: of its alphas nothing is kept. `has_use`: there is anything to be found out. `spared`
    counts the frames that the model wasn't asked about.
    """

    def __init__(self, matter: Matter, settings: VideoSettings) -> None:
        self.moments, self.future = RememberedMoments(), RememberedFuture()
        self.plate = CleanPlate() if settings.clean_plate and settings.plate is None else None
        self.goes_back = not is_fine(matter) and settings.smoothing_s > 0
        self.has_use = not is_fine(matter) or self.plate is not None
        self.spared = 0
        self._matter, self._settings = matter, settings

    def look(self, source: Path, pool: PicturePool, tell: Teller) -> None:
        """Through the whole clip, and back, as far as that is of use.

        Raises: as `VideoFileSource` and `run_pipeline`.
        """
        tell.passes = 1 + self.has_use + self.goes_back
        if self.has_use:
            with VideoFileSource(source, pool=pool, decoder=self._settings.decoder) as clip:
                self.run(clip, pool, tell)
            tell.next_pass()
        if self.goes_back:
            self.go_back(tell)
            tell.next_pass()

    def run(self, clip: Source, pool: PicturePool, on_progress: Callable[[int], None]) -> None:
        """The whole clip, once through the model.

        Raises: as `run_pipeline`.
        """
        chain = MattingChain(self._matter, self._settings)
        estimate = estimate_stage(chain)
        if self.goes_back and self._settings.propagate and can_be_spared(self._matter):
            estimate = sparing_stage(estimate, Sparing())

        def remember(matted: Matted) -> None:
            luma, frame = chain.find_cut(matted), matted.frame
            if matted.is_spared:  # it looks like the one before, so that it begins no shot whatever its structure
                self.spared += 1
                self.moments.append(None, luma, float(frame.pts_seconds), cut=False)
                pool.release(frame.picture)
                return
            if not is_fine(self._matter):
                self.moments.append(matted.alpha, luma, float(frame.pts_seconds), cut=matted.cut)
            if matted.cut:
                self.plate = None
            if self.plate is not None:
                self.plate.learn(frame, matted.alpha)
            chain.give_back(matted)
            pool.release(frame.picture)

        self._run(clip, "decode", [estimate, Stage("remember", remember)], on_progress)

    def go_back(self, on_progress: Callable[[int], None]) -> None:
        """From the end to the beginning, if `goes_back`.

        Raises: as `run_pipeline`.
        """
        moments = self.moments
        mean = OneWayMean(self._settings.smoothing_s)

        def recall() -> Iterator[tuple[Moment, bool]]:
            later_begins = False
            for index in reversed(range(len(moments))):
                moment = moments.moment(index)
                yield moment, later_begins
                later_begins = moment.cut

        def gather(recalled: tuple[Moment, bool]) -> Said:
            moment, another_shot = recalled
            if another_shot:
                mean.reset()
            said = mean.pass_by(moment)
            return Said(said.mean.copy(), said.weight.copy())

        stages = [Stage("gather", gather), Stage("remember", self.future.append)]
        self._run(recall(), "recall", stages, on_progress)

    def _run(self, source: Iterable[Any], name: str, stages: list[Stage], on_progress: Callable[[int], None]) -> None:
        run_pipeline(source, name, stages, stall_timeout_s=self._settings.stall_timeout_s, on_progress=on_progress)

    def second_matter(self) -> Matter:
        """Who gives alpha in the second pass: a `SecondLook`, or a fine matter itself, from the beginning."""
        if is_fine(self._matter):
            self._matter.reset()
            return self._matter
        future = self.future if self.goes_back else None
        return SecondLook(self.moments, future, self._matter, self._settings.smoothing_s)

    def second_chain(self, subject: Subject | None = None, pool: PicturePool | None = None) -> MattingChain:
        """What makes the frames in the second pass: alpha comes smoothed, and the room is known."""
        settled = replace(self._settings, smoothing_s=0)
        return MattingChain(self.second_matter(), settled, self.plate, subject, pool)

    def close(self) -> None:
        """Frees what was remembered; may be called twice."""
        self.moments.close()
        self.future.close()


class SecondLook:
    """A `Matter` that gives each frame its remembered alpha, averaged with those of the frames around it.

    Frames of other shots, before or after a cut, don't count. Frames have to come in order.
    """

    def __init__(
        self,
        moments: RememberedMoments,
        future: RememberedFuture | None,
        matter: Matter,
        time_constant_seconds: float,
    ) -> None:
        """Without a `future`, alpha is given as it is remembered."""
        self.name = matter.name
        self.provider = matter.provider
        self.asks = matter
        self._moments, self._future = moments, future
        self._past = OneWayMean(time_constant_seconds)
        self._alpha: F32 = np.empty((0, 0), np.float32)

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
        now = self._moments.moment(index)
        if self._future is None:
            return now.alpha
        if now.cut:
            self._past.reset()
        if self._alpha.shape != now.alpha.shape:
            self._alpha = np.empty_like(now.alpha)
        both_sides(now, self._past.pass_by(now), self._future.of(index), self._alpha)
        return self._alpha

    def reset(self) -> None:
        """The next frame begins anew; what is remembered stays."""
        self._past.reset()
