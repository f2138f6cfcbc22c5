"""What Linux says about its virtual camera: the v4l2loopback module, its parameters and devices, and what is amiss.

All of it is read from sysfs, so that nothing has to be opened and no right is needed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from rtmatte.v4l2 import read_sysfs

SYSFS = Path("/sys")

LOAD = 'sudo modprobe v4l2loopback exclusive_caps=1 card_label="rtmatte" max_buffers=8'
"""The command that makes a virtual camera which browsers list and which doesn't tear."""
RELOAD = f"sudo modprobe -r v4l2loopback && {LOAD}"
JOIN_VIDEO_GROUP = "sudo usermod -aG video $USER"
_SESSION_FAULT_MENDED_IN = (0, 13, 2)
_FEWEST_BUFFERS = 4
"""With the usual 2 a reader that is a frame late sees a buffer that is being written."""

DeviceState: TypeAlias = Literal["output", "capture"]


@dataclass(frozen=True, slots=True)
class LoopbackDevice:
    """One virtual camera: `path` such as /dev/video10, `label` as programs list it.

    `exclusive_caps`: whether it shows readers nothing but a camera, which browsers insist on; None if added later by
    hand, which sysfs doesn't tell. `state`: "capture" while a producer sends, "output" while none does; None before
    0.13, which doesn't tell.
    """

    path: str
    label: str
    exclusive_caps: bool | None
    state: DeviceState | None


@dataclass(frozen=True, slots=True)
class Loopback:
    """The loaded module. `version` is None before 0.13, which doesn't tell; `max_buffers` if sysfs doesn't say."""

    version: tuple[int, ...] | None
    max_buffers: int | None
    devices: tuple[LoopbackDevice, ...]

    @property
    def version_text(self) -> str:
        return ".".join(map(str, self.version)) if self.version else "older than 0.13"

    @property
    def has_session_fault(self) -> bool:
        """Whether a device with exclusive caps serves a single producer only, until the module is loaded anew."""
        return self.version is None or self.version < _SESSION_FAULT_MENDED_IN


@dataclass(frozen=True, slots=True)
class Problem:
    """Something amiss: what it is, and the command that mends it. `is_minor`: a call works all the same."""

    message: str
    hint: str
    is_minor: bool = False


def loopback(sysfs: Path = SYSFS) -> Loopback | None:
    """The v4l2loopback module as it is loaded now; None if it isn't."""
    module = sysfs / "module" / "v4l2loopback"
    if not module.is_dir():
        return None
    version = tuple(int(number) for number in re.findall(r"\d+", read_sysfs(module / "version"))[:3])
    buffers = read_sysfs(module / "parameters" / "max_buffers")
    return Loopback(version or None, int(buffers) if buffers.isdigit() else None, tuple(_devices(sysfs, module)))


def problems(found: Loopback | None) -> list[Problem]:
    """What keeps a call from working well with this module, the worst first."""
    if found is None:
        return [
            Problem(
                "The v4l2loopback module isn't loaded.",
                f"`sudo apt install v4l2loopback-dkms` (or your distribution's package of it), then `{LOAD}`.",
            )
        ]
    if not found.devices:
        return [Problem("v4l2loopback is loaded and has no device.", f"`{RELOAD}`.")]
    amiss = []
    if found.has_session_fault and any(device.exclusive_caps for device in found.devices):
        amiss.append(
            Problem(
                f"v4l2loopback is {found.version_text}: with exclusive_caps=1 such a device serves one program's "
                "session only; afterwards it is neither camera nor output until the module is loaded anew (Debian 12 "
                "and Ubuntu 22.04 ship such a version).",
                f"After each session `{RELOAD}`; or install v4l2loopback 0.13.2 or later, which doesn't have the fault "
                "(https://github.com/v4l2loopback/v4l2loopback).",
            )
        )
    if any(device.exclusive_caps is False for device in found.devices):
        names = ", ".join(device.path for device in found.devices if device.exclusive_caps is False)
        amiss.append(Problem(f"{names} is without exclusive_caps=1: Chrome and others don't list it.", f"`{RELOAD}`."))
    if found.max_buffers is not None and found.max_buffers < _FEWEST_BUFFERS:
        amiss.append(
            Problem(
                f"v4l2loopback has {found.max_buffers} buffers: expected {_FEWEST_BUFFERS} or more, else readers that "
                "are late see torn frames.",
                f"`{RELOAD}`.",
                is_minor=True,
            )
        )
    return amiss


def _devices(sysfs: Path, module: Path) -> list[LoopbackDevice]:
    by_number = {}
    for folder in (sysfs / "class" / "video4linux").glob("video*"):
        # Only this driver's devices have it.
        if (folder / "max_openers").exists():
            by_number[int(folder.name.removeprefix("video"))] = folder
    exclusive = read_sysfs(module / "parameters" / "exclusive_caps").split(",")
    wanted_numbers = read_sysfs(module / "parameters" / "video_nr").split(",")
    devices = []
    for position, number in enumerate(sorted(by_number)):
        folder = by_number[number]
        # The parameters are in the order of creation: by the number asked for, or by what was free.
        index = wanted_numbers.index(str(number)) if str(number) in wanted_numbers else position
        flag = exclusive[index] if index < len(exclusive) else ""
        state = read_sysfs(folder / "state")
        devices.append(
            LoopbackDevice(
                f"/dev/video{number}",
                read_sysfs(folder / "name"),
                {"Y": True, "N": False}.get(flag),
                "capture" if state == "capture" else "output" if state == "output" else None,
            )
        )
    return devices
