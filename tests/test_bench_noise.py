"""When the benchmark calls a difference: properties of the rule, and an old result beside a new one."""

from __future__ import annotations

import copy
import json
import math
import random
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtmatte.errors import InputNotFoundError, UnreadableInputError
from rtmatte.runs.bench.compare import compare, read_result
from rtmatte.runs.bench.noise import Ratio, paired_ratio, unpaired_ratio
from rtmatte.runs.bench.words import changed_line, spread_line

CALLED = {"faster", "slower"}
OPPOSITE = {"faster": "slower", "slower": "faster"}
RULES = [paired_ratio, unpaired_ratio]

rates = st.lists(st.floats(0.1, 1000), min_size=1, max_size=8)


@pytest.mark.parametrize("rule", RULES)
@given(new=rates, old=rates)
def test_swapping_the_sides_swaps_the_verdict(rule: Any, new: list[float], old: list[float]) -> None:
    there, back = rule(new, old), rule(old, new)
    assert back.verdict == OPPOSITE.get(there.verdict, there.verdict)
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.low * back.high == pytest.approx(1)
    assert there.low <= there.ratio * (1 + 1e-9)
    assert there.ratio <= there.high * (1 + 1e-9)


@pytest.mark.parametrize("rule", RULES)
@given(rounds=st.lists(st.floats(0.1, 1000), min_size=1, max_size=8), seed=st.integers(0, 2**32))
def test_the_same_rates_in_another_order_are_never_a_difference(rule: Any, rounds: list[float], seed: int) -> None:
    shuffled = rounds.copy()
    random.Random(seed).shuffle(shuffled)
    assert rule(rounds, shuffled).verdict not in CALLED


@given(new=rates, old=rates)
def test_a_median_among_the_other_sides_rounds_is_never_a_difference(new: list[float], old: list[float]) -> None:
    if unpaired_ratio(new, old).verdict in CALLED:
        news, olds = ([math.log(rate) for rate in side] for side in (new, old))
        assert not min(olds) <= statistics.median(news) <= max(olds)
        assert not min(news) <= statistics.median(olds) <= max(news)


@given(new=rates, old=rates)
def test_rounds_that_disagree_are_never_a_difference(new: list[float], old: list[float]) -> None:
    if paired_ratio(new, old).verdict in CALLED:
        assert len({a > b for a, b in zip(new, old, strict=False)}) == 1


@pytest.mark.parametrize("rule", RULES)
def test_noise_is_seldom_called_and_a_real_difference_is(rule: Any) -> None:
    """Rounds of 3 % noise: at most 1 % false calls, and twice as fast is always seen."""
    noise = random.Random(3)

    def measured(rate: float) -> list[float]:
        return [rate * math.exp(noise.gauss(0, 0.03)) for _ in range(5)]

    false = sum(rule(measured(30), measured(30)).verdict in CALLED for _ in range(3000))
    assert false <= 30
    assert {rule(measured(60), measured(30)).verdict for _ in range(300)} == {"faster"}
    assert {rule(measured(15), measured(30)).verdict for _ in range(300)} == {"slower"}


def test_too_few_rounds_and_tiny_differences_are_not_called() -> None:
    assert unpaired_ratio([60, 60], [30, 30, 30]).verdict == "too few rounds to tell"
    assert paired_ratio([60, 60, 60], [30, 30]).verdict == "too few rounds to tell"
    assert unpaired_ratio([30.6] * 5, [30.0] * 5).verdict == "no difference beyond noise"
    assert unpaired_ratio([33.0] * 5, [30.0] * 5) == Ratio(*[pytest.approx(1.1)] * 3, "faster")
    for rule in RULES:
        with pytest.raises(ValueError, match="at least one round"):
            rule([], [30.0])


def test_what_slows_a_whole_round_cancels_between_cases_of_one_result() -> None:
    machine = [1.0, 0.4, 0.7, 1.0, 0.5]
    one, other = (
        [30 * share for share in machine],
        [24 * share * wobble for share, wobble in zip(machine, (1.01, 1.0, 0.99, 1.0, 1.01), strict=True)],
    )
    assert unpaired_ratio(one, other).verdict == "no difference beyond noise"
    assert paired_ratio(one, other).verdict == "faster"


CALM = {"governors": ["performance"], "throttled": 0, "on_battery": False, "others_share": 0.02, "gpu_slowed_by": []}


def result(fps: dict[str, list[float]], **others: Any) -> dict[str, Any]:
    """A kept result with what a comparison looks at."""
    cases = [
        {
            "model": model,
            "size_wh": [640, 360],
            "device": "cpu",
            "threads": 2,
            "batch": None,
            "provider": "CPUExecutionProvider, 2 threads",
            "precision": "float32",
            "output": "libx264",
            "decoder": "software",
            "rounds": [{"fps": rate, "latency_ms": {"p50": 4e3 / rate}} for rate in rates_of_rounds],
        }
        for model, rates_of_rounds in fps.items()
    ]
    return {
        "schema": "rtmatte-bench",
        "schema_version": 2,
        "machine": {"processor": "one", "cores": 2, "rtmatte": "0.1"},
        "conditions": CALM,
        "notes": [],
        "source": {"kind": "generated", "id": "scene 1"},
        "background": "blur",
        "seconds_per_round": 5,
        "cases": cases,
        **others,
    }


def test_an_old_result_beside_a_new_one(tmp_path: Path) -> None:
    old = result({"u2netp": [10.0, 10.1, 10.2], "selfie": [50.0, 51.0, 52.0], "gone": [1.0, 1.0, 1.0], "never": []})
    new = result(
        {"u2netp": [20.0, 20.1, 20.2], "selfie": [51.0, 50.0, 52.5], "fresh": [2.0, 2.0, 2.0]},
        background="#00b140",
        machine={"processor": "other", "cores": 2, "rtmatte": "0.2"},
    )
    (tmp_path / "old.json").write_text(json.dumps(old))
    found = compare(new, read_result(tmp_path / "old.json"))
    by_label = {one.label.split()[0]: one for one in found.differences}
    assert list(by_label) == ["u2netp", "selfie", "fresh", "gone"]
    assert by_label["u2netp"].fps is not None
    assert by_label["u2netp"].latency is not None
    assert by_label["u2netp"].fps.verdict == by_label["u2netp"].latency.verdict == "faster"
    assert by_label["selfie"].fps is not None
    assert by_label["selfie"].fps.verdict == "no difference beyond noise"
    assert (by_label["fresh"].only_in, by_label["gone"].only_in) == ("new", "old")
    assert found.warnings == (
        "Not the same processor: one before, other now.",
        "Not the same background: blur before, #00b140 now.",
    )
    assert compare(old, old).warnings == ()
    json.dumps(found.as_dict())


def test_what_the_old_result_ran_on_and_in_which_state_the_machine_was_is_told() -> None:
    """Each of these alone can make twice the speed."""
    new = result({"u2netp": [20.0, 20.1, 20.2], "selfie": [50.0, 51.0, 52.0]})
    old = copy.deepcopy(new)
    old["cases"][0] |= {
        "provider": "CUDAExecutionProvider",
        "precision": "int8",
        "output": "h264_nvenc",
        "decoder": "cuda",
    }
    old["conditions"] = {
        "governors": ["powersave"],
        "throttled": 3,
        "on_battery": True,
        "others_share": 0.4,
        "gpu_slowed_by": ["heat", "its power limit"],
    }
    old["machine"] |= {"opencv": "4.10", "gpus": ["A GPU"]}
    old["notes"] = ["The machine ran on battery.", "Runs were shortened to 0.5 s to fit the budget."]
    found = compare(new, old)
    assert [one.changed for one in found.differences] == [("provider", "precision", "output", "decoder"), ()]
    silent = copy.deepcopy(new)
    silent["conditions"]["governors"] = []
    assert not any("governors" in warning for warning in compare(silent, old).warnings)
    label = "u2netp 640x360 cpu, 2 threads"
    assert found.warnings == (
        f"{label}: Not the same provider: CUDAExecutionProvider before, CPUExecutionProvider, 2 threads now.",
        f"{label}: Not the same precision: int8 before, float32 now.",
        f"{label}: Not the same output: h264_nvenc before, libx264 now.",
        f"{label}: Not the same decoder: cuda before, software now.",
        "Before: The processor's governor is powersave: clocks may be lower than this machine can.",
        "Before: The machine ran on battery.",
        "Before: The processor was slowed down for heat 3 times during the run.",
        "Before: The GPU was slowed down by heat and its power limit.",
        "Before: Other programs used up to 40% of the processor during a run.",
        "Before: Runs were shortened to 0.5 s to fit the budget.",
        "Not the same governors: powersave before, performance now.",
        "Not the same opencv: 4.10 before, none now.",
        "Not the same gpus: A GPU before, none now.",
    )
    told = " (another provider, another precision, another output, another decoder)"
    assert changed_line(asdict(found.differences[0])) == told


def test_a_result_from_before_decoders_could_be_chosen_is_one_of_software(tmp_path: Path) -> None:
    new = result({"u2netp": [20.0, 20.1, 20.2]})
    old = copy.deepcopy(new)
    del old["cases"][0]["decoder"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert compare(new, read_result(tmp_path / "old.json")).warnings == ()
    new["cases"][0]["decoder"] = "cuda"
    (warning,) = compare(new, read_result(tmp_path / "old.json")).warnings
    assert warning.endswith("Not the same decoder: software before, cuda now.")


def test_a_spread_is_told_where_there_is_one() -> None:
    assert spread_line(unpaired_ratio([20.0], [21.0]).as_dict()) == ""
    assert spread_line(unpaired_ratio([20.0, 22.0], [20.0]).as_dict()) == "(single rounds 1 to 1.1)"
    assert spread_line(unpaired_ratio([20.0, 20.1, 20.2], [10.0] * 3).as_dict()).startswith("(1.9")


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    with pytest.raises(InputNotFoundError, match="does not exist"):
        read_result(path)
    good = result({"u2netp": [10.0]})
    without_machine, negative, newer = (copy.deepcopy(good) for _ in range(3))
    del without_machine["machine"]
    negative["cases"][0]["rounds"][0]["fps"] = -1
    newer["schema_version"] = 3
    for content, says in (
        ("not JSON", "can't be read as JSON"),
        ("[]", "expected schema rtmatte-bench, version 2"),
        (json.dumps(newer), "version 2"),
        (json.dumps(without_machine), "not a whole result"),
        (json.dumps(negative), "isn't positive"),
        (json.dumps(good).replace("10.0", "NaN"), "isn't positive"),
        (json.dumps({**good, "cases": [{}]}), "not a whole result"),
    ):
        path.write_text(content)
        with pytest.raises(UnreadableInputError, match=says):
            read_result(path)
    path.write_text(json.dumps(good))
    assert read_result(path) == good
