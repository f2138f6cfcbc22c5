"""What stands behind the foreground: the protocol."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rtmatte.frame import U8, Frame, Picture


@runtime_checkable
class Background(Protocol):
    """Gives the background of each frame.

    `name` is for reports, such as `"blur:0.5"`.
    """

    name: str

    def picture_for(self, frame: Frame, alpha_u8: U8) -> Picture:
        """The background of one frame, of the same kind (I420 or BGR), size and colour tags as `frame.picture`.

        `alpha_u8` is (H, W) uint8 at frame size, 255 = foreground (blur needs it to leave the person out). The picture
        belongs to the background and is overwritten by the next call.
        """
        ...

    def close(self) -> None:
        """Frees files; may be called more than once."""
        ...
