"""A file that appears under its name only when it is complete."""

from __future__ import annotations

import os
from pathlib import Path

from rtmatte.errors import OutputExistsError, OutputWriteError


class StagedFile:
    """A temporary file beside `target`, on the same file system, so that publishing it is one atomic rename.

    `path` is what the writer opens; its suffix is the target's, since containers are chosen by it.

    Raises: `OutputExistsError` if the target exists and `overwrite` is false, at once and again when publishing;
    `OutputWriteError` if the folder doesn't exist or can't be written.
    """

    def __init__(self, target: Path, *, overwrite: bool) -> None:
        self.target = target
        self._overwrite = overwrite
        self._refuse_existing()
        if not target.parent.is_dir():
            raise OutputWriteError(f"Cannot write {target}: the folder {target.parent} does not exist.")
        self.path = target.with_name(f".{target.stem}.{os.getpid()}.partial{target.suffix}")
        try:
            self.path.touch()
        except OSError as error:
            raise OutputWriteError(f"Cannot write into {target.parent}: {error.strerror}.") from error

    def publish(self) -> None:
        """Gives the complete file its name."""
        self._refuse_existing()
        try:
            self.path.replace(self.target)
        except OSError as error:
            raise OutputWriteError(
                f"Cannot give the finished file its name {self.target}: {error.strerror}."
            ) from error

    def discard(self) -> None:
        """Removes the unfinished file; a no-op once it is published or removed."""
        self.path.unlink(missing_ok=True)

    def _refuse_existing(self) -> None:
        if self.target.is_dir():
            raise OutputExistsError(f"{self.target} is a folder.", hint="Name a file.")
        if not self._overwrite and self.target.exists():
            raise OutputExistsError(
                f"{self.target} exists already.", hint="Choose another name, or overwrite it with -y."
            )
