"""What every run would otherwise do again in its own process, where it takes many seconds: imports, and numba's first
call. Nothing that starts a thread, since the scenarios are forked.
"""

from __future__ import annotations

import importlib
from fractions import Fraction

import numpy as np

import rtmatte.runs.live.run  # noqa: F401 - loaded for those that are forked
from rtmatte.composite.compositor import Compositor
from rtmatte.composite.still_background import ColorBackground
from rtmatte.frame import I420, ColorTags, Frame

_LAZY = ("PIL.ImageFont", "av", "cv2", "numba", "onnxruntime", "pydantic.fields", "pyvirtualcam")


def preload() -> None:
    for module in _LAZY:
        importlib.import_module(module)
    picture = I420.allocate((64, 48), ColorTags())
    Compositor(ColorBackground((0, 0, 0))).composite(Frame(picture, 0, Fraction(1), 0), np.zeros((48, 64), np.uint8))


if __name__ == "__main__":
    preload()
