"""Pictures to compare graphs on and to measure value ranges on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def real_pictures(size_wh: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Four photographs of scikit-image at that size, (H, W, 3) uint8 RGB: a person, a cat, a cup, a rocket."""
    import cv2
    from skimage import data

    photographs = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
    return [np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA), np.uint8) for rgb in photographs]


def clip_pictures(folder: Path, size_wh: tuple[int, int], each: int = 8) -> Iterator[NDArray[np.uint8]]:
    """Up to `each` frames, half a second apart, of every clip under a folder, in the order of their names."""
    import av
    import cv2

    for path in sorted(path for path in folder.rglob("*") if path.suffix in {".mp4", ".mkv", ".webm", ".264"}):
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number >= 15 * each:
                    break
                if number % 15 == 0:
                    rgb = frame.to_ndarray(format="rgb24")
                    yield np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
