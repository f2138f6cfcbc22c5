"""Sessions for single shapes: who gets one and when, what CUDA graphs answer, and what is done where they fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rtmatte.matting import session
from rtmatte.matting.providers import PROVIDERS
from rtmatte.matting.session import Binding, OnnxSession
from tests.fake_runtime import CPU, CUDA, FakeRuntime
from tests.nets import recurrent_net
from tests.test_session import model_bytes

OPENVINO = "OpenVINOExecutionProvider"
COMPILING = tuple(provider for provider in PROVIDERS if not provider.graphs)
Open = Callable[..., tuple[OnnxSession, FakeRuntime]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Open:
    """A session that casts bytes to floats, on a device that is a fake."""

    def open_on(device: str, *, model: bytes | None = None, **behaviour: Any) -> tuple[OnnxSession, FakeRuntime]:
        (provider,) = (provider for provider in PROVIDERS if provider.device == device)
        runtime = FakeRuntime((provider.name,), **behaviour)
        monkeypatch.setattr(session, "_import_runtime", lambda: (provider.distribution, runtime))
        monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path))
        return OnnxSession(model or model_bytes(), device=device, threads=1), runtime  # type: ignore[arg-type]

    return open_on


def answers(made: OnnxSession, values: list[int], shape: tuple[int, ...] = (1, 2, 3)) -> list[bool]:
    """Whether each of these runs gave what the net says."""
    binding = made.bind(shape, shape)
    found = []
    for value in values:
        binding.input[:] = value
        binding.output[:] = -1
        made.run(binding)
        found.append(bool((binding.output == value).all()))
    return found


@pytest.mark.parametrize("provider", COMPILING, ids=lambda provider: provider.device)
def test_a_provider_that_compiles_gets_a_session_for_each_shape(opened: Open, provider: Any) -> None:
    made, runtime = opened(provider.device)
    assert all(answers(made, [3, 200]))
    assert all(answers(made, [5, 7], (1, 20, 30)))
    assert all(answers(made, [9]))
    assert [one.real.get_inputs()[0].shape for one in runtime.opened] == [["N", "H", "W"], [1, 2, 3], [1, 20, 30]]
    assert [one.runs for one in runtime.opened] == [0, 3, 2]
    static = [one.told[provider.name].get("RequireStaticInputShapes") for one in runtime.opened]
    assert static == (["0", "1", "1"] if provider.device == "coreml" else [None] * 3)


def test_there_is_an_end_to_the_shapes(opened: Open) -> None:
    made, runtime = opened("openvino")
    for side in range(1, 12):
        assert all(answers(made, [3], (1, side, 3)))
    assert len(runtime.opened) == 1 + 8
    assert runtime.opened[0].runs == 3


def test_a_cuda_graph_is_made_in_the_third_run_of_a_shape(opened: Open) -> None:
    made, runtime = opened("cuda")
    assert all(answers(made, [3, 200]))
    assert len(runtime.opened) == 1
    assert made.provider_reason == "CUDA came up"
    assert all(answers(made, [1, 2, 255]))
    ordinary, graph = runtime.opened
    assert graph.told[CUDA]["enable_cuda_graph"] == "1"
    assert graph.real.get_inputs()[0].shape == [1, 2, 3]
    # One more to make the graph; the third run was done both ways.
    assert (ordinary.runs, graph.runs) == (3, 4)
    assert made.provider_reason == "CUDA came up; replays a CUDA graph"
    assert all(answers(made, [3, 200], (1, 20, 30)))
    assert len(runtime.opened) == 2


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        ("refused", "without a CUDA graph: not all nodes have been partitioned"),
        ("stale", "without a CUDA graph: its answer differs by"),
        ("dies", "without a CUDA graph: an illegal memory access"),
    ],
)
def test_where_a_graph_fails_the_ordinary_run_goes_on(opened: Open, behaviour: str, why: str) -> None:
    made, runtime = opened("cuda", graph=behaviour)
    assert all(answers(made, [3, 200, 17, 18, 19]))
    assert all(answers(made, [4] * 5, (1, 20, 30)))
    assert why in made.provider_reason
    assert made.provider == CUDA
    assert len(runtime.opened) <= 2, "it isn't tried again"


def test_a_session_for_one_shape_that_does_not_open_is_done_without(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, runtime = opened("openvino")
    runtime.broken = "out of memory"
    assert all(answers(made, [3, 200]))
    assert made.provider_reason == "OpenVINO came up; without a session for one size of picture: out of memory"
    assert made.provider == f"{OPENVINO}, 1 thread"


@pytest.mark.parametrize("device", ["cuda", "openvino"])
def test_a_net_that_remembers_has_one_session(opened: Open, device: str) -> None:
    made, runtime = opened(device, model=recurrent_net())
    states = {name: np.zeros((1, 1, 1, 1), np.float32) for name in ("r1i", "r2i", "r3i", "r4i")}
    inputs = {"src": np.ones((1, 3, 4, 4), np.float32), **states, "downsample_ratio": np.ones(1, np.float32)}
    started = made.start(inputs, ["pha"])
    for _ in range(5):
        made.run(Binding(inputs, started.outputs))
    assert len(runtime.opened) == 1


def test_on_the_processor_there_is_nothing_of_it() -> None:
    made = OnnxSession(model_bytes(), device="cpu", threads=1)
    assert made._fixed is None
    assert all(answers(made, [1, 2, 3, 4, 5]))
    assert made.provider == f"{CPU}, 1 thread"
