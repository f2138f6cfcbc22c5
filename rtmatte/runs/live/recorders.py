"""The status for machines: a line of JSON a second in a file, and a page for Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from rtmatte.errors import OutputWriteError, SettingsError
from rtmatte.runs.live.status import LiveStatus

_INTERVAL_S = 1.0
_COUNTERS = {"captured", "dropped", "replaced", "sent", "cards", "reopened", "faults", "output_faults"}


class Recorders:
    """Takes every status; the file gets one a second, Prometheus the newest whenever it asks."""

    def __init__(self, lines: TextIO | None) -> None:
        self.newest: LiveStatus | None = None
        self._lines = lines
        self._written_at = float("-inf")

    def record(self, status: LiveStatus) -> None:
        """Raises: `OutputWriteError` if the file can't be written any more."""
        self.newest = status
        now = time.monotonic()
        if self._lines is None or now - self._written_at < _INTERVAL_S:
            return
        self._written_at = now
        try:
            self._lines.write(json.dumps({"unix_seconds": time.time(), **status.as_dict()}) + "\n")
            self._lines.flush()
        except OSError as error:
            raise OutputWriteError(f"The statistics can't be written to {self._lines.name}: {error}") from error

    def collect(self) -> Iterator[Any]:
        """Prometheus' collector protocol: the numbers of the newest status as gauges and counters `rtmatte_...`."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        if self.newest is None:
            return
        for field in fields(LiveStatus):
            value = getattr(self.newest, field.name)
            if isinstance(value, (int, float)):
                family = CounterMetricFamily if field.name in _COUNTERS else GaugeMetricFamily
                yield family(f"rtmatte_{field.name}", f"See LiveStatus.{field.name}.", value=float(value))
        showing = float(self.newest.showing == "picture")
        yield GaugeMetricFamily("rtmatte_showing_picture", "1 while a composite is shown, 0 for a card.", value=showing)


@contextmanager
def open_recorders(stats: Path | None, metrics_port: int | None) -> Iterator[Recorders]:
    """Opens the file to append to, and serves `http://127.0.0.1:PORT/metrics`; either may be None.

    Raises: `OutputWriteError` for a file that can't be opened; `SettingsError` for a port in use, or without the
    package prometheus-client.
    """
    with ExitStack() as stack:
        lines = None
        if stats is not None:
            try:
                lines = stack.enter_context(stats.open("a", encoding="utf-8"))
            except OSError as error:
                raise OutputWriteError(f"The statistics can't be written to {stats}: {error}") from error
        recorders = Recorders(lines)
        if metrics_port is not None:
            stack.callback(_serve(recorders, metrics_port))
        yield recorders


def _serve(recorders: Recorders, port: int) -> Any:
    """Starts the page; returns what stops it. On the loopback address only: whoever is online is nobody's business."""
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise SettingsError(
            "--metrics-port needs the package prometheus-client, which is not installed.",
            hint='Install it with: python -m pip install "rtmatte[metrics]"',
        ) from error
    registry = CollectorRegistry()
    registry.register(recorders)
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise SettingsError(f"--metrics-port: expected a free port, got {port}: {error}") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop
