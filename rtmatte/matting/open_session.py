"""A session of onnxruntime on a device, or the reason why there is none there.

A provider that comes up and takes less than half of the model's operations isn't taken unasked: what it leaves goes to
the processor and back, as much of an int8 net on Core ML would. One that is asked for and doesn't come up, or that
takes no operation at all, is an error, not a slow run.
"""

from __future__ import annotations

import contextlib
import io
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from rtmatte.errors import ProviderUnavailableError, WeightsError
from rtmatte.matting.providers import BY_DEVICE, CPU, INSTALL, Device, Provider, Wish, automatic, tensorrt_module

Again: TypeAlias = Callable[[Mapping[str, int]], Any]
"""Opens a session like another one for inputs whose free dimensions, by name, have these sizes."""

LOG_ERRORS, _LOG_FATAL = 3, 4
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Opened:
    """A session of onnxruntime, the provider it runs on (None: the processor), and why it is that one.

    `missed`: what this onnxruntime is built for and would have been taken first, and why it wasn't; often nothing.
    `again`: another session of the same kind, not for the processor.
    """

    session: Any
    provider: Provider | None
    reason: str
    missed: str = ""
    again: Again | None = None


class _NoProviderError(Exception):
    """Why a provider isn't there or didn't come up."""


class _NotBuiltInError(_NoProviderError):
    """This onnxruntime hasn't got it at all."""


class _TooLittleError(_NoProviderError):
    """It came up, and takes too few of this model's operations: nothing that a user could mend."""


def open_session(wish: Wish, device: Device) -> Opened:
    """A session on that device; with `auto` on the first that comes up.

    Raises:
        ProviderUnavailableError: the device was asked for and doesn't come up; says why, and what to install.
        WeightsError: the runtime can't read the model.
    """
    if device == "cpu":
        return Opened(_on_cpu(wish), None, "the CPU was asked for")
    if device != "auto":
        provider = BY_DEVICE[device]
        try:
            return _on(provider, wish, least_share=0)
        except _NoProviderError as error:
            _on_cpu(wish.for_provider(provider))  # is it the model?
            raise ProviderUnavailableError(
                f"expected to run on {provider.title}, got no working {provider.title}: {error}.",
                hint=provider.hint(wish.distribution),
            ) from error
    reasons: list[str] = []
    missed: list[str] = []
    for provider in automatic(wish.distribution, platform.system()):
        try:
            return replace(_on(provider, wish, least_share=_LEAST_SHARE), missed="; ".join(missed))
        except _NoProviderError as error:
            reasons.append(str(error))
            if not isinstance(error, (_NotBuiltInError, _TooLittleError)):
                missed.append(str(error))
    return Opened(_on_cpu(wish), None, "; ".join(reasons), "; ".join(missed))


def session_options(runtime: Any, threads: int, *, log: int = LOG_ERRORS) -> Any:
    """Options of a session that leaves the cores to others while it waits."""
    options = runtime.SessionOptions()
    options.log_severity_level = log
    options.intra_op_num_threads = threads
    # A spinning wait takes the core that decoder and encoder need, during a run and after it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _on_cpu(wish: Wish) -> Any:
    try:
        return wish.runtime.InferenceSession(wish.model, session_options(wish.runtime, wish.cpu_threads), [CPU])
    except Exception as error:  # the runtime's own exceptions have no public base class
        raise WeightsError(
            f"onnxruntime {wish.runtime.__version__} can't load the model: {error}", hint=f"Update it: {INSTALL}."
        ) from error


def _on(provider: Provider, wish: Wish, *, least_share: float) -> Opened:
    """A session that runs on it.

    Raises:
        _NotBuiltInError: it isn't in this build.
        _TooLittleError: it takes too few of the model's operations.
        _NoProviderError: it doesn't come up.
    """
    what = f"{wish.distribution} {wish.runtime.__version__}"
    if provider.name not in wish.runtime.get_available_providers():
        raise _NotBuiltInError(f"{what} is built without {provider.title}")
    wish = wish.for_provider(provider)
    printed = io.StringIO()
    failure = ""
    session = None
    wish.runtime.set_default_logger_severity(_LOG_FATAL)  # the reason goes to the caller, not onto the terminal
    try:
        with contextlib.redirect_stdout(printed):
            _load_libraries(provider, wish.runtime)
            session = _new_session(provider, wish)
    except Exception as error:  # no driver, no device, no memory: each has its own type
        failure = " ".join(str(error).split())
    finally:
        wish.runtime.set_default_logger_severity(LOG_ERRORS)
    if session is None or session.get_providers()[0] != provider.name:
        missing = printed.getvalue().strip().splitlines()
        failure = failure or (missing[0] if missing else "the runtime fell back to the CPU without saying why")
        raise _NoProviderError(f"{provider.title} didn't come up in {what}: {failure}")
    taken = _taken(session, provider.name)
    reason = f"{provider.title} came up"
    if taken is not None and taken[0] < taken[1]:
        reason += f" and takes {taken[0]} of the model's {taken[1]} operations"
        if not taken[0] or taken[0] < least_share * taken[1]:
            raise _TooLittleError(reason)
    return Opened(session, provider, reason, again=lambda sizes: _new_session(provider, wish, sizes))


def _new_session(provider: Provider, wish: Wish, sizes: Mapping[str, int] | None = None) -> Any:
    """With `sizes`, for inputs of just these sizes, and with a CUDA graph where the provider can."""
    options = session_options(wish.runtime, wish.threads, log=_LOG_FATAL)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if provider.device == "directml":  # it refuses to start otherwise
        options.enable_mem_pattern = False
        options.execution_mode = wish.runtime.ExecutionMode.ORT_SEQUENTIAL
    told = provider.options(wish)
    if sizes is not None:
        for name, size in sizes.items():
            options.add_free_dimension_override_by_name(name, size)
        if provider.graphs:
            told["enable_cuda_graph"] = "1"
        if provider.device == "coreml":
            told["RequireStaticInputShapes"] = "1"
    there = wish.runtime.get_available_providers()
    behind = [name for name in provider.behind if name in there]
    # Without fallback: the runtime would otherwise announce one on stdout.
    return wish.runtime.InferenceSession(wish.model, options, [(provider.name, told), *behind, CPU], enable_fallback=0)


def _load_libraries(provider: Provider, runtime: Any) -> None:
    if provider.distribution == "onnxruntime-gpu":
        runtime.preload_dlls()  # finds the CUDA libraries that pip installed; prints what it doesn't find
    if provider.device == "tensorrt":
        tensorrt_module()


def _taken(session: Any, name: str) -> tuple[int, int] | None:
    """How many operations of the model that provider runs, and of how many; None where the runtime can't tell."""
    told = getattr(session, "get_provider_graph_assignment_info", None)
    if told is None:
        return None
    counts = [(part.ep_name, len(part.get_nodes())) for part in told()]
    if not counts:
        return None
    return sum(count for owner, count in counts if owner == name), sum(count for _, count in counts)
