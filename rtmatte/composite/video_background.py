"""A clip as the background, looped, on its own time base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Protocol

from rtmatte.composite.fitting import Fit, Fitter
from rtmatte.errors import NoFramesError
from rtmatte.frame import I420, U8, Frame, Picture, picture_size_wh


class Clip(Protocol):
    """An opened clip: frames in presentation order, each valid until the next one is asked for.

    It is iterated once; then again after each `rewind`.
    """

    def __iter__(self) -> Iterator[Frame]: ...

    def rewind(self) -> None: ...

    def close(self) -> None: ...


class VideoBackground:
    """Shows the picture of a clip that is current as long after the clip's start as the frame is after the first frame.

    The clip is decoded forward only and rewound for each loop. A loop lasts from the first time stamp to the end of
    the last frame; a clip of a single frame stands still. Owned by one thread; allocates when the frame's size or
    colours change.

    Raises: `NoFramesError`, from the first `picture_for`, for a clip without a frame; whatever the clip itself raises.
    """

    def __init__(self, open_clip: Callable[[], Clip], fit: Fit = "cover", *, name: str = "video") -> None:
        self.name = name
        self._open_clip = open_clip
        self._fitter = Fitter(fit)
        self._clip: Clip | None = None
        self._frames: Iterator[Frame] = iter(())
        self._next: Frame | None = None
        """Decoded, its time not come yet; valid because nothing was asked of the clip since."""
        self._clip_begin = Fraction(0)
        self._clip_end = Fraction(0)
        self._frames_shown = 0
        self._loop_begin = Fraction(0)
        """When the running loop began, in seconds after the first frame."""
        self._origin: Fraction | None = None
        self._shown: Picture | None = None
        self._shown_from = Fraction(0)
        """In seconds after the first frame."""

    def begin_at(self, seconds: Fraction) -> None:
        """Takes that time for the first frame's; for whoever begins in the middle of a clip."""
        self._origin = seconds

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:  # noqa: ARG002 - of the protocol
        if self._origin is None:
            self._origin = frame.pts_seconds
        elapsed = max(frame.pts_seconds - self._origin, Fraction(0))
        if self._shown is None or not _same_form(self._shown, frame.picture) or elapsed < self._shown_from:
            self._begin_loop(Fraction(0), frame.picture)
        self._advance(elapsed, frame.picture)
        assert self._shown is not None
        return self._shown

    def close(self) -> None:
        self._next, self._frames, self._shown = None, iter(()), None
        if self._clip is not None:
            self._clip.close()
            self._clip = None

    def _advance(self, elapsed: Fraction, like: Picture) -> None:
        """Decodes until the picture of that time is the one shown."""
        while True:
            if self._next is not None:
                if self._next.pts_seconds - self._clip_begin > elapsed - self._loop_begin:
                    return
                self._show_next(like)
                continue
            length = self._clip_end - self._clip_begin
            if length <= 0 or elapsed - self._loop_begin < length:
                return
            # Whole loops are skipped at once: after a long gap the clip isn't decoded through again and again.
            self._begin_loop(self._loop_begin + length * ((elapsed - self._loop_begin) // length), like)

    def _begin_loop(self, loop_begin: Fraction, like: Picture) -> None:
        self._next, self._frames, self._shown = None, iter(()), None
        if self._clip is None:
            self._clip = self._open_clip()
        else:
            self._clip.rewind()
        self._frames = iter(self._clip)
        self._next = next(self._frames, None)
        if self._next is None:
            raise NoFramesError(f"The background clip {self.name} has no frame: expected at least one.")
        self._loop_begin, self._frames_shown = loop_begin, 0
        self._clip_begin = self._next.pts_seconds
        self._show_next(like)

    def _show_next(self, like: Picture) -> None:
        frame = self._next
        assert frame is not None
        self._shown = self._fitter.make(frame.picture, like)
        shown_at, duration = frame.pts_seconds, frame.duration
        self._shown_from = self._loop_begin + shown_at - self._clip_begin
        self._next = next(self._frames, None)
        self._frames_shown += 1
        if self._next is None:
            # A last frame without a duration lasts as long as the mean of the others; a single one, for ever.
            others = self._frames_shown - 1
            mean = (shown_at - self._clip_begin) / others if others else Fraction(0)
            self._clip_end = shown_at + (duration * frame.time_base if duration and others else mean)


def _same_form(shown: Picture, wanted: Picture) -> bool:
    if isinstance(shown, I420) and isinstance(wanted, I420):
        return shown.size_wh == wanted.size_wh and shown.color == wanted.color
    return isinstance(shown, I420) == isinstance(wanted, I420) and picture_size_wh(shown) == picture_size_wh(wanted)
