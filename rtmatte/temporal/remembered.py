"""All alphas and small pictures of a clip, kept outside of memory, for whoever wants to look ahead."""

from __future__ import annotations

import tempfile
import zlib
from array import array

import cv2
import numpy as np

from rtmatte.errors import OutputWriteError
from rtmatte.frame import F32, U8
from rtmatte.temporal.around import Moment

_LEVEL = 1
_JPEG_QUALITY = 90


class RememberedMoments:
    """Alpha and small luma of each frame, one after the other in a temporary file.

    Alpha is rounded to 255 steps and compressed without loss, luma as JPEG: together about 13 KB of 256x192 each. The
    file has no name and goes with the object, or with the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="rtmatte-")  # noqa: SIM115 - closed by `close`
        self._ends = array("q", [0])
        self._middles = array("q")
        """Where each frame's alpha ends and its luma begins."""
        self._shapes: list[tuple[int, int]] = []
        self.seconds = array("d")
        """When each frame is shown."""
        self.cuts = array("b")
        """1 where a new shot begins."""

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, alpha: F32, luma: U8, seconds: float, *, cut: bool) -> None:
        """Keeps alpha, (h, w) float32 in [0, 1], and luma, (h, w) uint8, of the frame of that time.

        Raises: `OutputWriteError` if the disk for temporary files is full.
        """
        packed = zlib.compress(np.rint(alpha * np.float32(255)).astype(np.uint8).tobytes(), _LEVEL)
        _, drawn = cv2.imencode(".jpg", luma, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
        picture = drawn.tobytes()
        try:
            self._file.seek(self._ends[-1])
            self._file.write(packed + picture)
            self._file.flush()
        except OSError as error:
            raise OutputWriteError(
                f"The mattes of the first pass can't be kept in {tempfile.gettempdir()}: {error}.",
                hint="Make room there, or set TMPDIR to a folder with more.",
            ) from error
        self._middles.append(self._ends[-1] + len(packed))
        self._ends.append(self._middles[-1] + len(picture))
        # One object for all frames of a size: an hour of tuples would be megabytes.
        shape = (alpha.shape[0], alpha.shape[1])
        self._shapes.append(self._shapes[-1] if self._shapes and self._shapes[-1] == shape else shape)
        self.seconds.append(seconds)
        self.cuts.append(cut)

    def moment(self, index: int) -> Moment:
        """The frame's alpha and luma in new arrays, and its time."""
        begin, middle, end = self._ends[index], self._middles[index], self._ends[index + 1]
        self._file.seek(begin)
        kept = self._file.read(end - begin)
        bytes_u8 = np.frombuffer(zlib.decompress(kept[: middle - begin]), np.uint8).reshape(self._shapes[index])
        luma = cv2.imdecode(np.frombuffer(kept, np.uint8, offset=middle - begin), cv2.IMREAD_GRAYSCALE)
        assert luma is not None
        alpha = np.multiply(bytes_u8, np.float32(1 / 255), dtype=np.float32)
        return Moment(alpha, np.asarray(luma, np.uint8), self.seconds[index])

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._file.close()
