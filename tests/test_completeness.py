from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtmatte.capture.completeness import is_cut_short, lacks_index
from tests import clips

FRAGMENTED = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    paths = [
        clips.plain(folder / "faststart.mp4", container_options={"movflags": "+faststart"}),
        clips.plain(folder / "a.mkv", audio=[clips.Audio()]),
        clips.odd_size(folder / "a.webm"),
        clips.write_clip(folder / "a.avi", codec="mjpeg", pix_fmt="yuvj420p"),
    ]
    return {path.name: path.read_bytes() for path in paths}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.sampled_from(["faststart.mp4", "a.mkv", "a.webm", "a.avi"]), missing=st.integers(1, 1500))
def test_every_missing_byte_shows(whole: dict[str, bytes], tmp_path: Path, name: str, missing: int) -> None:
    path = tmp_path / name
    path.write_bytes(whole[name][:-missing])
    assert is_cut_short(path)


def test_whole_files_are_whole(whole: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in whole.items():
        (tmp_path / name).write_bytes(data)
        assert not is_cut_short(tmp_path / name), name
        assert not lacks_index(tmp_path / name), name
        (tmp_path / name).write_bytes(data + bytes(100))  # some cameras leave such a tail
        assert not is_cut_short(tmp_path / name), name


def test_a_fragment_that_breaks_off_shows(tmp_path: Path) -> None:
    path = clips.plain(tmp_path / "a.mp4", frame_count=30, container_options=FRAGMENTED)
    data = path.read_bytes()
    assert not is_cut_short(path)
    path.write_bytes(data[: data.rindex(b"mdat") + 20])
    assert is_cut_short(path)


def test_a_live_recording_of_unknown_length_is_not_called_cut(tmp_path: Path) -> None:
    path = clips.plain(tmp_path / "a.mkv", container_options={"live": "1"})
    assert not is_cut_short(path)


@pytest.mark.parametrize("content", [b"", b"\x00", b"RIFF", b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x01ftyp", bytes(64)])
def test_stubs_promise_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "stub"
    path.write_bytes(content)
    assert not is_cut_short(path)


def test_a_lost_index_is_seen(tmp_path: Path) -> None:
    assert lacks_index(clips.without_index(tmp_path / "a.mp4"))
    assert not lacks_index(clips.plain(tmp_path / "b.mp4"))
    assert not lacks_index(clips.plain(tmp_path / "b.mkv"))
