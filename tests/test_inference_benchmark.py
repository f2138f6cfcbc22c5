"""The benchmark of inference: both sides run, and its figures are those of the models that it names."""

from __future__ import annotations

import inference
import pytest

from rtmatte.matting.session import default_threads


@pytest.fixture(scope="module")
def figures() -> dict[str, object]:
    return inference.measure((96, 64), rounds=2)


def test_both_sides_run_and_are_named(figures: dict[str, dict[str, object]]) -> None:
    ours = {"u2netp", "u2netp-int8", "u2netp-int8 in clips"} if default_threads() > 1 else {"u2netp", "u2netp-int8"}
    assert set(figures["median_ms"]) == {"plain", *ours}
    assert set(figures["plain_over"]) == set(figures["provider"]) == ours
    assert all(str(provider).startswith("CPUExecutionProvider") for provider in figures["provider"].values())


def test_ours_in_float_is_the_same_net_and_int8_another(figures: dict[str, dict[str, float]]) -> None:
    assert figures["difference"]["u2netp"] < 1e-5
    assert figures["difference"]["u2netp-int8"] > 1e-5


def test_a_ratio_is_taken_within_its_round() -> None:
    ratios = inference._ratios([100.0, 400.0, 100.0], [50.0, 200.0, 25.0])
    assert ratios["median"] == 2
    assert ratios["three_quarters"] == 4
