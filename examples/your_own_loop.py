"""The stages one by one, for those who build their own loop: here the background turns from green to blue.

python examples/your_own_loop.py talk.mp4 out.mp4
"""

from __future__ import annotations

import sys
from pathlib import Path

import rtmatte


def main(source: str, target: str) -> None:
    matter = rtmatte.load_matter()
    smoother = rtmatte.ExponentialFilter(0.06)
    cuts = rtmatte.SceneCutDetector()
    refiner = rtmatte.Upscale()

    with rtmatte.VideoFileSource(source) as clip:
        frames = clip.frames_expected or 1
        sink = rtmatte.VideoFileSink(Path(target), clip.format, companions_from=Path(source), overwrite=True)
        with sink:
            for frame in clip:
                alpha = matter.estimate(frame)
                assert isinstance(frame.picture, rtmatte.I420)
                alpha = smoother.apply(alpha, frame.pts_seconds, cut=cuts.is_cut(frame.picture.y))
                share = min(1.0, frame.index / frames)
                background = rtmatte.ColorBackground((0, round(177 * (1 - share)), round(64 + 191 * share)))
                # Overwrites frame.picture with the composite.
                rtmatte.Compositor(background).composite(frame, refiner.refine(frame, alpha))
                sink.send(frame, None)
    print(f"{target}: {sink.encoder}, {matter.provider}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
