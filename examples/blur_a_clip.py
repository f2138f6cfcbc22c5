"""A clip with its room blurred, and what the run tells about itself.

python examples/blur_a_clip.py talk.mp4 talk-blurred.mp4
"""

from __future__ import annotations

import sys

import rtmatte


def main(source: str, target: str) -> None:
    report = rtmatte.process_video(source, target, background="blur:0.7", overwrite=True, on_progress=tell)
    print(f"\n{report.frames_out} frames at {report.frame_rate:.1f} fps on {report.provider}")
    for stage in report.stages:
        print(f"  {stage.stage:10} {stage.p50_ms:6.1f} ms a frame")
    for notice in report.notices:
        print(f"  note: {notice}")


def tell(progress: rtmatte.Progress) -> None:
    print(f"\r{progress.frames_done} of {progress.frames_expected or '?'} frames", end="", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
