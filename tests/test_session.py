"""The runtime: what is installed, what it really runs on, and arrays that stay where they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from rtmatte.errors import (
    ModelOutputError,
    ProviderUnavailableError,
    RuntimeConflictError,
    RuntimeNotInstalledError,
    SettingsError,
    WeightsError,
)
from rtmatte.matting import session
from rtmatte.matting.session import OnnxSession, check_runtime

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def model_bytes(op: str = "Cast", **attributes: Any) -> bytes:
    """uint8 (N, H, W) in, float32 out, by one operation."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], **(attributes or {"to": TensorProto.FLOAT}))],
        "one-node",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes it look as if exactly these distributions were installed."""

    def pretend(*names: str) -> None:
        def version(name: str) -> str:
            if name not in names:
                raise metadata.PackageNotFoundError(name)
            return "1.0"

        monkeypatch.setattr(session.metadata, "version", version)

    return pretend


class FakeRuntime:
    """An onnxruntime whose CUDA behaves as told: "works", "falls back" silently, or raises."""

    __version__ = "9.9"
    SessionOptions = onnxruntime.SessionOptions

    def __init__(self, cuda: str, built_with: tuple[str, ...] = (CUDA, CPU)) -> None:
        self.cuda = cuda
        self.built_with = built_with
        self.severity = 2
        self.telemetry = True

    def get_available_providers(self) -> list[str]:
        return list(self.built_with)

    def set_default_logger_severity(self, severity: int) -> None:
        self.severity = severity

    def disable_telemetry_events(self) -> None:
        self.telemetry = False

    def preload_dlls(self) -> None:
        if self.cuda != "works":
            print("Failed to load libcublasLt.so.13: no such file")  # noqa: T201  # as the real one does

    def InferenceSession(self, _model: bytes, _options: Any, providers: list[str], **kwargs: Any) -> Any:  # noqa: N802
        names = [name if isinstance(name, str) else name[0] for name in providers]
        if CUDA in names:
            assert kwargs == {"enable_fallback": 0}
            if self.cuda == "raises":
                raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
        used = names if self.cuda == "works" or names == [CPU] else [CPU]
        port = SimpleNamespace(name="x", type="tensor(uint8)", shape=["N", "H", "W"])
        return SimpleNamespace(
            get_providers=lambda: used, get_inputs=lambda: [port], get_outputs=lambda: [port], io_binding=lambda: None
        )


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch, installed: Callable[..., None]) -> Callable[..., FakeRuntime]:
    def replace(cuda: str, **kwargs: Any) -> FakeRuntime:
        installed("onnxruntime-gpu")
        fake = FakeRuntime(cuda, **kwargs)
        monkeypatch.setitem(sys.modules, "onnxruntime", fake)
        return fake

    return replace


def test_check_runtime_reads_what_is_installed() -> None:
    info = check_runtime()
    assert info.version == onnxruntime.__version__
    assert info.distribution.startswith("onnxruntime")
    assert CPU in info.providers


def test_no_runtime_names_the_commands(installed: Callable[..., None]) -> None:
    installed()
    with pytest.raises(RuntimeNotInstalledError) as caught:
        OnnxSession(model_bytes())
    assert 'python -m pip install "rtmatte[cpu]"' in str(caught.value)
    assert 'python -m pip install "rtmatte[gpu]"' in str(caught.value)
    assert isinstance(caught.value, ImportError)


def test_two_runtimes_name_the_way_out(installed: Callable[..., None]) -> None:
    installed("onnxruntime", "onnxruntime-gpu")
    with pytest.raises(RuntimeConflictError) as caught:
        check_runtime()
    assert "python -m pip uninstall -y onnxruntime onnxruntime-gpu" in caught.value.hint
    assert 'python -m pip install "rtmatte[cpu]"' in caught.value.hint


@pytest.mark.parametrize("module", [None, SimpleNamespace()], ids=["broken", "hollow"])
def test_leftovers_of_a_runtime_are_not_a_runtime(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    with pytest.raises(RuntimeNotInstalledError, match="uninstall -y onnxruntime"):
        check_runtime()


def test_importing_the_module_does_not_import_the_runtime() -> None:
    code = "import rtmatte.matting.load, sys; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("threads", "expected"), [(1, f"{CPU}, 1 thread"), (2, f"{CPU}, 2 threads")])
def test_provider_is_read_back(threads: int, expected: str) -> None:
    made = OnnxSession(model_bytes(), device="cpu", threads=threads)
    assert made.provider == expected
    assert made._session.get_session_options().intra_op_num_threads == threads


def test_the_runtime_collects_nothing_about_the_user(tmp_path: Path) -> None:
    code = "from rtmatte.matting.load import load_matter; load_matter('selfie', device='cpu', threads=1)"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / ".cache"), "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | home)
    assert [path for path in tmp_path.rglob("*") if path.name in ("Microsoft", "deviceid", "onnxruntime.db")] == []


def test_auto_takes_cuda_if_it_comes_up(runtime: Callable[..., FakeRuntime]) -> None:
    runtime("works")
    made = OnnxSession(b"", device="auto", threads=2)
    assert made.provider == CUDA


def test_the_cpu_can_be_asked_for(runtime: Callable[..., FakeRuntime]) -> None:
    runtime("works")
    assert OnnxSession(b"", device="cpu", threads=2).provider == f"{CPU}, 2 threads"


@pytest.mark.parametrize(
    ("cuda", "why"), [("falls back", "Failed to load libcublasLt.so.13"), ("raises", "CUDA failure 100")]
)
def test_cuda_that_does_not_come_up(
    runtime: Callable[..., FakeRuntime], capfd: pytest.CaptureFixture[str], cuda: str, why: str
) -> None:
    fake = runtime(cuda)
    with pytest.raises(ProviderUnavailableError, match=why):
        OnnxSession(b"", device="cuda")
    made = OnnxSession(b"", device="auto", threads=1)
    assert made.provider == f"{CPU}, 1 thread"
    assert why in made.provider_reason
    assert fake.severity == 3  # errors are logged again
    assert capfd.readouterr().out == ""


def test_a_build_without_cuda_says_so(runtime: Callable[..., FakeRuntime]) -> None:
    runtime("works", built_with=(CPU,))
    with pytest.raises(ProviderUnavailableError, match=r"onnxruntime-gpu 9\.9 is built without CUDA"):
        OnnxSession(b"", device="cuda")


@pytest.mark.parametrize("arguments", [{"device": "gpu"}, {"threads": 0}, {"threads": -1}])
def test_settings_out_of_range(arguments: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        OnnxSession(model_bytes(), **arguments)


def test_what_is_not_a_model_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(WeightsError, match="can't load the model"):
        OnnxSession(b"not a model", device="cpu")
    assert capfd.readouterr() == ("", "")


def test_arrays_are_allocated_once_a_shape_and_reused() -> None:
    made = OnnxSession(model_bytes(), device="cpu", threads=1)
    small, large = ((1, 2, 3), (1, 2, 3)), ((1, 40, 50), (1, 40, 50))
    first = made.bind(*small)
    for value in (7, 200):
        for shapes in (small, large):
            binding = made.bind(*shapes)
            binding.input[:] = value
            binding.output[:] = -1
            made.run(binding)
            assert (binding.output == value).all()
    assert made.bind(*small) is first
    assert (first.input.dtype, first.output.dtype) == (np.uint8, np.float32)


def test_an_output_of_another_shape_is_an_error() -> None:
    made = OnnxSession(model_bytes(), device="cpu", threads=1)
    binding = made.bind((1, 4, 4), (1, 4, 5))
    with pytest.raises(ModelOutputError, match=r"expected float32 \(1, 4, 5\)"):
        made.run(binding)
    good = made.bind((1, 4, 4), (1, 4, 4))  # and the session goes on
    good.input[:] = 3
    made.run(good)
    assert (good.output == 3).all()


def test_running_writes_nothing_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    made = OnnxSession(model_bytes(), device="auto", threads=1)
    made.run(made.bind((1, 4, 4), (1, 4, 4)))
    assert capfd.readouterr() == ("", "")
