"""Byte strings one after the other in a temporary file: what a whole clip's frames add up to, kept out of memory."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Sequence
from itertools import pairwise

from rtmatte.errors import OutputWriteError


class Spool:
    """Records of `parts` byte strings each. The file has no name and goes with the object, or with the process."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self._file = tempfile.TemporaryFile(prefix="rtmatte-", buffering=0)  # noqa: SIM115 - closed by `close`
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return (len(self._ends) - 1) // self._parts

    def append(self, *parts: bytes) -> None:
        """Raises: `OutputWriteError` if the disk for temporary files is full."""
        try:
            self._file.seek(self._ends[-1])
            rest = memoryview(b"".join(parts))
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise OutputWriteError(
                f"The mattes of the first pass can't be kept in {tempfile.gettempdir()}: {error}.",
                hint="Make room there, or set TMPDIR to a folder with more.",
            ) from error
        for part in parts:
            self._ends.append(self._ends[-1] + len(part))

    def __getitem__(self, index: int) -> Sequence[bytes]:
        """The parts of a record."""
        ends = self._ends[index * self._parts : (index + 1) * self._parts + 1]
        self._file.seek(ends[0])
        record = self._file.read(ends[-1] - ends[0])
        return [record[begin - ends[0] : end - ends[0]] for begin, end in pairwise(ends)]

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._file.close()
