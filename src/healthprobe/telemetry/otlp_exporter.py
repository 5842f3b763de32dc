"""Exports metrics and spans to an OpenTelemetry collector over OTLP/HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family

from healthprobe._util.safe_logging import RateLimitedWarning, SafeLogger
from healthprobe._util.threads import run_in_daemon_thread
from healthprobe._util.version import __version__
from healthprobe.domain.event import AlteredEvent
from healthprobe.ports import LogError, Telemetry
from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.otlp_metrics import metrics_data
from healthprobe.telemetry.span_records import (
    SpanBuffer,
    SpanRecord,
    TracingTelemetry,
    TransitionRecord,
    endpoint_of,
)
from healthprobe.telemetry.spans import SpanFactory
from healthprobe.worker.config import WORKER_KEY

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

EXPORT_INTERVAL = 5.0
"""Seconds between two exports."""

_REQUEST_TIMEOUT = 5
_LAST_EXPORT_TIMEOUT = 0.5
_LOG_READ_TIMEOUT = 1.0
_SPANS_PER_REQUEST = 500
_PAGE = 1_000


class MetricSource(Protocol):
    """What metrics are read from: a RunCollector, or the registry that it is in."""

    def collect(self) -> Iterable[Family]: ...


class OTLPExporter:
    """Exports a run to the collector at `url`. Its `telemetry` wraps the given one, and is what the worker gets.

    While the collector is unavailable one warning a minute is logged, spans of that time are lost, and nothing waits.
    """

    def __init__(self, url: str, telemetry: Telemetry, logger: FilteringBoundLogger | None) -> None:
        base = url.rstrip("/")
        self._resource, self._scope = _resource(), InstrumentationScope("healthprobe", __version__)
        self._started = time.time_ns()
        self.spans = SpanBuffer()
        self.telemetry = TracingTelemetry(telemetry, self.spans)
        self._errors = ExportErrorHandler(logger)
        self._errors.install()
        self._span_factory = SpanFactory(self._resource, self._scope)
        self._metric_exporter = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_REQUEST_TIMEOUT)
        self._span_exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_REQUEST_TIMEOUT)
        self._source: MetricSource | None = None
        self._status: RunStatus | None = None
        self._cursor: int | None = None
        self._events_read = 0
        self._export_lock = asyncio.Lock()

    async def run(self, source: MetricSource, status: RunStatus) -> None:
        """Exports the metrics of `source` and the spans of the run with this `status`, until cancelled.

        Must be started before the worker runs: earlier transitions are not exported.
        """
        self._source, self._status = source, status
        self.telemetry.status = status
        await self._record_transitions()
        while True:
            await asyncio.sleep(EXPORT_INTERVAL)
            await self._record_transitions()
            await self.export()

    async def export(self) -> None:
        """Sends what there is now. Never raises: what cannot be sent is logged and dropped."""
        if self._source is None:
            return
        async with self._export_lock:
            dropped, self.spans.dropped = self.spans.dropped, 0
            if dropped:
                self._errors.warn(f"{dropped} spans were dropped: there were more than can be sent")
            try:
                data = metrics_data(self._source.collect(), self._resource, self._scope, self._started, time.time_ns())
                records = self.spans.drain()
                await run_in_daemon_thread(lambda _: self._send(records, data))
            except Exception as error:  # noqa: BLE001  a fault of the export must not end the run
                self._errors.warn(f"{type(error).__name__}: {error}")

    async def aclose(self) -> None:
        """Sends what is left, for half a second at most, and closes the exporters."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EXPORT_TIMEOUT):
                await self._record_transitions()
                await self.export()
        self._metric_exporter.shutdown()
        self._span_exporter.shutdown()  # type: ignore[no-untyped-call]  # the library has no types here
        self._errors.close()

    def _send(self, records: list[SpanRecord], data: MetricsData) -> None:
        self._metric_exporter.export(data)
        for first in range(0, len(records), _SPANS_PER_REQUEST):
            chunk = records[first : first + _SPANS_PER_REQUEST]
            self._span_exporter.export([self._span_factory.create(record) for record in chunk])

    async def _record_transitions(self) -> None:
        """Makes records of the log's new events: the log has the game and the time, which telemetry is not given."""
        status = self._status
        if status is None or (self._cursor is not None and self.telemetry.events == self._events_read):
            return
        with suppress(LogError, TimeoutError):
            async with asyncio.timeout(_LOG_READ_TIMEOUT):
                if self._cursor is None:
                    self._cursor = await status.log.end()
                    return
                events = self.telemetry.events
                while page := await status.log.read(self._cursor, _PAGE):
                    for entry in page:
                        game_id = entry.event.game_id
                        is_altered = isinstance(entry.event, AlteredEvent)
                        if game_id in status.worker.target_set.by_id and not is_altered:
                            failure = status.counters.last_failure_of(game_id)
                            self.spans.add(TransitionRecord(entry.event, endpoint_of(status, game_id), failure))
                    self._cursor = page[-1].cursor
                self._events_read = events


class ExportErrorHandler(logging.Handler):
    """Logs the OpenTelemetry libraries' warnings, at most once a minute, instead of their own loggers.

    In force from `install` to `close`.
    """

    def __init__(self, logger: FilteringBoundLogger | None) -> None:
        super().__init__(logging.WARNING)
        self._warning = RateLimitedWarning(
            SafeLogger(logger, worker=WORKER_KEY), "export to the OpenTelemetry collector failed", time.monotonic
        )
        self._library = logging.getLogger("opentelemetry")
        self._propagated = self._library.propagate

    def install(self) -> None:
        self._library.addHandler(self)
        self._library.propagate = False

    def close(self) -> None:
        self._library.removeHandler(self)
        self._library.propagate = self._propagated
        super().close()

    def warn(self, cause: str) -> None:
        self._warning.warn(cause)

    def emit(self, record: logging.LogRecord) -> None:
        self.warn(record.getMessage())


def _resource() -> Resource:
    """The service's attributes, unless OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say otherwise."""
    ours = {
        "service.name": "healthprobe",
        "service.version": __version__,
        "service.instance.id": socket.gethostname(),
    }
    return Resource(ours).merge(OTELResourceDetector().detect())
