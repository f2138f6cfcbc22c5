"""What the machine of these tests is made of: Debian 12's stock kernel, two builds of v4l2loopback, an initramfs.

Everything comes through apt and is kept in a folder of the cache; nothing of the running system changes but the
packages that `apt-get install` adds. Takes half a minute on a fresh machine, nothing afterwards.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TOOLS = ("qemu-system-x86", "seabios", "kmod", "busybox-static", "cpio", "gcc", "make")
_BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_rng")
_APT_LOCK_TIMEOUT_S = 180
_STEP_TIMEOUT_S = 300

_LOOPBACK_PACKAGE = "v4l2loopback-dkms"
_NEW_LOOPBACK_FILE = "v4l2loopback-dkms_0.15.0-2_all.deb"
_NEW_LOOPBACK_SHA256 = "d9b768037e28852070d31af3376d90c8b448f9807de29d664587082bb7784cd4"
"""A v4l2loopback without the fault of Debian 12's own; it lies in the pool of the same mirror."""


class MachineUnavailableError(Exception):
    """This computer can't have the machine; says why."""


@dataclass(frozen=True, slots=True)
class MachineImage:
    """The files to boot from. `debian12_loopback` is what a Debian 12 user has (0.12.7), `loopback` a later one."""

    folder: Path
    kernel_release: str

    @property
    def kernel(self) -> Path:
        return self.folder / "kernel" / "boot" / f"vmlinuz-{self.kernel_release}"

    @property
    def kernel_modules(self) -> Path:
        return self.folder / "kernel" / "lib" / "modules" / self.kernel_release

    @property
    def initramfs(self) -> Path:
        return self.folder / "initramfs.gz"

    @property
    def loopback(self) -> Path:
        return self.folder / "loopback" / "v4l2loopback.ko"

    @property
    def debian12_loopback(self) -> Path:
        return self.folder / "loopback-debian12" / "v4l2loopback.ko"


def cache_folder() -> Path:
    """Where the image is kept; made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "rtmatte-vm"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def obtain_image() -> MachineImage:
    """The image from the cache, or made now.

    Raises: `MachineUnavailableError` where there is no apt of Debian 12 to make it with, or a step of it fails.
    """
    _check_host()
    folder = cache_folder()
    with _only_one(folder / "lock"):
        release_file = folder / f"release-{_recipe_digest()}"
        if release_file.is_file() and shutil.which("qemu-system-x86_64"):
            return MachineImage(folder, release_file.read_text())
        image = _make_image(folder)
        release_file.write_text(image.kernel_release)
        return image


def _check_host() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise MachineUnavailableError(f"needs Linux on x86_64, this is {platform.system()} {platform.machine()}")
    if os.geteuid() != 0:
        raise MachineUnavailableError("needs root, for apt-get install and to show the whole file system to the guest")
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != "bookworm":
        raise MachineUnavailableError("needs the apt of Debian 12 (bookworm), whose kernel and v4l2loopback are tested")
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MachineUnavailableError(f"needs {tool}")


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    """Two test runs at once make one image."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _recipe_digest() -> str:
    """Changes with this file and the guest's init, so that an image of an older recipe is made anew."""
    recipe = Path(__file__).read_bytes() + _guest_init().read_bytes()
    return hashlib.sha256(recipe).hexdigest()[:12]


def _guest_init() -> Path:
    return Path(__file__).with_name("guest_init.sh")


def _make_image(folder: Path) -> MachineImage:
    _update_package_lists()
    release = _kernel_release()
    _apt("install", "-y", "--no-install-recommends", *_TOOLS, f"linux-headers-{release}")
    image = MachineImage(folder, release)
    with tempfile.TemporaryDirectory(prefix="rtmatte-vm-") as work:
        downloads = Path(work)
        # Unpacked, not installed: neither an initramfs nor a boot loader of the host is touched.
        _unpack(_download(f"linux-image-{release}", downloads / "kernel"), folder / "kernel")
        _run("depmod", "-b", str(folder / "kernel"), release)
        _build_loopback(_download_new_loopback(downloads), image.loopback, release)
        _build_loopback(_download(_LOOPBACK_PACKAGE, downloads / "debian12"), image.debian12_loopback, release)
        _pack_initramfs(image, downloads / "initramfs")
    return image


def _update_package_lists() -> None:
    """`apt-get update` doesn't wait for its lock by itself."""
    deadline = time.monotonic() + _APT_LOCK_TIMEOUT_S
    while True:
        try:
            _apt("update")
        except MachineUnavailableError as error:
            if "lock" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(2)
        else:
            return


def _kernel_release() -> str:
    depends = _run("apt-cache", "depends", "linux-image-amd64")
    found = re.search(r"Depends: linux-image-(\S+)", depends)
    if found is None:
        raise MachineUnavailableError(f"expected apt to know Debian's kernel package, got {depends!r}")
    return found.group(1)


def _download(package: str, folder: Path) -> Path:
    """The package file of the version that this Debian has."""
    folder.mkdir()
    _apt("download", package, cwd=folder)
    return next(folder.glob("*.deb"))


def _download_new_loopback(folder: Path) -> Path:
    """From the mirror that apt itself uses, checked against the known digest."""
    listing = _run("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(COMPONENT)", "Created-By: Packages")
    mirrors = [line.split()[0] for line in listing.splitlines() if line.endswith(" Debian main")]
    mirror = next((uri.rstrip("/") for uri in mirrors if "security" not in uri), None)
    if mirror is None:
        raise MachineUnavailableError(f"expected a Debian mirror among apt's sources, got {listing!r}")
    target = folder / _NEW_LOOPBACK_FILE
    helper = "/usr/lib/apt/apt-helper"
    uri = f"{mirror}/pool/main/v/v4l2loopback/{_NEW_LOOPBACK_FILE}"
    _run(helper, "download-file", uri, str(target), f"SHA256:{_NEW_LOOPBACK_SHA256}")
    return target


def _unpack(package: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run("dpkg-deb", "-x", str(package), str(folder))


def _build_loopback(package: Path, module: Path, release: str) -> None:
    source = package.with_suffix(".source")
    _unpack(package, source)
    tree = next(source.glob("usr/src/v4l2loopback-*"))
    _run("make", "-s", "-C", f"/usr/src/linux-headers-{release}", f"M={tree}", "modules")
    _run("strip", "--strip-debug", str(tree / "v4l2loopback.ko"))
    module.parent.mkdir(exist_ok=True)
    shutil.copy(tree / "v4l2loopback.ko", module)


def _pack_initramfs(image: MachineImage, tree: Path) -> None:
    """busybox, the modules for the shared root file system in loading order, and the init script."""
    for name in ("bin", "lib", "new", "ro", "rw", "proc", "sys", "dev"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin")
    shutil.copy(_guest_init(), tree / "init")
    (tree / "init").chmod(0o755)
    order: list[str] = []
    for name in _BOOT_MODULES:
        listing = _run(
            "modprobe", "-d", str(image.folder / "kernel"), "-S", image.kernel_release, "--show-depends", name
        )
        for path in re.findall(r"^insmod (\S+)", listing, re.MULTILINE):
            if Path(path).name not in order:
                shutil.copy(path, tree / "lib")
                order.append(Path(path).name)
    (tree / "lib" / "order").write_text("\n".join(order) + "\n")
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"], cwd=tree, input=names.encode(), capture_output=True, check=True
    )
    image.initramfs.write_bytes(gzip.compress(archive.stdout, 6))


def _apt(*arguments: str, cwd: Path | None = None) -> None:
    _run("apt-get", "-qq", "-o", f"DPkg::Lock::Timeout={_APT_LOCK_TIMEOUT_S}", *arguments, cwd=cwd)


def _run(*command: str, cwd: Path | None = None) -> str:
    """What the command printed.

    Raises: `MachineUnavailableError` if it fails, with the end of what it printed.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_STEP_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineUnavailableError(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise MachineUnavailableError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr[-600:]}")
    return done.stdout
