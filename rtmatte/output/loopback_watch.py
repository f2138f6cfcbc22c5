"""Opening a v4l2loopback device, and seeing to it that it goes on taking frames.

pyvirtualcam prints failed writes and goes on, doesn't read back what the driver granted, and keeps a device open that
it couldn't use. So a device is looked at before it is handed to pyvirtualcam, and from then on through the very file
descriptor that pyvirtualcam writes to.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

from rtmatte import v4l2
from rtmatte.errors import VirtualCameraError
from rtmatte.output import loopback_descriptor
from rtmatte.output.openers import Opener, openers
from rtmatte.output.v4l2loopback import JOIN_VIDEO_GROUP, LOAD, RELOAD, SYSFS, Loopback, LoopbackDevice, loopback
from rtmatte.output.v4l2loopback import problems as loopback_problems

_I420 = "YU12"
_LOOK_AGAIN_S = 10.0


class LoopbackWatch:
    """Asks of a device that this process writes to whether all is well, and whether anybody watches.

    `descriptor` is pyvirtualcam's own, and stays its; owned by the sending thread. `check` costs four system calls.
    """

    def __init__(self, path: str, size_wh: tuple[int, int], descriptor: int, *, sysfs: Path = SYSFS) -> None:
        self._path = path
        self._descriptor = descriptor
        self._expected = loopback_descriptor.OutputFormat(size_wh, _I420)
        self._state_file = sysfs / "class" / "video4linux" / Path(path).name / "state"
        self._openers_file = sysfs / "module" / "v4l2loopback" / "refcnt"
        self._opened: int | None = None
        self._looked_at = float("-inf")
        self._watching: int | None = None
        self._node = self._identity()
        self._check_format()

    def check(self, frames_sent: int) -> None:
        """Raises: `VirtualCameraError` if the device is gone, was made anew, changed its format or takes no frames."""
        if loopback_descriptor.events(self._descriptor) & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
            raise self._gone()
        node = self._identity()
        if node is None:
            raise self._gone()
        if node != self._node:
            raise VirtualCameraError(
                f"The virtual camera {self._path} was made anew: programs that open it now don't see what is sent.",
                hint="Open it again, by starting again.",
            )
        self._check_format()
        if frames_sent and self._state() == "output":
            raise VirtualCameraError(
                f"The virtual camera {self._path} takes no frames: expected it to be a camera since {frames_sent} "
                "frames were sent, got a device that waits for its first.",
                hint=f"`{RELOAD}`.",
            )

    def readers(self) -> int | None:
        """How many programs watch: 0 or 1 by the driver's own word (0.13 and later, which serves one reader at a
        time), else how many others have the device open; None if other people's processes can't be looked into.

        Looking through all processes takes tens of milliseconds where thousands of files are open. So on older
        drivers that is done when the number of openers of the whole module changes, and every ten seconds.
        """
        streaming = loopback_descriptor.is_streamed_from(self._descriptor)
        if streaming is not None:
            return int(streaming)
        opened, now = self._module_openers(), time.monotonic()
        if opened == 1:  # us
            return 0
        if opened is None or opened != self._opened or now - self._looked_at > _LOOK_AGAIN_S:
            others, complete = openers(self._path)
            watching = sum(not other.only_writes for other in others)
            self._watching = watching if watching or complete else None
            self._opened, self._looked_at = opened, now
        return self._watching

    def _check_format(self) -> None:
        try:
            got = loopback_descriptor.output_format(self._descriptor)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise self._gone() from error
            raise VirtualCameraError(f"Cannot ask {self._path} for its format: {error.strerror}.") from error
        if got == self._expected:
            return
        width, height = got.size_wh
        raise VirtualCameraError(
            f"The virtual camera {self._path} insists on {got}: expected {self._expected}.",
            hint=f"Stop the programs that show it, or run `v4l2-ctl -d {self._path} -c keep_format=0`; or send its "
            f"size with --size {width}x{height}.",
        )

    def _gone(self) -> VirtualCameraError:
        return VirtualCameraError(f"The virtual camera {self._path} is gone.", hint=f"Load it again with `{LOAD}`.")

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = Path(self._path).stat()
        except OSError:
            return None
        return status.st_rdev, status.st_ino

    def _module_openers(self) -> int | None:
        """How often devices of the module are open now, by anybody; None without sysfs."""
        try:
            return int(self._openers_file.read_text())
        except (OSError, ValueError):
            return None

    def _state(self) -> str:
        try:
            return self._state_file.read_text().strip()
        except OSError:
            return ""  # before 0.13, or sysfs isn't there


def candidates(device: str, *, sysfs: Path = SYSFS) -> Iterator[str]:
    """The paths to try for `device`: a path, a label such as "rtmatte", or "auto" for every one, free ones first.

    Raises: `VirtualCameraError` if there is none.
    """
    found = loopback(sysfs)
    if device.startswith("/"):
        yield os.path.realpath(device)
        return
    known = found.devices if found else ()
    if not known:
        problem = loopback_problems(found)[0]
        raise VirtualCameraError(f"No virtual camera here: {problem.message}", hint=problem.hint)
    if device != "auto":
        known = tuple(one for one in known if one.label == device)
        if not known:
            labels = ", ".join(f'"{one.label}" ({one.path})' for one in found.devices) if found else "none"
            raise VirtualCameraError(f'No virtual camera is called "{device}": got {labels}.')
    yield from (one.path for one in sorted(known, key=lambda one: one.state == "capture"))


def refuse_unusable(path: str, *, sysfs: Path = SYSFS) -> None:
    """Opens the device, asks what it is, and closes it again.

    Raises: `VirtualCameraError` saying why it can't be written to, and the command that mends it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise VirtualCameraError(
            f"No permission to write to {path}.", hint=f"Run `{JOIN_VIDEO_GROUP}`, then log out and in again."
        ) from error
    except FileNotFoundError as error:
        raise VirtualCameraError(f"The virtual camera {path} does not exist.", hint=f"`{LOAD}`.") from error
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _busy(path) from error
        raise VirtualCameraError(f"Cannot open {path}: {error.strerror}.", hint=f"`{RELOAD}`.") from error
    try:
        is_what = v4l2.capabilities(descriptor)
    except OSError as error:
        raise VirtualCameraError(f"{path} is not a video device.", hint=f"`{LOAD}`.") from error
    finally:
        os.close(descriptor)
    if is_what.driver != v4l2.LOOPBACK_DRIVER:
        raise VirtualCameraError(
            f"{path} is not a virtual camera: expected the driver {v4l2.LOOPBACK_DRIVER!r}, got {is_what.driver!r}.",
            hint=f"`{LOAD}`, or name another device.",
        )
    others, _ = openers(path)
    producers = [other for other in others if other.only_writes]
    if is_what.outputs and not producers:
        return
    found = loopback(sysfs)
    if not is_what.outputs and not is_what.captures:
        raise _used_up(path, found)
    raise _busy(path, producers or others, _device(found, path))


def _device(found: Loopback | None, path: str) -> LoopbackDevice | None:
    return next((one for one in found.devices if one.path == path), None) if found else None


def _used_up(path: str, found: Loopback | None) -> VirtualCameraError:
    version = found.version_text if found else "older than 0.13"
    return VirtualCameraError(
        f"The virtual camera {path} is used up: v4l2loopback {version} with exclusive_caps=1 serves one session only.",
        hint=f"`{RELOAD}`; v4l2loopback 0.13.2 and later don't have this fault.",
    )


def _busy(path: str, others: list[Opener] | None = None, device: LoopbackDevice | None = None) -> VirtualCameraError:
    label = f' ("{device.label}")' if device else ""
    who = ", ".join(map(str, others)) if others else "another program"
    return VirtualCameraError(
        f"The virtual camera {path}{label} is busy: {who} has it.",
        hint="Stop that program, or make a second device: "
        "`sudo modprobe -r v4l2loopback && sudo modprobe v4l2loopback devices=2 exclusive_caps=1,1 max_buffers=8`.",
    )
