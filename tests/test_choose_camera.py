"""Which camera a user's words mean, and the cameras of macOS and Windows."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from rtmatte.capture.camera_info import CameraInfo, VirtualOutput
from rtmatte.capture.choose_camera import choose_camera
from rtmatte.capture.other_cameras import OtherCameras
from rtmatte.errors import CameraNotFoundError, CameraPermissionError


@dataclass
class Listed:
    """Devices that are just a list."""

    found: list[CameraInfo]

    def cameras(self) -> list[CameraInfo]:
        return self.found

    def outputs(self) -> list[VirtualOutput]:
        return []

    find_again = fault = None  # type: ignore[assignment]


LOOP = CameraInfo("OBS Loop", "/dev/video0", "virtual-video0", virtual=True)
BRIO = CameraInfo("Logitech BRIO", "/dev/video2", "usb-046d:085e-S1-1.0.0@1-3")
BUILT_IN = CameraInfo("Integrated Camera", "/dev/video4", "usb-04f2:b7e0--1.0.0@1-5")
CAM = CameraInfo("Cam", "/dev/video6", "platform-cam.0")


@pytest.fixture
def on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")


@pytest.mark.usefixtures("on_linux")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("default", BRIO),
        ("2", BRIO),
        ("/dev/video4", BUILT_IN),
        ("/dev/../dev/video4", BUILT_IN),
        ("usb-046d:085e-S1-1.0.0@1-3", BRIO),
        ("logitech", BRIO),
        ("INTEGRATED CAMERA", BUILT_IN),
        ("cam", CAM),
        ("camera", BUILT_IN),
        ("obs", LOOP),
        ("0", LOOP),
    ],
)
def test_the_camera_that_is_meant(text: str, meant: CameraInfo) -> None:
    assert choose_camera(text, Listed([LOOP, BRIO, BUILT_IN, CAM])) == meant


@pytest.mark.usefixtures("on_linux")
def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "video7").touch()
    (tmp_path / "usb-Logitech-index0").symlink_to(tmp_path / "video7")
    camera = replace(BRIO, device=str((tmp_path / "video7").resolve()))
    assert choose_camera(str(tmp_path / "usb-Logitech-index0"), Listed([camera])) == camera


@pytest.mark.usefixtures("on_linux")
def test_what_matches_nothing_is_an_error_that_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(CameraNotFoundError, match=r"'9'.*There is: Logitech BRIO \(/dev/video2\)"):
        choose_camera("9", Listed([BRIO]))
    with pytest.raises(CameraNotFoundError, match="/dev/nothing does not exist"):
        choose_camera("/dev/nothing", Listed([BRIO]))
    with pytest.raises(CameraNotFoundError, match="gives no pictures now"):
        choose_camera(str(tmp_path), Listed([BRIO]))
    with pytest.raises(CameraNotFoundError, match="no camera at all"):
        choose_camera("brio", Listed([]))


@pytest.mark.usefixtures("on_linux")
def test_the_default_is_never_virtual_nor_forbidden_if_there_is_another() -> None:
    assert choose_camera("default", Listed([LOOP])) is None
    assert choose_camera("default", Listed([replace(BRIO, denied=True), BUILT_IN])) == BUILT_IN
    with pytest.raises(CameraPermissionError, match=r"Logitech BRIO .*permission denied.*usermod"):
        choose_camera("default", Listed([LOOP, replace(BRIO, denied=True)]))


def test_where_no_names_are_known_an_index_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    chosen = choose_camera("default", Listed([]))
    assert chosen is not None
    assert chosen.device == "0"
    chosen = choose_camera("3", Listed([]))
    assert chosen is not None
    assert chosen.device == "3"
    with pytest.raises(CameraNotFoundError):
        choose_camera("facetime", Listed([]))


@pytest.fixture
def enumerated(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[SimpleNamespace]]:
    """Stands for the package that knows names on macOS and Windows: backend -> cameras."""
    cameras: dict[int, list[SimpleNamespace]] = {}
    package = ModuleType("cv2_enumerate_cameras")
    package.enumerate_cameras = lambda backend: cameras.get(backend, [])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", package)
    return cameras


def found(name: str, index: int, path: str | None) -> SimpleNamespace:
    return SimpleNamespace(name=name, index=index, path=path)


def test_windows_knows_cameras_by_two_backends(enumerated: dict[int, list[SimpleNamespace]]) -> None:
    enumerated[1400] = [found("HD Webcam", 0, "usb#1")]
    enumerated[700] = [found("HD Webcam", 0, "usb#1"), found("OBS Virtual Camera", 1, None)]
    devices = OtherCameras("Windows")
    assert devices.cameras() == [
        CameraInfo("HD Webcam", "0", "HD Webcam-usb#1", backend=1400),
        CameraInfo("OBS Virtual Camera", "1", "OBS Virtual Camera-1", virtual=True, backend=700),
    ]


def test_elsewhere_a_camera_is_found_again_under_another_index(enumerated: dict[int, list[SimpleNamespace]]) -> None:
    enumerated[1200] = [found("FaceTime", 0, "A"), found("BRIO", 1, "B")]
    devices = OtherCameras("Darwin")
    brio = devices.cameras()[1]
    enumerated[1200] = [found("BRIO", 0, "B")]
    assert devices.find_again(brio) == replace(brio, device="0")
    assert devices.fault(brio) == "broken"
    enumerated[1200] = [found("FaceTime", 0, "A")]
    assert devices.find_again(brio) is None
    assert devices.fault(brio) == "gone"


def test_elsewhere_without_names_the_index_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", None)
    devices = OtherCameras("Darwin")
    assert devices.cameras() == []
    camera = CameraInfo("camera 0", "0", "index-0")
    assert devices.find_again(camera) == camera
