"""The keys of the preview window, as data."""

from __future__ import annotations

from dataclasses import dataclass

from rtmatte.runs.live.actions import Action


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its character, what it does, and that in words."""

    character: str
    action: Action
    help: str


KEYS = (
    Key("b", "next-background", "next background"),
    Key("[", "less-blur", "less blur"),
    Key("]", "more-blur", "more blur"),
    Key("s", "smoothing", "smoothing on or off"),
    Key("p", "pause", "pause: the safe picture goes out"),
    Key("m", "mirror", "mirror"),
    Key("x", "split", "before and after, here only"),
    Key("h", "help", "this help, here only"),
    Key("q", "quit", "quit"),
)

ACTION_OF_KEY: dict[str, Action] = {key.character: key.action for key in KEYS}
HELP = tuple((key.character, key.help) for key in KEYS)
