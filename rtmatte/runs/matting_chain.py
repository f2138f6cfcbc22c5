"""estimate ──► smooth ──► refine: from a frame to its alpha at frame size, the same for every run and benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtmatte.capture.image import read_image
from rtmatte.composite.fitting import Fitter
from rtmatte.frame import F32, I420, U8, Frame, Picture, picture_size_wh
from rtmatte.matting.batched import Batched
from rtmatte.matting.matter import Matter, is_fine
from rtmatte.matting.question import Question
from rtmatte.matting.side_by_side import SideBySide
from rtmatte.matting.still import small_of
from rtmatte.pool import PicturePool
from rtmatte.refine.choose import make_refiner
from rtmatte.refine.clean_plate import CleanPlate
from rtmatte.refine.components import Components
from rtmatte.refine.foreground import ForegroundColors
from rtmatte.refine.guided import GuidedFilter
from rtmatte.refine.refiner import shape_hw
from rtmatte.refine.spill import Despill
from rtmatte.refine.subject import Subject
from rtmatte.refine.upscale import Upscale
from rtmatte.settings import MovingSettings
from rtmatte.small import SmallPlanes, small_shape
from rtmatte.temporal.exponential import ExponentialFilter
from rtmatte.temporal.flow_filter import FlowFilter
from rtmatte.temporal.scene_cut import SceneCutDetector
from rtmatte.temporal.steps import Steps

LETS_GO_AT = 0.5
"""From this difference between alpha and its average on, it is motion; see docs/design.md for the figures."""
_NOTHING: F32 = np.empty((0, 0), np.float32)


@dataclass(slots=True)
class Matted:
    """A frame with its alpha, (h, w) float32 at the matter's resolution, on their way between stages.

    `cut`: the frame begins a new shot. `small`: the frame's `SmallPlanes`, from the first stage on that wants them.
    `alpha_u8`: alpha at frame size, where the matter gives it in that and a chain has rounded it already; `alpha` is
    empty then. `fine_u8`: likewise, of a fine matter; `alpha` is that made small then.
    """

    frame: Frame
    alpha: F32
    cut: bool = False
    small: U8 | None = None
    alpha_u8: U8 | None = None
    fine_u8: U8 | None = None
    is_spared: bool = False

    @classmethod
    def spared(cls, frame: Frame, small: U8) -> Matted:
        """A frame that nobody has estimated: its alpha is empty."""
        return cls(frame, _NOTHING, small=small, is_spared=True)


class MattingChain:
    """The three stages with their state. Each stage may run in a thread of its own, frames in order.

    `estimate` hands on a copy, since the matter overwrites its own array while the next stage still reads.
    """

    def __init__(
        self,
        matter: Matter,
        settings: MovingSettings,
        plate: CleanPlate | None = None,
        subject: Subject | None = None,
        pool: PicturePool | None = None,
    ) -> None:
        """`plate` is a room that was learnt before; by default one is learnt, if the settings want it. `subject` says
        who stays, by default the settings do. With a `pool`, an alpha that has the frame's size already is handed on in
        bytes, in a plane of the pool that whoever comes last releases, unless somebody is to be left out of it.

        Raises: what `read_image` raises, for the settings' photo of the room.
        """
        self.matter = matter
        fine = is_fine(matter)
        self._guides_fine = fine and settings.refiner == "guided"
        self._refiner = GuidedFilter(opaque_from=1) if self._guides_fine else make_refiner(settings.refiner)
        self._quantizing = Upscale()
        self._plate = plate or (CleanPlate() if settings.clean_plate else None)
        self._photo_bgr = None if settings.plate is None else read_image(settings.plate).reduced_bgr()
        self._components = Components()
        self._subject = subject or (Subject() if settings.people == "nearest" else None)
        self._steps = Steps()
        self._colors = ForegroundColors() if settings.edge_colors else None
        self._despill = None if settings.spill == "off" else Despill(settings.spill)
        smoothing_s = 0 if fine else settings.smoothing_s  # what is calm by itself only lags
        self._smoother = FlowFilter(smoothing_s)
        self._smoother_at_size = ExponentialFilter(smoothing_s, lets_go_at=LETS_GO_AT)
        self._cuts = SceneCutDetector()
        self._small = SmallPlanes()
        self._pool = pool if self._subject is None else None
        self._fine_pool = pool or PicturePool()

    def estimate(self, frame: Frame) -> Matted:
        """Alpha as the model sees it."""
        alpha = self.matter.estimate(frame)
        if self._guides_fine:
            return self._reduced(frame, alpha)
        if self._pool is None or alpha.shape != shape_hw(frame.picture):
            return Matted(frame, alpha.copy(), small=small_of(self.matter))
        rounded_u8 = self._quantizing.refine(frame, alpha, self._pool.acquire_alpha(picture_size_wh(frame.picture)))
        return Matted(frame, _NOTHING, small=small_of(self.matter), alpha_u8=rounded_u8)

    def answer(self, question: Question) -> Matted:
        """As `estimate`, for a question that a `SideBySide` matter was asked; from any thread."""
        assert isinstance(self.matter, SideBySide)
        return Matted(question.frame, self.matter.answer(question), small=question.small)

    def answer_alone(self, question: Question) -> Matted:
        """As `answer_together`, for one question."""
        (matted,) = self.answer_together([question])
        return matted

    def answer_together(self, questions: list[Question]) -> list[Matted]:
        """As `estimate`, for questions that a `Batched` matter was asked."""
        assert isinstance(self.matter, Batched)
        alphas = self.matter.answer(questions)
        return [Matted(one.frame, alpha, small=one.small) for one, alpha in zip(questions, alphas, strict=True)]

    def _reduced(self, frame: Frame, alpha: F32) -> Matted:
        fine_u8 = self._quantizing.refine(frame, alpha, self._fine_pool.acquire_alpha(picture_size_wh(frame.picture)))
        height, width = small_shape(shape_hw(frame.picture))
        reduced = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA), np.float32)
        return Matted(frame, reduced, small=small_of(self.matter), fine_u8=fine_u8)

    def give_back(self, matted: Matted) -> None:
        """For whoever doesn't refine what `estimate` gave."""
        if matted.fine_u8 is not None:
            self._fine_pool.release_alpha(matted.fine_u8)

    def smooth(self, matted: Matted) -> Matted:
        """Alpha over time, in place. One that has the frame's size already isn't moved along with the picture."""
        luma, seconds = self.find_cut(matted), matted.frame.pts_seconds
        if matted.alpha_u8 is not None:
            self._smoother_at_size.apply_to_bytes(matted.alpha_u8, seconds, cut=matted.cut)
        elif matted.alpha.shape == shape_hw(matted.frame.picture):
            np.copyto(matted.alpha, self._smoother_at_size.apply(matted.alpha, seconds, cut=matted.cut))
        else:
            np.copyto(matted.alpha, self._smoother.apply(matted.alpha, luma, seconds, cut=matted.cut))
        return matted

    def find_cut(self, matted: Matted) -> U8:
        """Tells whether the frame begins a shot; returns its small luma. For frames in order, a part of `smooth`."""
        picture = matted.frame.picture
        if matted.small is None:
            matted.small = self._small.of(picture)
        luma = _small_luma(picture, matted.small)
        matted.cut = self._cuts.is_cut(luma)
        return luma

    def refine(self, matted: Matted, out_u8: U8 | None = None) -> U8:
        """Alpha at frame size: (H, W) uint8, 255 = foreground; `out_u8` or a buffer that the next call overwrites.
        `matted.alpha_u8`, if there is one, is it.

        Specks, holes and, if so chosen, bystanders are gone. A fine alpha is averaged with itself made small and guided
        along the picture's edges: what one of them gets wrong at an edge the other often doesn't. Of another alpha that
        has the frame's size already, as recorded mattes have, only bystanders are taken.

        Raises: `SettingsError` if nobody is where the first frame was clicked.
        """
        if matted.cut:
            self._forget_refinement()
        if matted.alpha_u8 is not None:
            return matted.alpha_u8
        if matted.fine_u8 is None and matted.alpha.shape == shape_hw(matted.frame.picture):
            self._select(matted)
            return self._quantizing.refine(matted.frame, matted.alpha, out_u8)
        if self._photo_bgr is not None:
            # In the frame's own size and colours, which weren't known before.
            self._plate = CleanPlate(Fitter("cover").make(self._photo_bgr, matted.frame.picture))
            self._photo_bgr = None
        if self._plate is not None:
            self._plate.correct(matted.frame, matted.alpha)
        self._components.clean(matted.alpha)
        self._select(matted)
        refined_u8 = self._refiner.refine(matted.frame, matted.alpha, out_u8, matted.small)
        if matted.fine_u8 is not None:
            if self._subject is None:
                cv2.addWeighted(refined_u8, 0.5, matted.fine_u8, 0.5, 0, dst=refined_u8)
            self.give_back(matted)
        return refined_u8

    def _select(self, matted: Matted) -> None:
        if self._subject is None:
            return
        if matted.small is not None:
            self._steps.show(_small_luma(matted.frame.picture, matted.small))
        self._subject.select(matted.alpha, float(matted.frame.pts_seconds), self._steps.carry)

    def clear_edges(self, matted: Matted, alpha_u8: U8) -> None:
        """Takes the old background out of the frame's colours wherever alpha is in between, and its light off the
        foreground, in place, as the settings say."""
        small = matted.small
        if self._despill is not None:
            self._despill.suppress(matted.frame.picture, alpha_u8)
            small = None  # of the tinted picture
        if self._colors is not None:
            self._colors.replace(matted.frame.picture, alpha_u8, small)

    def reset(self) -> None:
        """Forgets the past of every stage."""
        self.matter.reset()
        self.forget_past()

    def forget_past(self) -> None:
        """Forgets the past of all stages but the model's."""
        self._smoother.reset()
        self._smoother_at_size.reset()
        self._forget_refinement()

    def _forget_refinement(self) -> None:
        self._refiner.reset()
        if self._plate is not None:
            self._plate.reset()
        self._components.reset()
        self._steps.reset()
        if self._subject is not None:
            self._subject.reset()


def _small_luma(picture: Picture, small: U8) -> U8:
    luma: U8 = small[0 if isinstance(picture, I420) else 1]
    return luma
