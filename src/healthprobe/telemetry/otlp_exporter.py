"""Exports metrics and spans to an OpenTelemetry collector over OTLP/HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import groupby, pairwise
from threading import Thread
from typing import Protocol, TypeVar, cast

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
from healthprobe._util.version import __version__
from healthprobe.domain.endpoint import Endpoint
from healthprobe.ports import LogError, Telemetry
from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.span_records import Note, Notes, SeenTransition, TracingTelemetry, now_ns
from healthprobe.telemetry.spans import Spans
from healthprobe.worker.config import WORKER_KEY

Result = TypeVar("Result")


async def on_errand(work: Callable[[], Result]) -> Result:
    """What `work` returns or raises. Whoever is cancelled meanwhile leaves it to itself.

    The loop's own threads are waited for when it closes, and a collector that hangs would hold up the stop.
    """
    errand: Future[Result] = Future()
    errand.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  whatever it is, it is raised where it is awaited
            errand.set_exception(error)
        else:
            errand.set_result(result)

    Thread(target=run, name="errand", daemon=True).start()
    return await asyncio.wrap_future(errand)


_LIBRARY = "opentelemetry"


class Complaints(logging.Handler):
    """Between `listen` and `close` the libraries' warnings come here, and nowhere else."""

    def __init__(self, logger: FilteringBoundLogger | None) -> None:
        super().__init__(logging.WARNING)
        self._voice = RateLimitedWarning(
            SafeLogger(logger, worker=WORKER_KEY), "export to the OpenTelemetry collector failed", time.monotonic
        )
        self._library = logging.getLogger(_LIBRARY)
        self._propagated = self._library.propagate

    def listen(self) -> None:
        self._library.addHandler(self)
        self._library.propagate = False

    def close(self) -> None:
        self._library.removeHandler(self)
        self._library.propagate = self._propagated
        super().close()

    def tell(self, cause: str) -> None:
        """Something of our own went wrong on the way."""
        self._voice.warn(cause)

    def emit(self, record: logging.LogRecord) -> None:
        self.tell(record.getMessage())


_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNITS = {"_seconds": "s", "_bytes": "By"}
_UNKNOWN = cast("float", None)
"""The least and the greatest time of a histogram: OTLP knows them as optional, and the class's types do not."""


class Translation:
    """Translates the metrics of a run of `resource` that counts since `started`, in nanoseconds of wall time."""

    def __init__(self, resource: Resource, scope: InstrumentationScope, started: int) -> None:
        self._resource = resource
        self._scope = scope
        self._started = started

    def of(self, families: Iterable[Family], now: int) -> MetricsData:
        """All `families` that have something to tell, as they are `now`, in nanoseconds of wall time."""
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
        for labels, samples in groupby(family.samples, _labels_of_series):
            told = list(samples)
            buckets = [sample for sample in told if "le" in sample.labels]
            totals = [0, *(int(sample.value) for sample in buckets)]
            yield HistogramDataPoint(
                attributes=dict(labels),
                start_time_unix_nano=self._started,
                time_unix_nano=now,
                count=totals[-1],
                sum=next(sample.value for sample in told if sample.name.endswith("_sum")),
                bucket_counts=[after - before for before, after in pairwise(totals)],
                explicit_bounds=[float(sample.labels["le"]) for sample in buckets[:-1]],
                min=_UNKNOWN,
                max=_UNKNOWN,
            )


def _labels_of_series(sample: Sample) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in sample.labels.items() if name != "le")


EXPORT_INTERVAL = 5.0
"""Seconds between two exports."""

_TIMEOUT = 5
_LAST_EXPORT = 0.5
_LONGEST_READ = 1.0
_SPANS_AT_ONCE = 500
_PAGE = 1_000


class Families(Protocol):
    """What metrics are read from: a RunCollector, or the registry that it is in."""

    def collect(self) -> Iterable[Family]: ...


class Otlp:
    """An export to the collector at `url`. `telemetry` is what the worker is made with; it tells the given one too.

    A collector that is away costs a line a minute and the spans of that time, and delays nothing.
    """

    def __init__(self, url: str, telemetry: Telemetry, logger: FilteringBoundLogger | None) -> None:
        base = url.rstrip("/")
        resource, scope = _resource(), InstrumentationScope("healthprobe", __version__)
        self.notes = Notes()
        self.telemetry = TracingTelemetry(telemetry, self.notes)
        self._complaints = Complaints(logger)
        self._complaints.listen()
        self._spans = Spans(resource, scope)
        self._translation = Translation(resource, scope, now_ns())
        self._to_metrics = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_TIMEOUT)
        self._to_traces = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_TIMEOUT)
        self._families: Families | None = None
        self._sight: RunStatus | None = None
        self._cursor: int | None = None
        self._events_seen = 0
        self._sending = asyncio.Lock()

    async def run(self, families: Families, sight: RunStatus) -> None:
        """Export the metrics of `families` and the spans of the run that `sight` looks at, until cancelled.

        To be started before the worker runs: transitions from before are not told of.
        """
        self._families, self._sight = families, sight
        self.telemetry.endpoint_of = self._endpoint_of
        await self._note_transitions()
        while True:
            await asyncio.sleep(EXPORT_INTERVAL)
            await self._note_transitions()
            await self.export()

    async def export(self) -> None:
        """Send what there is now. Never raises: what cannot be sent is told of, and let go."""
        if self._families is None:
            return
        async with self._sending:
            lost, self.notes.lost = self.notes.lost, 0
            if lost:
                self._complaints.tell(f"{lost} spans were lost: there were more than can be sent")
            try:
                data = self._translation.of(self._families.collect(), now_ns())
                await on_errand(partial(self._send, self.notes.taken(), data))
            except Exception as error:  # noqa: BLE001  a fault of what looks on must not end what it looks at
                self._complaints.tell(f"{type(error).__name__}: {error}")

    async def aclose(self) -> None:
        """Send what is left, for half a second at most, and let go."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_EXPORT):
                await self._note_transitions()
                await self.export()
        self._to_metrics.shutdown()
        self._to_traces.shutdown()  # type: ignore[no-untyped-call]  # theirs has no types
        self._complaints.close()

    def _send(self, notes: list[Note], data: MetricsData) -> None:
        self._to_metrics.export(data)
        for first in range(0, len(notes), _SPANS_AT_ONCE):
            self._to_traces.export([self._spans.of(note) for note in notes[first : first + _SPANS_AT_ONCE]])

    async def _note_transitions(self) -> None:
        """The log tells of a transition what the telemetry cannot: whose it is, and when it was seen."""
        sight = self._sight
        if sight is None or (self._cursor is not None and self.telemetry.events == self._events_seen):
            return
        with suppress(LogError, TimeoutError):
            async with asyncio.timeout(_LONGEST_READ):
                if self._cursor is None:
                    self._cursor = await sight.log.end()
                    return
                seen = self.telemetry.events
                while page := await sight.log.read(self._cursor, _PAGE):
                    for entry in page:
                        game_id = entry.event.game_id
                        if game_id in sight.view.target_set.by_id:
                            failure = sight.tally.last_failure_of(game_id)
                            self.notes.add(SeenTransition(entry.event, self._endpoint_of(game_id), failure))
                    self._cursor = page[-1].cursor
                self._events_seen = seen

    def _endpoint_of(self, game_id: str) -> Endpoint | None:
        game = None if self._sight is None else self._sight.view.target_set.by_id.get(game_id)
        endpoint = None if game is None else game.target.endpoint
        return endpoint if isinstance(endpoint, Endpoint) else None


def _resource() -> Resource:
    """Who we are, unless OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say otherwise."""
    ours = {
        "service.name": "healthprobe",
        "service.version": __version__,
        "service.instance.id": socket.gethostname(),
    }
    return Resource(ours).merge(OTELResourceDetector().detect())
