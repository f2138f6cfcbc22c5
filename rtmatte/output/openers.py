"""Which other processes have a device open (Linux)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_FIRST_PERSON = 1000
"""User ids from here on are people's; below it are the system's."""
_NOBODY = 65534


@dataclass(frozen=True, slots=True)
class Opener:
    """A process that has the device open; `only_writes` marks a producer for sure, others read or do both."""

    pid: int
    name: str
    only_writes: bool

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def openers(device: str, proc: Path = Path("/proc")) -> tuple[list[Opener], bool]:
    """Other processes with that real path open, and whether all that could be were looked into.

    The second is False if processes of other people were closed to us; those of the system's own users aren't counted.
    Allocates; one `readlink` for every open file on the machine.
    """
    found, complete = [], True
    own = str(os.getpid())
    with os.scandir(proc) as processes:
        for process in processes:
            if not process.name.isdigit() or process.name == own:
                continue
            try:
                with os.scandir(f"{process.path}/fd") as descriptors:
                    held = [descriptor.name for descriptor in descriptors if _points_to(descriptor.path, device)]
            except PermissionError:
                complete = complete and not _is_a_persons(process.path)
                continue
            except OSError:  # it has ended
                continue
            if held:
                only_writes = all(_is_write_only(f"{process.path}/fdinfo/{number}") for number in held)
                found.append(Opener(int(process.name), _name_of(process.path), only_writes))
    return found, complete


def _points_to(link: str, device: str) -> bool:
    try:
        return os.readlink(link) == device  # noqa: PTH115 - done for every open file there is: a Path each would cost
    except OSError:
        return False


def _is_a_persons(process: str) -> bool:
    try:
        return _FIRST_PERSON <= Path(process).stat().st_uid < _NOBODY
    except OSError:
        return False


def _is_write_only(fdinfo: str) -> bool:
    try:
        for line in Path(fdinfo).read_text().splitlines():
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE == os.O_WRONLY
    except (OSError, ValueError, IndexError):
        pass
    return False


def _name_of(process: str) -> str:
    try:
        return Path(process, "comm").read_text().strip()
    except OSError:
        return "a program"
