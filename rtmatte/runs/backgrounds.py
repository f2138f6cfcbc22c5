"""From what the user chose to the object that gives each frame its background."""

from __future__ import annotations

from rtmatte.capture.image import read_image
from rtmatte.capture.video_file import VideoFileSource
from rtmatte.composite.background import Background
from rtmatte.composite.blur import BlurBackground
from rtmatte.composite.still_background import ColorBackground, ImageBackground
from rtmatte.composite.video_background import VideoBackground
from rtmatte.pool import RecyclingPool
from rtmatte.settings import Blur, Color, Fit, ImageFile, VideoFile, parse_background


def open_background(text: str, fit: Fit) -> Background | None:
    """The background that `text` names (see `parse_background`); None for a transparent result.

    Raises: `SettingsError`; `InputError` if its file can't be read.
    """
    match parse_background(text):
        case Color(rgb):
            return ColorBackground(rgb)
        case Blur(strength):
            return BlurBackground(strength)
        case ImageFile(path):
            still = read_image(path)
            image_bgr = still.reduced_bgr()
            return ImageBackground(image_bgr, fit, name=path.name)
        case VideoFile(path):
            VideoFileSource(path).close()  # a file that isn't a clip is told now, not at the first frame
            return VideoBackground(lambda: VideoFileSource(path, pool=RecyclingPool()), fit, name=path.name)
        case _:
            return None
