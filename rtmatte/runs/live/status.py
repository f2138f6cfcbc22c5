"""What a live run tells about itself, while it goes on and at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from rtmatte.capture.camera import Camera
from rtmatte.machine import resident_bytes, usable_cores
from rtmatte.runs.live.composer import Composer
from rtmatte.runs.live.sender import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """One moment of a live run; all counts are since its start.

    `showing`: "picture", or why a card is shown instead. `masks`: "own" (the model looks at every shown frame) or
    "carried" (by optical flow in between). `frame_rate_captured` and `frame_rate_sent` are measured since the status
    before, `latency_ms_*` over the last seconds from capture to the device's having it, `overhead_ms_p95` without the
    model. `dropped` were replaced by newer frames before anybody took them, `replaced` after compositing. `cards`
    counts safe frames. `provider_reason`: why the model runs there. `device_notices`: a sentence on devices that didn't
    come up, or none. `chosen` says what this machine was found fit for, "" until then or if nothing was to choose.
    `fault` is the last one's text. `readers`: whether a program reads the virtual camera, as far as the system tells.
    `memory_bytes` is None where the system doesn't tell.
    """

    seconds: float
    showing: str
    camera: str
    camera_state: str
    camera_detail: str
    output: str
    output_problem: str
    size_wh: tuple[int, int]
    background: str
    model: str
    provider: str
    provider_reason: str
    device_notices: tuple[str, ...]
    chosen: str
    masks: str
    watched: bool
    paused: bool
    frame_rate_captured: float
    frame_rate_sent: float
    latency_ms_p50: float
    latency_ms_p95: float
    latency_ms_p99: float
    overhead_ms_p95: float
    estimate_ms_p50: float
    captured: int
    dropped: int
    replaced: int
    sent: int
    cards: int
    reopened: int
    faults: int
    fault: str
    output_faults: int
    cpu_percent: float
    memory_bytes: int | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values only, for JSON."""
        return asdict(self)


class StatusReader:
    """Reads the counters of a run's threads. Owned by one thread; rates are since the reading before."""

    def __init__(
        self,
        camera: Camera,
        composer: Composer,
        sender: Sender,
        size_wh: tuple[int, int],
        *,
        chosen: Callable[[], str],
    ) -> None:
        self._chosen = chosen
        self._camera = camera
        self._composer = composer
        self._sender = sender
        self._size_wh = size_wh
        self._begun = self._at = time.monotonic()
        self._captured = self._sent = 0
        self._used = time.process_time()

    def read(self) -> LiveStatus:
        """The present moment."""
        camera, composer, sender = self._camera, self._composer, self._sender
        now, used = time.monotonic(), time.process_time()
        elapsed = max(now - self._at, 1e-6)
        camera_status = camera.status()
        masks = composer.masks
        latency = sender.recent_latency
        status = LiveStatus(
            seconds=now - self._begun,
            showing=sender.withheld or "picture",
            camera=camera.name,
            camera_state=camera_status.state,
            camera_detail=camera_status.detail,
            output=sender.device,
            output_problem=sender.problem,
            size_wh=self._size_wh,
            background=composer.background_name,
            model=composer.model,
            provider=composer.provider,
            provider_reason=composer.provider_reason,
            device_notices=composer.device_notices,
            chosen=self._chosen(),
            masks="carried" if composer.policy.carries else "own",
            watched=sender.watched,
            paused=composer.paused,
            frame_rate_captured=(camera.captured - self._captured) / elapsed,
            frame_rate_sent=(sender.sent - self._sent) / elapsed,
            latency_ms_p50=latency.percentile_ms(50),
            latency_ms_p95=latency.percentile_ms(95),
            latency_ms_p99=latency.percentile_ms(99),
            overhead_ms_p95=sender.recent_overhead.percentile_ms(95),
            estimate_ms_p50=masks.times.percentile_ms(50) if masks is not None else 0.0,
            captured=camera.captured,
            dropped=camera.dropped,
            replaced=sender.slot.replaced,
            sent=sender.sent,
            cards=sender.cards,
            reopened=camera.reopened,
            faults=composer.faults,
            fault=composer.fault,
            output_faults=sender.output_faults,
            cpu_percent=100 * (used - self._used) / elapsed / usable_cores(),
            memory_bytes=resident_bytes(),
        )
        self._at, self._used, self._captured, self._sent = now, used, camera.captured, sender.sent
        return status
