"""Whether a window can be shown: OpenCV ends the whole process where there is no display."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping

from rtmatte.errors import SettingsError

_TCP_BASE = 6000
_TIMEOUT_S = 1.0
_ADDRESS = re.compile(r"(?:[a-z]+/)?(?P<host>[^:]*|\[.*\]):(?P<number>\d+)(?:\.\d+)?")


def display_available(environ: Mapping[str, str] | None = None) -> bool:
    """On Linux, whether the X server that $DISPLAY names takes a connection; elsewhere True.

    Wayland alone doesn't do: OpenCV's windows need X, which desktops on Wayland offer too (XWayland, in $DISPLAY).
    Waits at most a second, for a display on another machine.
    """
    if sys.platform != "linux":
        return True
    address = _ADDRESS.fullmatch((os.environ if environ is None else environ).get("DISPLAY", ""))
    if address is None:
        return False
    host, number = address["host"], int(address["number"])
    if host not in ("", "unix"):
        return _takes_tcp(host.strip("[]"), _TCP_BASE + number)
    path = f"/tmp/.X11-unix/X{number}"
    # Servers listen on the file, on the abstract name, or on both.
    return _takes_local(path) or _takes_local("\0" + path)


def require_display() -> None:
    """Raises: `SettingsError` if there is no display, with what to do."""
    if not display_available():
        raise SettingsError(
            "--preview needs a display, and there is none: "
            f"expected an X server at $DISPLAY, got {os.environ.get('DISPLAY') or 'no $DISPLAY'}.",
            hint="Leave --preview away, or start it from a desktop session (over ssh: `ssh -X`).",
        )


def _takes_tcp(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _takes_local(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        try:
            connection.connect(address)
        except OSError:
            return False
    return True
