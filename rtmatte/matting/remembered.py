"""All alphas of a clip, kept outside of memory, for whoever wants to look ahead."""

from __future__ import annotations

import tempfile
import zlib
from array import array

import numpy as np

from rtmatte.errors import OutputWriteError
from rtmatte.frame import F32

_LEVEL = 1


class RememberedAlphas:
    """Alphas one after the other in a temporary file, as bytes and compressed: about 5 KB each of 256x192.

    Rounded to 255 steps. The file has no name and goes with the object, or with the process.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="rtmatte-")  # noqa: SIM115 - closed by `close`
        self._ends = array("q", [0])
        self._shapes: list[tuple[int, int]] = []
        self.seconds = array("d")
        """When each frame is shown."""
        self.cuts = array("b")
        """1 where a new shot begins."""

    def __len__(self) -> int:
        return len(self._shapes)

    def append(self, alpha: F32, seconds: float, *, cut: bool) -> None:
        """Keeps (h, w) float32 in [0, 1], of the frame of that time.

        Raises: `OutputWriteError` if the disk for temporary files is full.
        """
        packed = zlib.compress(np.rint(alpha * np.float32(255)).astype(np.uint8).tobytes(), _LEVEL)
        try:
            self._file.seek(self._ends[-1])
            self._file.write(packed)
            self._file.flush()
        except OSError as error:
            raise OutputWriteError(
                f"The mattes of the first pass can't be kept in {tempfile.gettempdir()}: {error}.",
                hint="Make room there, or set TMPDIR to a folder with more.",
            ) from error
        self._ends.append(self._ends[-1] + len(packed))
        # One object for all frames of a size: an hour of tuples would be megabytes.
        shape = (alpha.shape[0], alpha.shape[1])
        self._shapes.append(self._shapes[-1] if self._shapes and self._shapes[-1] == shape else shape)
        self.seconds.append(seconds)
        self.cuts.append(cut)

    def alpha(self, index: int) -> F32:
        """A new (h, w) float32 array."""
        self._file.seek(self._ends[index])
        packed = self._file.read(self._ends[index + 1] - self._ends[index])
        bytes_u8 = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(self._shapes[index])
        return np.multiply(bytes_u8, np.float32(1 / 255), dtype=np.float32)

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._file.close()
