"""Who says what is foreground: the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rtmatte.clicks import Point
from rtmatte.frame import F32, Frame


@runtime_checkable
class Matter(Protocol):
    """Estimates alpha, frame by frame, in order, from one thread.

    `name` is the model's; `provider` what it really runs on (read back from the runtime), such as
    `"CPUExecutionProvider, 2 threads"`.
    """

    name: str
    provider: str

    def estimate(self, frame: Frame) -> F32:
        """Alpha of the whole frame: (h, w) float32 in [0, 1], 1 = foreground, at the matter's own resolution.

        The array belongs to the matter and is overwritten by the next call.
        """
        ...

    def reset(self) -> None:
        """Forgets the past (recurrent models); a no-op for models that look at one frame."""
        ...


def innermost(matter: Matter) -> Matter:
    """The one that runs a net. A matter that asks another one names it by an attribute `asks`."""
    while (asked := getattr(matter, "asks", None)) is not None:
        matter = asked
    return matter


def why_there(matter: Matter) -> str:
    """Why it runs on its provider, as `OnnxSession.provider_reason`, or nothing."""
    return str(getattr(innermost(matter), "provider_reason", ""))


def device_notices(matter: Matter) -> tuple[str, ...]:
    """That a device which should have come up didn't, as `OnnxSession.provider_missed`: one notice, or none."""
    missed = getattr(innermost(matter), "provider_missed", "")
    return (f"Runs on {matter.provider}: {missed}.",) if missed else ()


def seconds_building(matter: Matter) -> float:
    """For how long it has built what it runs so far, as `OnnxSession.seconds_building`; from any thread."""
    return float(getattr(innermost(matter), "seconds_building", 0.0))


def is_fine(matter: Matter) -> bool:
    """Whether its alpha is as fine as the frame and calm by a memory of its own: it says so by an attribute `fine`."""
    return bool(getattr(matter, "fine", False))


def can_be_spared(matter: Matter) -> bool:
    """Whether frames may be left out: what runs the net sees each by itself, and says so by such an attribute.

    Whoever remembers, or has all alphas already, doesn't.
    """
    return bool(getattr(innermost(matter), "can_be_spared", False))


@runtime_checkable
class Prompted(Matter, Protocol):
    """A `Matter` that has to be told by points what is wanted."""

    def prompt(self, keep: Sequence[Point], drop: Sequence[Point]) -> None:
        """Points on what is wanted of the pictures to come, and on what isn't."""
        ...

    def estimate_wholes(self, frame: Frame, prompts: Sequence[tuple[Sequence[Point], Sequence[Point]]]) -> list[F32]:
        """For each of several pairs of points, as for `prompt`, alpha of all that they are a part of: new arrays."""
        ...
