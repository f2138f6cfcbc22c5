"""Records of byte strings in temporary files: what a whole clip's frames add up to, kept out of memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from io import FileIO
from itertools import accumulate, pairwise
from struct import Struct

from rtmatte.errors import OutputWriteError


class Spool:
    """Records of `parts` byte strings each; memory doesn't grow with their number, since their index is a file too.

    The files have no names and go with the object, or with the process.
    """

    def __init__(self, parts: int) -> None:
        """Raises: `OutputWriteError` if there is no room for temporary files."""
        self._bounds = Struct(f"={parts + 1}q")
        """In the index: where a record begins and each of its parts ends."""
        self._file, self._index = _unnamed_file(), _unnamed_file()
        self._count = self._end = 0

    def __len__(self) -> int:
        return self._count

    def append(self, *parts: bytes) -> None:
        """Raises: `OutputWriteError` if the disk for temporary files is full."""
        bounds = list(accumulate(map(len, parts), initial=self._end))
        try:
            _write(self._file, self._end, b"".join(parts))
            _write(self._index, self._count * self._bounds.size, self._bounds.pack(*bounds))
        except OSError as error:
            raise _cannot_keep(f"in {tempfile.gettempdir()}", error) from error
        self._count, self._end = self._count + 1, bounds[-1]

    def __getitem__(self, index: int) -> Sequence[bytes]:
        """The parts of a record."""
        self._index.seek(index * self._bounds.size)
        bounds = self._bounds.unpack(self._index.read(self._bounds.size))
        self._file.seek(bounds[0])
        record = self._file.read(bounds[-1] - bounds[0])
        return [record[begin - bounds[0] : end - bounds[0]] for begin, end in pairwise(bounds)]

    def close(self) -> None:
        """Frees the files; may be called twice."""
        self._file.close()
        self._index.close()


def _unnamed_file() -> FileIO:
    try:
        # Without a buffer, since what is left in one on a full disk would fail anywhere later.
        return tempfile.TemporaryFile(prefix="rtmatte-", buffering=0)
    except OSError as error:  # no such folder either, so that its name can't be told
        raise _cannot_keep("in a temporary file", error) from error


def _cannot_keep(where: str, error: OSError) -> OutputWriteError:
    return OutputWriteError(
        f"The mattes of the first pass can't be kept {where}: {error}.",
        hint="Make room there, or set TMPDIR to a folder with more.",
    )


def _write(file: FileIO, place: int, content: bytes) -> None:
    file.seek(place)
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
