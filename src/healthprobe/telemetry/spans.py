"""Makes OpenTelemetry spans from records, with the attributes of its semantic conventions for HTTP and URLs."""

from __future__ import annotations

from datetime import UTC, datetime

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE
from opentelemetry.semconv.attributes.server_attributes import SERVER_ADDRESS, SERVER_PORT
from opentelemetry.semconv.attributes.url_attributes import URL_FULL
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from healthprobe.domain.endpoint import HEALTHZ_PATH, Endpoint
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.domain.outcome import Failed, FailureKind
from healthprobe.telemetry.span_records import FailedProbeRecord, SpanIds, SpanRecord, TickRecord, TransitionRecord

GAME_ID = "healthprobe.game_id"
CONTAINER_ID = "healthprobe.container_id"
EVENT_TYPE = "healthprobe.event_type"
SEQUENCE = "healthprobe.sequence"
LATENESS = "healthprobe.lateness"
"""Seconds after it was due that the probe began."""

GAMES = "healthprobe.games"
DROPPED_TICKS = "healthprobe.dropped_ticks"

_OTHER = "_OTHER"
_NANOSECONDS = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Attributes = dict[str, str | int | float]


class SpanFactory:
    """Makes the spans of `resource`."""

    def __init__(self, resource: Resource, scope: InstrumentationScope) -> None:
        self._resource = resource
        self._scope = scope

    def create(self, record: SpanRecord) -> ReadableSpan:
        """Returns the span of one record."""
        match record:
            case TickRecord():
                return self._of_tick(record)
            case FailedProbeRecord():
                return self._of_probe(record)
            case TransitionRecord():
                return self._of_transition(record)

    def _of_tick(self, tick: TickRecord) -> ReadableSpan:
        attributes: Attributes = {GAMES: tick.games, DROPPED_TICKS: tick.dropped}
        return self._span("tick", tick.ids, (_before(tick.ended, tick.duration), tick.ended), attributes)

    def _of_probe(self, probe: FailedProbeRecord) -> ReadableSpan:
        outcome = probe.outcome
        attributes = {
            HTTP_REQUEST_METHOD: "GET",
            **_url(probe.endpoint),
            **_failure(outcome.last_status, outcome),
            GAME_ID: probe.game_id,
            LATENESS: probe.lateness,
        }
        return self._span(
            "GET",
            probe.ids,
            (_before(probe.ended, probe.duration), probe.ended),
            attributes,
            parent=probe.tick,
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, outcome.last_error),
        )

    def _of_transition(self, record: TransitionRecord) -> ReadableSpan:
        event = record.event
        at = _nanoseconds(event.occurred_at)
        attributes: Attributes = {**_url(record.endpoint), **_event(event, record.failure)}
        status = Status()
        if isinstance(event.details, ProbeFailedDetails):
            status = Status(StatusCode.ERROR, event.details.last_error)
        return self._span(event.event_type.value, SpanIds(), (at, at), attributes, status=status)

    def _span(
        self,
        name: str,
        ids: SpanIds,
        times: tuple[int, int],
        attributes: Attributes,
        *,
        parent: SpanIds | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status | None = None,
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            context=_context(ids),
            parent=None if parent is None else _context(parent),
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=status or Status(),
            start_time=times[0],
            end_time=times[1],
            instrumentation_scope=self._scope,
        )


def _event(event: HealthEvent, failure: Failed | None) -> Attributes:
    attributes: Attributes = {
        GAME_ID: event.game_id,
        CONTAINER_ID: event.container_id,
        EVENT_TYPE: event.event_type.value,
        SEQUENCE: event.sequence,
    }
    if isinstance(event.details, ProbeFailedDetails):
        attributes["healthprobe.consecutive_failures"] = event.details.consecutive_failures
        return attributes | _failure(event.details.last_status, failure)
    if isinstance(event.details, ProbeRecoveredDetails):
        attributes["healthprobe.prior_failure_count"] = event.details.prior_failure_count
    return attributes


def _url(endpoint: Endpoint | None) -> Attributes:
    if endpoint is None:
        return {}
    return {URL_FULL: endpoint.url + HEALTHZ_PATH, SERVER_ADDRESS: endpoint.host, SERVER_PORT: endpoint.port}


def _failure(status: int, failure: Failed | None) -> Attributes:
    """The error type is the status; without a status it is the kind of the failure, of which there are few."""
    if status:
        return {HTTP_RESPONSE_STATUS_CODE: status, ERROR_TYPE: str(status)}
    kind = FailureKind.OTHER if failure is None or failure.last_status else failure.kind
    return {ERROR_TYPE: _OTHER if kind is FailureKind.OTHER else kind.value}


def _context(ids: SpanIds) -> SpanContext:
    return SpanContext(ids.trace_id, ids.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _before(end: int, seconds: float) -> int:
    return end - int(seconds * _NANOSECONDS)


def _nanoseconds(instant: datetime) -> int:
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * _NANOSECONDS + since.microseconds * 1_000
