"""The tracing telemetry records failed probes and ticks, and passes every call on."""

from __future__ import annotations

import pytest

from healthprobe.domain.event import EventType
from healthprobe.domain.outcome import HEALTHY, Failed, Inconclusive
from healthprobe.telemetry.span_records import FailedProbeRecord, SpanBuffer, TickRecord, TracingTelemetry
from healthprobe.testing.telemetry import CountingTelemetry, Tick

FAILED = Failed(503, "unexpected status 503")


@pytest.fixture
def spans() -> SpanBuffer:
    return SpanBuffer(capacity=4)


@pytest.fixture
def counting() -> CountingTelemetry:
    return CountingTelemetry()


@pytest.fixture
def tracing(spans: SpanBuffer, counting: CountingTelemetry) -> TracingTelemetry:
    return TracingTelemetry(counting, spans)


def test_every_call_is_passed_to_the_wrapped_telemetry(tracing: TracingTelemetry, counting: CountingTelemetry) -> None:
    tracing.record_probe("a", FAILED, 0.002, 0.001)
    tracing.record_probe("a", HEALTHY, 0.002, 0.001)
    tracing.record_health_event(EventType.PROBE_FAILED)
    tracing.record_append(1, 0.01)
    tracing.record_tick(1, 0.5, 2)
    tracing.record_listing_error()
    tracing.record_skipped_records(3)
    tracing.record_lag("bus", 4)
    tracing.record_parked("bus")
    tracing.record_altered("bus")
    tracing.record_delivery("bus", "webhook answered 401", "401")
    assert (counting.outcomes, counting.durations, counting.lateness) == (
        [FAILED, HEALTHY],
        [0.002, 0.002],
        [0.001, 0.001],
    )
    assert counting.health_events == {EventType.PROBE_FAILED: 1}
    assert (counting.appends, counting.ticks) == ([(1, 0.01)], [Tick(1, 0.5, 2)])
    assert (counting.listing_errors, counting.skipped_records) == (1, 3)
    assert (counting.lag, counting.parked, counting.altered) == ({"bus": 4}, {"bus": 1}, {"bus": 1})


def test_only_failed_probes_and_ticks_are_recorded(tracing: TracingTelemetry, spans: SpanBuffer) -> None:
    tracing.record_probe("a", HEALTHY, 0.002, 0.0)
    tracing.record_probe("a", Inconclusive("too many open files"), 0.002, 0.0)
    tracing.record_probe("a", FAILED, 0.002, 0.0)
    tracing.record_tick(1, 0.5, 0)
    assert [type(note) for note in spans.drain()] == [FailedProbeRecord, TickRecord]
    assert len(spans) == 0


def test_the_span_of_a_failed_probe_is_the_one_in_its_traceparent(tracing: TracingTelemetry, spans: SpanBuffer) -> None:
    named = tracing.traceparent("a")
    assert tracing.traceparent("a") == named, "a second connection asks for the same probe"
    assert tracing.traceparent("b") != named
    tracing.record_probe("a", FAILED, 0.002, 0.0)
    (probe,) = spans.drain()
    assert isinstance(probe, FailedProbeRecord)
    assert named == f"traceparent: 00-{probe.ids.trace_id:032x}-{probe.ids.span_id:016x}-01\r\n\r\n".encode()
    assert probe.ids.trace_id == probe.tick.trace_id
    tracing.record_tick(2, 0.5, 0)
    assert tracing.traceparent("a") != named, "the next probe is another span: one of another tick's trace"


def test_a_dropped_tick_does_not_end_the_current_one(tracing: TracingTelemetry, spans: SpanBuffer) -> None:
    tracing.record_probe("a", FAILED, 0.002, 0.0)
    tracing.record_tick(1, 0.0, 1)
    tracing.record_tick(1, 0.5, 0)
    failed, tick = spans.drain()
    assert isinstance(failed, FailedProbeRecord)
    assert isinstance(tick, TickRecord)
    assert failed.tick == tick.ids


def test_a_full_buffer_drops_the_oldest_records_and_counts_them(tracing: TracingTelemetry, spans: SpanBuffer) -> None:
    for number in range(6):
        tracing.record_probe(f"game-{number}", FAILED, 0.002, 0.0)
    assert spans.dropped == 2
    assert [note.game_id for note in spans.drain() if isinstance(note, FailedProbeRecord)] == [
        f"game-{number}" for number in range(2, 6)
    ]
