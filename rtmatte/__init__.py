"""Background removal for video and stills, in real time, on your own machine.

    import rtmatte
    rgba = rtmatte.remove_background("portrait.jpg")
    report = rtmatte.process_video("talk.mp4", "talk-blurred.mp4", background="blur")

Every public name loads its module, and the libraries behind it, on first use: `import rtmatte` itself is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rtmatte.capture.synthetic import SyntheticSource
    from rtmatte.capture.video_file import VideoFileSource
    from rtmatte.composite.blur import BlurBackground
    from rtmatte.composite.compositor import Compositor
    from rtmatte.composite.still_background import ColorBackground, ImageBackground
    from rtmatte.composite.video_background import VideoBackground
    from rtmatte.errors import RtmatteError
    from rtmatte.frame import I420, ColorTags, Frame, VideoFormat
    from rtmatte.matting.load import load_matter
    from rtmatte.matting.recorded import RecordedAlpha
    from rtmatte.output.matte import MatteSink
    from rtmatte.output.video_file import VideoFileSink
    from rtmatte.refine.upscale import Upscale
    from rtmatte.runs.bench.result import BenchResult
    from rtmatte.runs.bench.run import run_bench
    from rtmatte.runs.live.run import run_live
    from rtmatte.runs.live.status import LiveStatus
    from rtmatte.runs.offline import process_video
    from rtmatte.runs.progress import Progress
    from rtmatte.runs.report import Report
    from rtmatte.runs.stills import StillReport, process_image, remove_background
    from rtmatte.settings import BenchSettings, LiveSettings
    from rtmatte.temporal.exponential import ExponentialFilter
    from rtmatte.temporal.scene_cut import SceneCutDetector

__version__ = "0.1.0"

_HOMES = {
    "BenchResult": "runs.bench.result",
    "BenchSettings": "settings",
    "BlurBackground": "composite.blur",
    "ColorBackground": "composite.still_background",
    "ColorTags": "frame",
    "Compositor": "composite.compositor",
    "ExponentialFilter": "temporal.exponential",
    "Frame": "frame",
    "I420": "frame",
    "ImageBackground": "composite.still_background",
    "LiveSettings": "settings",
    "LiveStatus": "runs.live.status",
    "MatteSink": "output.matte",
    "Progress": "runs.progress",
    "RecordedAlpha": "matting.recorded",
    "Report": "runs.report",
    "RtmatteError": "errors",
    "SceneCutDetector": "temporal.scene_cut",
    "StillReport": "runs.stills",
    "SyntheticSource": "capture.synthetic",
    "Upscale": "refine.upscale",
    "VideoBackground": "composite.video_background",
    "VideoFileSink": "output.video_file",
    "VideoFileSource": "capture.video_file",
    "VideoFormat": "frame",
    "load_matter": "matting.load",
    "process_image": "runs.stills",
    "process_video": "runs.offline",
    "remove_background": "runs.stills",
    "run_bench": "runs.bench.run",
    "run_live": "runs.live.run",
}

__all__ = [
    "I420",
    "BenchResult",
    "BenchSettings",
    "BlurBackground",
    "ColorBackground",
    "ColorTags",
    "Compositor",
    "ExponentialFilter",
    "Frame",
    "ImageBackground",
    "LiveSettings",
    "LiveStatus",
    "MatteSink",
    "Progress",
    "RecordedAlpha",
    "Report",
    "RtmatteError",
    "SceneCutDetector",
    "StillReport",
    "SyntheticSource",
    "Upscale",
    "VideoBackground",
    "VideoFileSink",
    "VideoFileSource",
    "VideoFormat",
    "__version__",
    "load_matter",
    "process_image",
    "process_video",
    "remove_background",
    "run_bench",
    "run_live",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rtmatte' has no attribute {name!r}")
    return getattr(import_module(f"rtmatte.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
