"""`rtmatte doctor --call`: what it says of cameras and of v4l2loopback, on trees that look like Linux' sysfs."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from rtmatte.capture import choose_camera
from rtmatte.capture.camera_info import CameraInfo, Fault, VirtualOutput
from rtmatte.cli import call_checks
from rtmatte.errors import CameraNotFoundError, CameraPermissionError, VirtualCameraError
from rtmatte.output import loopback_watch, v4l2loopback
from tests.test_cli import rtmatte

pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="v4l2loopback is Linux' virtual camera")


class _Devices:
    def __init__(self, *cameras: CameraInfo) -> None:
        self._cameras = list(cameras)

    def cameras(self) -> list[CameraInfo]:
        return self._cameras

    def outputs(self) -> list[VirtualOutput]:
        return []

    def find_again(self, camera: CameraInfo) -> CameraInfo | None:
        return camera

    def fault(self, camera: CameraInfo) -> Fault:
        return "broken"


def _cameras(monkeypatch: pytest.MonkeyPatch, *cameras: CameraInfo) -> str:
    monkeypatch.setattr(choose_camera, "system_devices", lambda: _Devices(*cameras))
    return call_checks.cameras()


def test_a_camera_is_named_and_a_virtual_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fed = CameraInfo("Logi", "/dev/video0", "usb-1"), CameraInfo("OBS", "/dev/video9", "virtual-9", virtual=True)
    assert _cameras(monkeypatch, fed, real) == "Logi (/dev/video0)"


def test_no_camera_and_a_forbidden_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CameraNotFoundError):
        _cameras(monkeypatch)
    with pytest.raises(CameraPermissionError, match="usermod"):
        _cameras(monkeypatch, CameraInfo("Logi", "/dev/video0", "usb-1", denied=True))


def _virtual_camera(monkeypatch: pytest.MonkeyPatch, sysfs: Path, refusal: str = "") -> str:
    def refuse(path: str) -> None:
        if refusal:
            raise VirtualCameraError(f"{path} {refusal}")

    found = v4l2loopback.loopback(sysfs)
    monkeypatch.setattr(v4l2loopback, "loopback", lambda: found)
    monkeypatch.setattr(loopback_watch, "refuse_unusable", refuse)
    return call_checks.virtual_camera()


def _loaded(sysfs: Path, version: str | None) -> Path:
    """A module with one device; before 0.13 it has no version."""
    module, device = sysfs / "module" / "v4l2loopback", sysfs / "class" / "video4linux" / "video10"
    (module / "parameters").mkdir(parents=True)
    device.mkdir(parents=True)
    for name, text in (("exclusive_caps", "Y,N,N"), ("video_nr", "10,-1,-1"), ("max_buffers", "8")):
        (module / "parameters" / name).write_text(f"{text}\n")
    if version is not None:
        (module / "version").write_text(f"{version}\n")
    (device / "name").write_text("rtmatte\n")
    (device / "max_openers").write_text("10\n")
    return sysfs


def test_a_sound_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = _virtual_camera(monkeypatch, _loaded(tmp_path, "0.15.0"))
    assert said == "v4l2loopback 0.15.0: rtmatte (/dev/video10)"


def test_the_module_that_serves_one_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(VirtualCameraError, match=r"session only.*modprobe -r v4l2loopback"):
        _virtual_camera(monkeypatch, _loaded(tmp_path, None))


def test_a_sound_module_whose_only_device_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(VirtualCameraError, match="/dev/video10 is busy"):
        _virtual_camera(monkeypatch, _loaded(tmp_path, "0.15.0"), "is busy")


def test_few_buffers_are_told_and_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = _loaded(tmp_path, "0.15.0")
    (root / "module" / "v4l2loopback" / "parameters" / "max_buffers").write_text("2\n")
    said = _virtual_camera(monkeypatch, root)
    assert said.startswith("v4l2loopback 0.15.0: rtmatte (/dev/video10)\n")
    assert "torn frames. `sudo modprobe -r v4l2loopback && sudo modprobe" in said


def test_no_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(VirtualCameraError, match="modprobe v4l2loopback"):
        _virtual_camera(monkeypatch, tmp_path)


@pytest.mark.skipif(Path("/sys/module/v4l2loopback").exists(), reason="there is a virtual camera here")
def test_the_command_fails_with_the_command_that_mends_it() -> None:
    said = rtmatte("doctor", "--call")
    assert said.returncode == 1
    assert "FAIL  virtual camera: The v4l2loopback module isn't loaded." in said.stdout
    assert "modprobe v4l2loopback" in said.stdout


@pytest.mark.skipif(Path("/sys/module/v4l2loopback").exists(), reason="there is a virtual camera here")
def test_who_only_processes_files_gets_a_note() -> None:
    said = rtmatte("doctor")
    assert said.returncode == 0, said.stdout
    assert "note  virtual camera: The v4l2loopback module isn't loaded." in said.stdout
    assert "FAIL" not in said.stdout
