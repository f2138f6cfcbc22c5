"""What a video call needs, for `rtmatte doctor`: a camera to look at, and a virtual camera to be seen on."""

from __future__ import annotations

import platform

from rtmatte.errors import CameraNotFoundError, RtmatteError, VirtualCameraError


def cameras() -> str:
    """The real cameras by name.

    Raises: `CameraNotFoundError` if there is none, `CameraPermissionError` if this user may open none.
    """
    from rtmatte.capture.choose_camera import DEFAULT, choose_camera, system_devices

    devices = system_devices()
    if choose_camera(DEFAULT, devices) is None:
        raise CameraNotFoundError(
            "No camera is there.", hint="Plug one in; `rtmatte webcam` waits for it. Or try --camera pattern."
        )
    usable = [f"{camera.name} ({camera.device})" for camera in devices.cameras() if not camera.virtual | camera.denied]
    return ", ".join(usable) or "what they are called can't be told: pip install 'rtmatte[camera]'"


def virtual_camera() -> str:
    """The virtual cameras that can be sent to.

    Raises: `VirtualCameraError` saying all that is amiss, each with the command that mends it.
    """
    return _loopback() if platform.system() == "Linux" else _opened()


def _loopback() -> str:
    """Asks of each device without opening one for sending: that would change what programs see of it."""
    from rtmatte.output.loopback_watch import refuse_unusable
    from rtmatte.output.v4l2loopback import loopback, problems

    found = loopback()
    refusals: list[RtmatteError] = []
    usable = []
    for device in found.devices if found else ():
        try:
            refuse_unusable(device.path)
        except VirtualCameraError as error:
            refusals.append(error)
        else:
            usable.append(f"{device.label} ({device.path})")
    all_problems = problems(found)
    amiss = [f"{problem.message} {problem.hint}" for problem in all_problems if not problem.is_minor]
    if not usable:
        amiss += map(str, refusals)
    if found is None or amiss:
        raise VirtualCameraError("\n      ".join(amiss))
    said = [f"v4l2loopback {found.version_text}: {', '.join(usable)}"]
    said += [f"{problem.message} {problem.hint}" for problem in all_problems if problem.is_minor]
    return "\n      ".join(said)


def display() -> str:
    """Raises: `SettingsError` if the preview can't be shown."""
    from rtmatte.output.display import require_display

    require_display()
    return "there, for --preview"


def _opened() -> str:
    """Elsewhere nothing but opening it tells."""
    from rtmatte.output.virtual_camera import VirtualCamera

    with VirtualCamera((1280, 720), 30) as opened:
        return opened.encoder
