"""What a user can do while a live run goes on."""

from __future__ import annotations

from typing import Literal, TypeAlias

Action: TypeAlias = Literal[
    "next-background", "less-blur", "more-blur", "smoothing", "pause", "mirror", "split", "help", "quit"
]
