"""A clip as the background, looped, on its own time base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Protocol

from rtmatte.composite.fitting import Fit, Fitter
from rtmatte.errors import NoFramesError
from rtmatte.frame import U8, Frame, Picture


class Clip(Protocol):
    """An opened clip: frames in presentation order, each valid until the next one is asked for."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...


class VideoBackground:
    """Shows the picture of a clip that is current as long after the clip's start as the frame is after the first frame.

    The clip is decoded forward only and opened anew for each loop. A loop lasts from the first time stamp to the end of
    the last frame; a clip of a single frame stands still. Non-square pixels are shown as square ones. Owned by one
    thread; allocates when the frame's size or colours change.

    Raises: NoFramesError, from the first `picture_for`, for a clip without a frame; whatever the clip itself raises.
    """

    def __init__(self, open_clip: Callable[[], Clip], fit: Fit = "cover", *, name: str = "video") -> None:
        self.name = name
        self._open_clip = open_clip
        self._fitter = Fitter(fit)
        self._clip: Clip | None = None
        self._frames: Iterator[Frame] = iter(())
        self._next: Frame | None = None  # decoded, its time not come yet; valid because nothing was asked for since
        self._clip_start = Fraction(0)
        self._last_pts = Fraction(0)
        self._last_duration = Fraction(0)
        self._loop_duration: Fraction | None = None  # known once the clip was read to its end
        self._loop = 0
        self._origin: Fraction | None = None
        self._shown: Picture | None = None
        self._shown_pts = Fraction(0)

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:  # noqa: ARG002 - of the protocol
        if self._origin is None:
            self._origin = frame.pts_seconds
        elapsed = max(frame.pts_seconds - self._origin, Fraction(0))
        self._seek(elapsed, frame.picture)
        if self._shown is None or not _fits(self._shown, frame.picture):
            self._rewind()
            self._seek(elapsed, frame.picture)
        assert self._shown is not None
        return self._shown

    def close(self) -> None:
        self._next, self._frames = None, iter(())
        if self._clip is not None:
            self._clip.close()
            self._clip = None
