"""How a kept result is put into words: the same in the table, the plot and the page."""

from __future__ import annotations

import math
from typing import Any

from rtmatte.runs.bench.cases import Case
from rtmatte.runs.bench.gpu.state import runs_on_it

_MIB = 2**20
_SOURCES = {"generated": "a generated clip", "file": "a file", "camera": "a camera, live"}


def label_of(case: dict[str, Any]) -> str:
    """Such as `u2netp 1280x720 cpu, 2 threads, batch 4`: what makes a case the same one in two results."""
    size_wh = case["size_wh"]
    return Case(
        case["model"], None if size_wh is None else tuple(size_wh), case["device"], case["threads"], case["batch"]
    ).label


def machine_line(machine: dict[str, Any]) -> str:
    """Processor, memory, GPUs, system, versions that matter."""
    runtime = [f"{name} {machine[name]}" for name in ("onnxruntime", "onnxruntime-gpu", "openvino") if name in machine]
    memory = machine.get("memory_gib")
    parts = [
        f"{machine['processor']}, {machine['cores']} cores",
        f"{memory:g} GiB" if memory else "",
        *machine["gpus"],
        machine["system"],
        f"rtmatte {machine.get('rtmatte', '?')}",
        *runtime,
    ]
    return "; ".join(part for part in parts if part)


def source_line(result: dict[str, Any]) -> str:
    """What was measured, and how."""
    rounds, seconds = result["rounds_planned"], result["seconds_per_round"]
    return (
        f"{_SOURCES[result['source']['kind']]}; background {result['background']}; "
        f"{rounds} round{'s that take turns' * (rounds > 1)}, each {seconds:.3g} s after its warm-up"
    )


def bound_line(case: dict[str, Any]) -> str:
    """What limits a measured case, in a sentence."""
    bound = case["bound"]
    if bound["by"] == "camera":
        return f"waits for the camera: works {bound['share']:.0%} of the time"
    return (
        f"bound by {bound['by']}, busy {bound['share']:.0%} of the time; "
        f"end to end takes {bound['overhead']:.2f} times as long as this stage"
    )


def ran_on(case: dict[str, Any]) -> str:
    """What a measured case really ran on: provider, net and precision, encoder or device, a decoder that isn't
    software; in which state a GPU was, and which devices didn't come up."""
    net = case["precision"] if case["net"] == case["model"] else f"{case['net']} ({case['precision']})"
    decoder = [] if case["decoder"] == "software" else [f"decoded by {case['decoder']}"]
    told = (*decoder, *_gpu_state(case["gpu"]), *case["device_notices"])
    return "; ".join((case["provider"], net, case["output"], *told))


def _gpu_state(gpu: dict[str, Any] | None) -> list[str]:
    if gpu is None:
        return []
    units = {"power_w": "W", "temperature_c": "°C", "clock_mhz": "MHz"}
    told = [f"{gpu[name]:.0f} {unit}" for name, unit in units.items() if gpu[name] is not None]
    told += [f"slowed down by {' and '.join(gpu['slowed_by'])}"] if gpu["slowed_by"] else []
    return [f"GPU at {', '.join(told)}"] if told else []


def memory(case: dict[str, Any]) -> str:
    """`544 MiB (+120)`: of the process at most, and over what was before; a dash for what can't be read."""
    added = case["added_bytes"]
    return mebibytes(case["peak_bytes"]) + ("" if added is None else f" (+{added / _MIB:.0f})")


def gpu_memory(case: dict[str, Any]) -> str:
    """`812 MiB (+400)` at most and over what was before: this process's own, or where that isn't told `all 3000 MiB
    (+400)` of all programs; a dash for what can't be read."""
    gpu = case["gpu"] or {"own_peak_bytes": None, "peak_bytes": None}
    if gpu["own_peak_bytes"] is not None:
        return f"{mebibytes(gpu['own_peak_bytes'])} (+{(gpu['own_peak_bytes'] - gpu['own_before_bytes']) / _MIB:.0f})"
    if gpu["peak_bytes"] is not None and gpu["before_bytes"] is not None:
        return f"all {mebibytes(gpu['peak_bytes'])} (+{(gpu['peak_bytes'] - gpu['before_bytes']) / _MIB:.0f})"
    return mebibytes(None)


def gpu_note(result: dict[str, Any]) -> str:
    """How the GPU was asked, in a sentence; "" where no model ran on one."""
    on_it = any(case["rounds"] and runs_on_it(case["provider"]) for case in result["cases"])
    return f"The GPU's state was {result['gpu_read_by']}." if on_it else ""


def mebibytes(count: int | None) -> str:
    """`338 MiB`, or a dash for what can't be read."""
    return "–" if count is None else f"{count / _MIB:.0f} MiB"


def changed_line(difference: dict[str, Any]) -> str:
    """What a case of a comparison ran on that isn't the same, such as ` (another provider, another precision)`."""
    return f" ({', '.join(f'another {name}' for name in difference['changed'])})" if difference["changed"] else ""


def ratio_line(ratio: dict[str, Any] | None) -> str:
    """`1.9x, faster (1.8 to 2)`, or a dash for what isn't compared."""
    return "–" if ratio is None else f"{ratio['ratio']:.3g}x, {ratio['verdict']} {spread_line(ratio)}".rstrip()


def spread_line(ratio: dict[str, Any]) -> str:
    """`(0.91 to 1.1)` where rounds say how sure the ratio is; "" for a single round on both sides."""
    if ratio["verdict"] != "too few rounds to tell":
        return f"({ratio['low']:.3g} to {ratio['high']:.3g})"
    if math.isclose(ratio["low"], ratio["high"]):
        return ""
    return f"(single rounds {ratio['low']:.3g} to {ratio['high']:.3g})"
