"""Exports metrics and spans to an OpenTelemetry collector over OTLP/HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import groupby, pairwise
from typing import Protocol, cast

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample
from structlog.typing import FilteringBoundLogger

from healthprobe._util.safe_logging import RateLimitedWarning, SafeLogger
from healthprobe._util.threads import run_in_daemon_thread
from healthprobe._util.version import __version__
from healthprobe.ports import LogError, Telemetry
from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.span_records import (
    SpanBuffer,
    SpanRecord,
    TracingTelemetry,
    TransitionRecord,
    endpoint_of,
)
from healthprobe.telemetry.spans import SpanFactory
from healthprobe.worker.config import WORKER_KEY

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
        resource, scope = _resource(), InstrumentationScope("healthprobe", __version__)
        self.spans = SpanBuffer()
        self.telemetry = TracingTelemetry(telemetry, self.spans)
        self._errors = ExportErrorHandler(logger)
        self._errors.install()
        self._span_factory = SpanFactory(resource, scope)
        self._metrics_converter = MetricsConverter(resource, scope, time.time_ns())
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
                data = self._metrics_converter.convert(self._source.collect(), time.time_ns())
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
                        if game_id in status.worker.target_set.by_id:
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


_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNITS = {"_seconds": "s", "_bytes": "By"}
_UNKNOWN = cast("float", None)
"""The least and the greatest time of a histogram: optional in OTLP, but not in the types of the class."""


class MetricsConverter:
    """Converts Prometheus metric families to OTLP metrics of `resource`, counted since `started`.

    Times are nanoseconds of wall time.
    """

    def __init__(self, resource: Resource, scope: InstrumentationScope, started: int) -> None:
        self._resource = resource
        self._scope = scope
        self._started = started

    def convert(self, families: Iterable[Family], now: int) -> MetricsData:
        """Returns all `families` that have samples, as they are `now`."""
        metrics = [self._metric(family, now) for family in families if family.samples]
        scoped = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scoped], "")])

    def _metric(self, family: Family, now: int) -> Metric:
        unit = next((unit for suffix, unit in _UNITS.items() if family.name.endswith(suffix)), "")
        return Metric(family.name, family.documentation, unit, self._data(family, now))

    def _data(self, family: Family, now: int) -> Sum | Gauge | HistogramData:
        if family.type == "histogram":
            return HistogramData(list(self._histograms(family, now)), _CUMULATIVE)
        points = [
            NumberDataPoint(sample.labels, self._started, now, float(sample.value))
            for sample in family.samples
            if not sample.name.endswith("_created")
        ]
        return Sum(points, _CUMULATIVE, is_monotonic=True) if family.type == "counter" else Gauge(points)

    def _histograms(self, family: Family, now: int) -> Iterator[HistogramDataPoint]:
        for labels, group in groupby(family.samples, _labels_of_series):
            samples = list(group)
            buckets = [sample for sample in samples if "le" in sample.labels]
            totals = [0, *(int(sample.value) for sample in buckets)]
            yield HistogramDataPoint(
                attributes=dict(labels),
                start_time_unix_nano=self._started,
                time_unix_nano=now,
                count=totals[-1],
                sum=next(sample.value for sample in samples if sample.name.endswith("_sum")),
                bucket_counts=[after - before for before, after in pairwise(totals)],
                explicit_bounds=[float(sample.labels["le"]) for sample in buckets[:-1]],
                min=_UNKNOWN,
                max=_UNKNOWN,
            )


def _labels_of_series(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in sample.labels.items() if name != "le")


def _resource() -> Resource:
    """The service's attributes, unless OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say otherwise."""
    ours = {
        "service.name": "healthprobe",
        "service.version": __version__,
        "service.instance.id": socket.gethostname(),
    }
    return Resource(ours).merge(OTELResourceDetector().detect())
