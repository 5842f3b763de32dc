"""The export: what a run counts and notes, sent to a collector every few seconds, far from the probes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import Protocol

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.metrics_core import Metric as Family
from structlog.typing import FilteringBoundLogger

import healthprobe
from healthprobe.domain.endpoint import Endpoint
from healthprobe.ports import LogError, Telemetry
from healthprobe.surfaces.otlp.complaints import Complaints
from healthprobe.surfaces.otlp.errand import on_errand
from healthprobe.surfaces.otlp.notes import Note, Notes, SeenTransition, now_ns
from healthprobe.surfaces.otlp.spans import Spans
from healthprobe.surfaces.otlp.tracing import TracingTelemetry
from healthprobe.surfaces.otlp.translation import Translation
from healthprobe.surfaces.sight.sight import Sight

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
        resource, scope = _resource(), InstrumentationScope("healthprobe", healthprobe.__version__)
        self.notes = Notes()
        self.telemetry = TracingTelemetry(telemetry, self.notes)
        self._complaints = Complaints(logger)
        self._complaints.listen()
        self._spans = Spans(resource, scope)
        self._translation = Translation(resource, scope, now_ns())
        self._to_metrics = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_TIMEOUT)
        self._to_traces = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_TIMEOUT)
        self._families: Families | None = None
        self._sight: Sight | None = None
        self._cursor: int | None = None
        self._events_seen = 0
        self._sending = asyncio.Lock()

    async def run(self, families: Families, sight: Sight) -> None:
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
                        if game_id in sight.view.roster.by_id:
                            failure = sight.tally.last_failure_of(game_id)
                            self.notes.add(SeenTransition(entry.event, self._endpoint_of(game_id), failure))
                    self._cursor = page[-1].cursor
                self._events_seen = seen

    def _endpoint_of(self, game_id: str) -> Endpoint | None:
        game = None if self._sight is None else self._sight.view.roster.by_id.get(game_id)
        endpoint = None if game is None else game.target.endpoint
        return endpoint if isinstance(endpoint, Endpoint) else None


def _resource() -> Resource:
    """Who we are, unless OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say otherwise."""
    ours = {
        "service.name": "healthprobe",
        "service.version": healthprobe.__version__,
        "service.instance.id": socket.gethostname(),
    }
    return Resource(ours).merge(OTELResourceDetector().detect())
