"""Boots the image under QEMU's software emulation and runs one command in it.

The guest sees this computer's file system read-only under a throw-away overlay, so that the same Python and the same
checkout run in there; what it writes to /out comes back. No KVM: it is often there and not usable. By hand:

    python -m tests.vm.machine OUT_FOLDER COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.vm.image import MachineImage, obtain_image

_MEMORY_MIB = 2048
_PASSED_ON = ("PYTHON", "OPENCV", "OMP_", "NUMBA_", "LANG", "LC_")
"""Beginnings of the names of variables that the guest gets; never the whole environment, which may hold secrets."""


class MachineFailedError(Exception):
    """The guest didn't come to its end; says what its console showed last."""


def run_in_machine(
    image: MachineImage, command: list[str], out: Path, *, timeout_s: float, environment: dict[str, str] | None = None
) -> int:
    """Boots, runs the command in the current directory, powers off. The command's exit code.

    `out` is the guest's /out; `console.log` in it is what the guest printed.

    Raises: `MachineFailedError` if the guest didn't end by itself within `timeout_s`.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / "boot.sh").write_text(_boot_script(image, command, environment or {}))
    exit_code = out / "exit_code"
    exit_code.unlink(missing_ok=True)
    console = out / "console.log"
    with console.open("wb") as log:
        try:
            subprocess.run(
                _qemu(image, out), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            raise MachineFailedError(f"not through after {timeout_s:.0f} s: {_tail(console)}") from None
    if not exit_code.is_file():
        raise MachineFailedError(f"ended without an exit code: {_tail(console)}")
    return int(exit_code.read_text())


def _boot_script(image: MachineImage, command: list[str], environment: dict[str, str]) -> str:
    """What the guest's first shell does, after `guest_init.sh`."""
    passed_on = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    exports = {
        **passed_on,
        "HOME": "/root",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "RTMATTE_VM_LOOPBACK": str(image.loopback),
        "RTMATTE_VM_DEBIAN12_LOOPBACK": str(image.debian12_loopback),
        **environment,
    }
    modules = f"/lib/modules/{image.kernel_release}"
    return "\n".join(
        [
            *(f"export {name}={shlex.quote(value)}" for name, value in exports.items()),
            "mount -t tmpfs tmpfs /run",
            "mkdir -p /dev/shm && mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
            f"mkdir -p {modules} && mount --bind {shlex.quote(str(image.kernel_modules))} {modules}",
            "busybox ip link set lo up",
            f"cd {shlex.quote(str(Path.cwd()))}",
            shlex.join(command),
            "echo $? > /out/exit_code",
            "sync",
            "echo o > /proc/sysrq-trigger",
            "while :; do :; done",
            "",
        ]
    )


def _qemu(image: MachineImage, out: Path) -> list[str]:
    """`-cpu max`: with the default one numpy dies of an illegal instruction."""
    share = "security_model=none,multidevs=remap"
    return [
        "qemu-system-x86_64",
        *("-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-smp", "2", "-m", str(_MEMORY_MIB)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable"),
        *("-fsdev", f"local,id=root,path=/,readonly=on,{share}"),
        *("-device", "virtio-9p-pci,fsdev=root,mount_tag=root"),
        *("-fsdev", f"local,id=out,path={out.resolve()},{share}"),
        *("-device", "virtio-9p-pci,fsdev=out,mount_tag=out"),
        *("-device", "virtio-rng-pci"),
    ]


def _tail(console: Path) -> str:
    return console.read_text(errors="replace")[-2000:]


if __name__ == "__main__":
    sys.exit(run_in_machine(obtain_image(), sys.argv[2:], Path(sys.argv[1]), timeout_s=600))
