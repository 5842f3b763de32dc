"""Records of ticks, failed probes and transitions: cheap to make on the loop, turned into spans on another thread."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import getrandbits

from healthprobe.domain.endpoint import Endpoint
from healthprobe.domain.event import EventType, HealthEvent
from healthprobe.domain.outcome import HEALTHY, Failed, ProbeOutcome
from healthprobe.ports import Telemetry
from healthprobe.status.run_status import RunStatus

MAX_SPANS = 10_000
"""How many records wait to be sent at most: each costs CPU that probes need, most of all while a fleet is down."""

_MAX_SPAN_IDS = 1_000_000
"""After so many games, most of which have left by then, new span ids are drawn for all."""


def _random_id(bits: int) -> int:
    """A random number that is not 0, which OpenTelemetry reserves."""
    return getrandbits(bits) or 1


@dataclass(frozen=True, slots=True)
class SpanIds:
    """The ids of a span: its trace's and its own."""

    trace_id: int = field(default_factory=lambda: _random_id(128))
    span_id: int = field(default_factory=lambda: _random_id(64))


@dataclass(frozen=True, slots=True)
class TickRecord:
    """A tick that ended at `ended`, in nanoseconds of wall time as in all records. `duration` is seconds."""

    ids: SpanIds
    ended: int
    duration: float
    games: int
    dropped: int


@dataclass(frozen=True, slots=True)
class FailedProbeRecord:
    """A failed probe, whose span is a child of `tick`. `duration` and `lateness` are seconds."""

    tick: SpanIds
    ids: SpanIds
    ended: int
    duration: float
    lateness: float
    game_id: str
    endpoint: Endpoint | None
    outcome: Failed


@dataclass(frozen=True, slots=True)
class TransitionRecord:
    """A health event in the log. `failure` is the game's last failure, for its kind."""

    event: HealthEvent
    endpoint: Endpoint | None
    failure: Failed | None


SpanRecord = TickRecord | FailedProbeRecord | TransitionRecord


class SpanBuffer:
    """The records that wait to be sent. A full buffer drops the oldest; `dropped` counts them."""

    def __init__(self, capacity: int = MAX_SPANS) -> None:
        self.dropped = 0
        self._records: deque[SpanRecord] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._records)

    def add(self, record: SpanRecord) -> None:
        self.dropped += len(self._records) == self._records.maxlen
        self._records.append(record)

    def drain(self) -> list[SpanRecord]:
        """Removes and returns all records, the oldest first."""
        records = list(self._records)
        self._records.clear()
        return records


def endpoint_of(status: RunStatus, game_id: str) -> Endpoint | None:
    """Returns the endpoint of a watched game's engine, or None if it has no usable one."""
    game = status.worker.target_set.by_id.get(game_id)
    endpoint = None if game is None else game.target.endpoint
    return endpoint if isinstance(endpoint, Endpoint) else None


class TracingTelemetry:
    """A Telemetry that wraps another and records spans. A healthy probe costs one call and one comparison more.

    `events` counts the health events that the log took. With a `status` the endpoint of a failed probe is known. A
    prober that sends `traceparent` lets an engine's own spans hang below the span of the failed probe.
    """

    def __init__(self, telemetry: Telemetry, spans: SpanBuffer, clock: Callable[[], int] = time.time_ns) -> None:
        self.status: RunStatus | None = None
        self.events = 0
        self.record_listing_error = telemetry.record_listing_error
        self.record_skipped_records = telemetry.record_skipped_records
        self.record_lag = telemetry.record_lag
        self.record_parked = telemetry.record_parked
        self.record_altered = telemetry.record_altered
        self.record_delivery = telemetry.record_delivery
        self.record_append = telemetry.record_append
        self._telemetry = telemetry
        self._record_probe = telemetry.record_probe
        self._spans = spans
        self._clock = clock
        self._span_ids: dict[str, tuple[int, bytes]] = {}
        self._begin_tick()

    def traceparent(self, game_id: str) -> bytes:
        """The header line that names the span of a probe (W3C Trace Context), and the empty line that ends the head.

        Each tick is a trace of its own and probes each game once, so a game can keep one span id: nothing is drawn or
        formatted for a probe. A probe that completes after its tick has ended belongs to the next tick's trace.
        """
        known = self._span_ids.get(game_id)
        return self._traceparent_start + (known or self._new_span_id(game_id))[1]

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:
        self._record_probe(game_id, outcome, duration, lateness)
        if outcome is not HEALTHY and isinstance(outcome, Failed):
            span_id = (self._span_ids.get(game_id) or self._new_span_id(game_id))[0]
            self._spans.add(
                FailedProbeRecord(
                    self._tick,
                    SpanIds(self._tick.trace_id, span_id),
                    self._clock(),
                    duration,
                    lateness,
                    game_id,
                    None if self.status is None else endpoint_of(self.status, game_id),
                    outcome,
                )
            )

    def record_health_event(self, event_type: EventType) -> None:
        self._telemetry.record_health_event(event_type)
        self.events += 1

    def record_tick(self, games: int, duration: float, dropped: int) -> None:
        self._telemetry.record_tick(games, duration, dropped)
        if dropped and not duration:  # a tick that was dropped before it began: the current one goes on
            return
        self._spans.add(TickRecord(self._tick, self._clock(), duration, games, dropped))
        self._begin_tick()

    def _begin_tick(self) -> None:
        self._tick = SpanIds()
        self._traceparent_start = b"traceparent: 00-%032x-" % self._tick.trace_id
        if len(self._span_ids) > _MAX_SPAN_IDS:
            self._span_ids.clear()

    def _new_span_id(self, game_id: str) -> tuple[int, bytes]:
        span_id = _random_id(64)
        known = self._span_ids[game_id] = (span_id, b"%016x-01\r\n\r\n" % span_id)
        return known
