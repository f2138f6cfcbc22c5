"""Which device a model runs on, what that device is told, and what is said where it doesn't come up."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from rtmatte import process_video, settings
from rtmatte.errors import ProviderUnavailableError
from rtmatte.matting import devices, open_session, providers, session
from rtmatte.matting.load import load_matter
from rtmatte.matting.matter import device_notices, why_there
from rtmatte.matting.providers import PROVIDERS, Device, Provider, automatic
from rtmatte.matting.registry import find_model
from rtmatte.matting.session import OnnxSession, check_runtime
from rtmatte.matting.weights import read_verified
from rtmatte.runs.stills import run_image
from tests import clips
from tests.fake_runtime import CPU, CUDA, FakeRuntime
from tests.nets import image_net

BY_DEVICE = {provider.device: provider for provider in PROVIDERS}
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")
Install = Callable[..., FakeRuntime]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Makes a fake runtime the installed one."""

    def put(distribution: str, *built: str, system: str = "Linux", **behaviour: Any) -> FakeRuntime:
        runtime = FakeRuntime(built, **behaviour)
        monkeypatch.setattr(session, "_import_runtime", lambda: (distribution, runtime))
        monkeypatch.setattr("platform.system", lambda: system)
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "cache"))
        return runtime

    return put


def test_the_same_devices_everywhere() -> None:
    assert get_args(Device) == get_args(settings.Device) == ("auto", "cpu", *BY_DEVICE)


@pytest.mark.parametrize("device", get_args(Device))
def test_every_device_on_the_runtime_that_is_installed_here(device: Device) -> None:
    info = check_runtime()
    if device == "cpu":
        made = OnnxSession(image_net(), device=device, threads=1)
        assert (made.provider, made.provider_reason) == (f"{CPU}, 1 thread", "the CPU was asked for")
        return
    if device == "auto":
        if not {provider.name for provider in PROVIDERS} & set(info.providers):
            made = OnnxSession(image_net(), device=device, threads=1)
            assert made.provider == f"{CPU}, 1 thread"
            assert f"{info.distribution} {info.version} is built without " in made.provider_reason
        return
    provider = BY_DEVICE[device]
    if provider.name in info.providers:
        pytest.skip(f"the installed runtime contains {provider.title}")
    with pytest.raises(ProviderUnavailableError) as caught:
        OnnxSession(image_net(), device=device)
    assert f"expected to run on {provider.title}" in caught.value.message
    assert f"{info.distribution} {info.version} is built without {provider.title}" in caught.value.message
    assert f'`python -m pip install "rtmatte[{provider.extra}]"`' in caught.value.hint
    assert provider.needs in caught.value.hint


def test_the_hint_has_the_other_runtime_taken_away_first() -> None:
    hint = BY_DEVICE["openvino"].hint("onnxruntime")
    assert '`python -m pip uninstall -y onnxruntime` and then `python -m pip install "rtmatte[openvino]"`' in hint
    assert "uninstall" not in BY_DEVICE["openvino"].hint("onnxruntime-openvino")
    assert 'pip install "tensorrt-cu13<11"' in BY_DEVICE["tensorrt"].hint("onnxruntime-gpu")


@pytest.mark.parametrize(
    ("system", "distribution", "expected"),
    [
        ("Linux", "onnxruntime", ["cuda"]),
        ("Linux", "onnxruntime-openvino", ["cuda", "openvino"]),
        ("Windows", "onnxruntime-directml", ["cuda", "directml"]),
        ("Windows", "onnxruntime-openvino", ["cuda", "directml", "openvino"]),
        ("Darwin", "onnxruntime", ["coreml"]),
        ("FreeBSD", "onnxruntime", ["cuda"]),
    ],
)
def test_what_auto_tries(system: str, distribution: str, expected: list[str]) -> None:
    assert [provider.device for provider in automatic(distribution, system)] == expected


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("system", ["Linux", "Windows", "Darwin"])
def test_auto_never_builds_engines_unasked(system: str, distribution: str) -> None:
    assert not {"tensorrt", "openvino-gpu"} & {provider.device for provider in automatic(distribution, system)}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.device)
def test_a_device_that_works_is_read_back(install: Install, provider: Provider) -> None:
    runtime = install(provider.distribution, provider.name)
    made = OnnxSession(image_net(), device=provider.device, threads=2)
    assert made.provider.split(",")[0] == provider.name
    assert made.provider_reason == f"{provider.title} came up"
    (opened,) = runtime.opened
    assert opened.names == [provider.name, CPU]
    assert opened.options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert runtime.severity == 3  # errors are logged again


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.device)
@pytest.mark.parametrize("broken", ["error 100: no such device", ""], ids=["raises", "falls back"])
def test_a_device_that_does_not_work_is_an_error(
    install: Install, capfd: pytest.CaptureFixture[str], provider: Provider, broken: str
) -> None:
    runtime = install(provider.distribution, provider.name, broken=broken)
    with pytest.raises(ProviderUnavailableError, match=f"{provider.title} didn't come up in {provider.distribution}"):
        OnnxSession(image_net(), device=provider.device)
    assert runtime.severity == 3
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("system", "distribution", "name"),
    [
        ("Linux", "onnxruntime-gpu", CUDA),
        ("Windows", "onnxruntime-directml", "DmlExecutionProvider"),
        ("Darwin", "onnxruntime", "CoreMLExecutionProvider"),
        ("Linux", "onnxruntime-openvino", "OpenVINOExecutionProvider"),
    ],
)
def test_auto_takes_what_works_and_says_why_it_took_the_cpu(
    install: Install, system: str, distribution: str, name: str
) -> None:
    install(distribution, name, system=system)
    assert OnnxSession(image_net()).provider.split(",")[0] == name
    install(distribution, name, system=system, broken="error 100: no such device")
    made = OnnxSession(image_net(), threads=1)
    assert made.provider == f"{CPU}, 1 thread"
    assert "error 100: no such device" in made.provider_reason


def test_a_model_for_several_frames_at_once_is_loaded_once(install: Install) -> None:
    for distribution, built, provider in (
        ("onnxruntime-openvino", ["OpenVINOExecutionProvider"], "OpenVINOExecutionProvider, 2 threads"),
        ("onnxruntime-openvino", [], f"{CPU}, 2 threads, 2 frames at once"),
        ("onnxruntime", [], f"{CPU}, 2 threads, 2 frames at once"),
    ):
        runtime = install(distribution, *built)
        assert load_matter("selfie", side_by_side=True, threads=2).provider == provider
        (opened,) = runtime.opened
        assert opened.options.intra_op_num_threads == (2 if built else 1)


@pytest.mark.parametrize(
    ("system", "distribution", "built", "device", "expected"),
    [
        ("Linux", "onnxruntime", (), "auto", "selfie-multiclass-int8"),
        ("Linux", "onnxruntime-gpu", (CUDA,), "auto", "selfie-multiclass-fp16"),
        ("Linux", "onnxruntime-gpu", (CUDA,), "cpu", "selfie-multiclass-int8"),
        ("Linux", "onnxruntime-gpu", (CUDA, "TensorrtExecutionProvider"), "tensorrt", "selfie-multiclass-fp16"),
        ("Windows", "onnxruntime-directml", ("DmlExecutionProvider",), "auto", "selfie-multiclass-fp16"),
        ("Darwin", "onnxruntime", ("CoreMLExecutionProvider",), "auto", "selfie-multiclass-fp16"),
        ("Linux", "onnxruntime-openvino", ("OpenVINOExecutionProvider",), "auto", "selfie-multiclass-int8"),
        ("Linux", "onnxruntime-openvino", ("OpenVINOExecutionProvider",), "openvino-gpu", "selfie-multiclass-fp16"),
    ],
)
def test_people_is_the_net_that_suits_the_device(
    install: Install, system: str, distribution: str, built: tuple[str, ...], device: Device, expected: str
) -> None:
    runtime = install(distribution, *built, system=system)
    for options in ({}, {"side_by_side": True, "batch": None}, {"focus": "near"}):
        assert load_matter("people", device=device, **options).name == expected
    assert {opened.precision for opened in runtime.opened} == {expected.removeprefix("selfie-multiclass-")}
    assert load_matter("selfie-multiclass-int8", device=device).name == "selfie-multiclass-int8", "as it was asked for"


def test_people_is_the_processors_net_where_the_device_does_not_come_up(install: Install) -> None:
    runtime = install("onnxruntime-gpu", CUDA, broken="error 100: no such device")
    assert load_matter("people").name == "selfie-multiclass-int8"
    assert [opened.precision for opened in runtime.opened] == ["int8"]


def test_the_other_net_is_not_even_read_where_no_device_can_come_up(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr("rtmatte.matting.load.read_verified", lambda row: read.append(row.name) or read_verified(row))
    install("onnxruntime")
    load_matter("people")
    assert read == ["selfie-multiclass-int8"]


OPTIONS = [
    {},
    {"skip_still": True, "both_ways": True},
    {"side_by_side": True, "threads": 2},
    {"batch": 2, "both_ways": True},
    {"focus": "near", "skip_still": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_device_that_did_not_come_up_is_told_whatever_stands_around_the_net(
    install: Install, options: dict[str, Any]
) -> None:
    install("onnxruntime-gpu", CUDA, broken="error 100: no such device")
    matter = load_matter("selfie", **options)
    assert "error 100: no such device" in why_there(matter)
    (notice,) = device_notices(matter)
    assert notice.startswith(f"Runs on {CPU}")
    assert notice.endswith("CUDA didn't come up in onnxruntime-gpu 9.9: error 100: no such device.")


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_nothing_is_missed_where_nothing_was_to_be_had(install: Install, device: Device) -> None:
    install("onnxruntime")
    matter = load_matter("selfie", device=device)
    assert why_there(matter)
    assert device_notices(matter) == ()


def test_every_run_tells_what_did_not_come_up(install: Install, tmp_path: Path) -> None:
    install("onnxruntime-gpu", CUDA, broken="error 100: no such device")
    source, picture = tmp_path / "in.mp4", tmp_path / "in.png"
    clips.plain(source)
    cv2.imwrite(str(picture), np.zeros((64, 64, 3), np.uint8))
    told = "error 100: no such device"
    for two_pass in (False, True):
        report = process_video(source, tmp_path / f"{two_pass}.mp4", background="blur", two_pass=two_pass)
        assert told in report.provider_reason
        assert told in " ".join(report.notices)
    still = run_image(picture, tmp_path / "out.png", settings.ImageSettings(model="selfie"))
    assert told in still.provider_reason
    assert told in " ".join(still.notices)


def test_auto_names_every_device_that_it_tried(install: Install) -> None:
    install("onnxruntime", system="Windows")
    reason = OnnxSession(image_net()).provider_reason
    assert reason == "onnxruntime 9.9 is built without CUDA; onnxruntime 9.9 is built without DirectML"


def test_a_provider_has_to_run_most_of_the_model(install: Install) -> None:
    install("onnxruntime", "CoreMLExecutionProvider", system="Darwin", takes=3)
    made = OnnxSession(image_net(), threads=1)
    assert made.provider == f"{CPU}, 1 thread"
    assert made.provider_reason == "Core ML came up and takes 3 of the model's 10 operations"
    assert made.provider_missed == "", "nothing that a user could mend"
    made = OnnxSession(image_net(), device="coreml")  # asked for, so it is taken, and says how much it does
    assert made.provider == "CoreMLExecutionProvider"
    assert "takes 3 of the model's 10 operations" in made.provider_reason

    install("onnxruntime", "CoreMLExecutionProvider", system="Darwin", takes=0)
    with pytest.raises(ProviderUnavailableError, match="takes 0 of the model's 10 operations"):
        OnnxSession(image_net(), device="coreml")

    install("onnxruntime", "CoreMLExecutionProvider", system="Darwin", takes=None)  # an older one can't tell
    assert OnnxSession(image_net()).provider_reason == "Core ML came up"


def test_tensorrt_keeps_its_engines_apart_in_the_users_cache(install: Install, tmp_path: Path) -> None:
    runtime = install("onnxruntime-gpu", "TensorrtExecutionProvider", CUDA)
    for model in ("u2netp", "u2netp-int8", "u2netp", "u2netp-fp16"):
        OnnxSession(read_verified(find_model(model)), device="tensorrt", threads=1)
    first, quantised, again, half = (opened.told["TensorrtExecutionProvider"] for opened in runtime.opened)
    assert runtime.opened[0].names == ["TensorrtExecutionProvider", CUDA, CPU]
    assert first["trt_engine_cache_enable"] == first["trt_timing_cache_enable"] == "True"
    assert (first["trt_fp16_enable"], half["trt_fp16_enable"]) == ("False", "True")
    folder = Path(first["trt_engine_cache_path"])
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path / "cache")
    assert "9.9" in folder.parts
    assert again["trt_engine_cache_path"] == first["trt_engine_cache_path"] != quantised["trt_engine_cache_path"]
    assert first["trt_timing_cache_path"] == quantised["trt_timing_cache_path"]
    assert ("trt_int8_enable" in first, quantised["trt_int8_enable"]) == (False, "True")


def test_tensorrts_own_package_is_loaded_before(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = install("onnxruntime-gpu", "TensorrtExecutionProvider", CUDA)
    monkeypatch.setitem(sys.modules, "tensorrt", type("Module", (), {"__version__": "10.77"}))
    OnnxSession(image_net(), device="tensorrt")
    told = runtime.opened[0].told["TensorrtExecutionProvider"]
    assert "10.77" in Path(told["trt_engine_cache_path"]).parts


def test_directml_gets_what_it_insists_on(install: Install) -> None:
    runtime = install("onnxruntime-directml", "DmlExecutionProvider", system="Windows")
    OnnxSession(image_net(), device="directml")
    options = runtime.opened[0].options
    assert options.enable_mem_pattern is False
    assert options.execution_mode == runtime.ExecutionMode.ORT_SEQUENTIAL
    assert runtime.opened[0].told["DmlExecutionProvider"]["device_filter"] == "gpu"


def test_openvino_gets_its_threads(install: Install) -> None:
    runtime = install("onnxruntime-openvino", "OpenVINOExecutionProvider")
    made = OnnxSession(image_net(), device="openvino", threads=3)
    assert made.provider == "OpenVINOExecutionProvider, 3 threads"
    told = runtime.opened[0].told["OpenVINOExecutionProvider"]
    assert told["device_type"] == "CPU"
    assert json.loads(told["load_config"])["CPU"]["INFERENCE_NUM_THREADS"] == "3"
    OnnxSession(image_net(), device="openvino-gpu")
    assert runtime.opened[1].told["OpenVINOExecutionProvider"]["device_type"] == "GPU"


def test_cuda_is_told_how_to_search_and_not_to_record_graphs_yet(install: Install) -> None:
    runtime = install("onnxruntime-gpu", CUDA)
    OnnxSession(image_net(), device="cuda")
    told = runtime.opened[0].told[CUDA]
    assert told["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert told["use_tf32"] == "0"
    assert "enable_cuda_graph" not in told


def test_examining_names_what_works_fails_and_is_absent(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("onnxruntime-openvino", "OpenVINOExecutionProvider")
    original = providers._openvino_gpu

    def no_graphics(wish: providers.Wish) -> dict[str, str]:
        raise RuntimeError("no Intel graphics here")

    rows = tuple(
        row if row.options is not original else Provider(**{**_fields(row), "options": no_graphics})
        for row in PROVIDERS
    )
    monkeypatch.setattr(devices, "PROVIDERS", rows)
    monkeypatch.setattr(open_session, "BY_DEVICE", {row.device: row for row in rows})
    monkeypatch.setattr(
        devices, "check_runtime", lambda: session.RuntimeInfo("x", "9.9", ("OpenVINOExecutionProvider",))
    )
    found = {row.device: row for row in devices.examine_devices()}
    assert set(found) == set(get_args(Device))
    states = {device: row.state for device, row in found.items()}
    assert states == dict.fromkeys(found, "absent") | {
        "auto": "works",
        "cpu": "works",
        "openvino": "works",
        "openvino-gpu": "fails",
    }
    assert found["auto"].provider.startswith("OpenVINOExecutionProvider")
    assert "no Intel graphics here" in found["openvino-gpu"].reason


def _fields(row: Provider) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


@pytest.mark.parametrize(("model", "mean_off"), [("u2netp", 1e-4), ("u2netp-int8", 2e-2)])
def test_openvino_says_what_the_processor_says(model: str, mean_off: float) -> None:
    if "OpenVINOExecutionProvider" not in check_runtime().providers:
        pytest.skip("the installed runtime doesn't contain OpenVINO")
    answers = []
    for device in ("cpu", "openvino"):
        made = OnnxSession(read_verified(find_model(model)), device=device, threads=2)  # type: ignore[arg-type]
        binding = made.bind((1, 128, 128, 3), (1, 128, 128))
        binding.input[:] = np.random.default_rng(1).integers(0, 256, binding.input.shape)
        for _ in range(3):
            made.run(binding)
        answers.append(binding.output)
    assert made.provider == "OpenVINOExecutionProvider, 2 threads"
    assert made.provider_reason == "OpenVINO came up"
    assert np.abs(answers[0] - answers[1]).mean() <= mean_off
