"""An OpenTelemetry collector receives the metrics of Prometheus, and spans of ticks, failed probes and transitions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from tests.servers.ports import free_port
from tests.telemetry.metrics.monitored_worker import MonitoredWorker
from tests.telemetry.otlp.collector import Receiver, attributes

from healthprobe.app.observability import otlp
from healthprobe.domain.outcome import HEALTHY, Failed, FailureKind
from healthprobe.ports import ConfigurationError
from healthprobe.status.histories import Histories
from healthprobe.telemetry.otlp_exporter import OTLPExporter
from healthprobe.testing.prober import UNAVAILABLE, Answer, Script
from healthprobe.testing.stage import game, ticks

REFUSED = Failed(0, "connection refused", FailureKind.REFUSED)
ERROR = 2
CLIENT = 3


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@asynccontextmanager
async def exported(
    url: str, engines: Mapping[str, Script | Answer]
) -> AsyncIterator[tuple[MonitoredWorker, OTLPExporter]]:
    """Runs a worker over `engines` that is exported to `url`, to the end of the context."""
    histories = Histories()
    exporting = otlp(url, histories)
    monitored = MonitoredWorker(engines, histories=histories, telemetry=exporting.telemetry)
    task = asyncio.create_task(exporting.run(monitored.collector, monitored.status))
    await asyncio.sleep(0.01)
    try:
        yield monitored, exporting
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await exporting.aclose()


async def test_the_exported_metrics_are_those_of_prometheus(receiver: Receiver) -> None:
    async with exported(receiver.url, {"a": HEALTHY, "b": UNAVAILABLE}) as (monitored, exporting):
        await ticks(monitored.worker, 3)
        await monitored.status.refresh()
        families = {family.name: family for family in monitored.collector.collect() if family.samples}
        await exporting.export()
    assert set(receiver.metrics) == set(families)
    probes = receiver.metrics["healthprobe_probes"].sum
    assert probes.is_monotonic
    assert {point.attributes[0].value.string_value: point.as_double for point in probes.data_points} == {
        "healthy": 3,
        "failed": 3,
        "inconclusive": 0,
    }
    games = receiver.metrics["healthprobe_games"].gauge
    assert sum(point.as_double for point in games.data_points) == 2
    assert receiver.resource["service.name"] == "healthprobe"


async def test_histograms_are_exported_with_every_count_in_its_bucket(receiver: Receiver) -> None:
    async with exported(receiver.url, {}) as (monitored, exporting):
        for duration in (0.0001, 0.002, 0.002, 500.0):
            monitored.histories.record_probe("a", HEALTHY, duration, 0.0)
        await exporting.export()
    metric = receiver.metrics["healthprobe_probe_duration_seconds"]
    (point,) = metric.histogram.data_points
    assert metric.unit == "s"
    assert (point.count, sum(point.bucket_counts)) == (4, 4)
    assert (point.bucket_counts[0], max(point.bucket_counts), point.bucket_counts[-1]) == (1, 2, 1)
    assert len(point.bucket_counts) == len(point.explicit_bounds) + 1


async def test_every_failed_probe_is_a_child_span_of_its_tick_with_http_attributes(receiver: Receiver) -> None:
    engines: dict[str, Script | Answer] = {"a": HEALTHY, "b": [UNAVAILABLE, REFUSED]}
    async with exported(receiver.url, engines) as (monitored, _):
        monitored.stage.records.put(game("b", endpoint="http://user:secret@127.0.0.1:8080/engine"))
        await ticks(monitored.worker, 2)
    first, second = receiver.spans("GET")
    begun, ended = receiver.spans("tick")
    assert (first.trace_id, first.parent_span_id) == (begun.trace_id, begun.span_id)
    assert (second.trace_id, second.parent_span_id) == (ended.trace_id, ended.span_id)
    assert (first.kind, first.status.code, first.status.message) == (CLIENT, ERROR, "unexpected status 503")
    found = attributes(first.attributes)
    assert found.pop("healthprobe.lateness") >= 0  # type: ignore[operator]
    assert found == {
        "http.request.method": "GET",
        "url.full": "http://127.0.0.1:8080/engine/healthz",
        "server.address": "127.0.0.1",
        "server.port": 8080,
        "http.response.status_code": 503,
        "error.type": "503",
        "healthprobe.game_id": "b",
    }
    assert "http.response.status_code" not in attributes(second.attributes)
    assert attributes(second.attributes)["error.type"] == "refused"
    assert attributes(begun.attributes) == {"healthprobe.games": 2, "healthprobe.dropped_ticks": 0}
    assert first.start_time_unix_nano <= first.end_time_unix_nano <= begun.end_time_unix_nano


async def test_every_transition_is_a_span_with_its_game_and_container(receiver: Receiver) -> None:
    async with exported(receiver.url, {"a": [REFUSED] * 4 + [HEALTHY]}) as (monitored, _):
        await ticks(monitored.worker, 5)
    (failed,) = receiver.spans("probe_failed")
    (recovered,) = receiver.spans("probe_recovered")
    assert attributes(failed.attributes) == {
        "url.full": "http://127.0.0.1:8080/healthz",
        "server.address": "127.0.0.1",
        "server.port": 8080,
        "healthprobe.game_id": "a",
        "healthprobe.container_id": "c1",
        "healthprobe.event_type": "probe_failed",
        "healthprobe.sequence": 1,
        "healthprobe.consecutive_failures": 3,
        "error.type": "refused",
    }
    assert failed.status.code == ERROR
    assert attributes(recovered.attributes)["healthprobe.prior_failure_count"] == 4
    assert recovered.status.code == 0


async def test_a_transition_is_exported_once(receiver: Receiver) -> None:
    async with exported(receiver.url, {"a": [UNAVAILABLE] * 3 + [HEALTHY]}) as (monitored, exporting):
        await ticks(monitored.worker, 3)
        await exporting._record_transitions()
        await exporting.export()
        await ticks(monitored.worker, 1)
    assert len(receiver.spans("probe_failed")) == len(receiver.spans("probe_recovered")) == 1


async def test_an_unavailable_collector_is_logged_once_and_delays_nothing() -> None:
    with capture_logs() as lines:
        began = time.monotonic()
        async with exported(f"http://127.0.0.1:{free_port()}", {"a": UNAVAILABLE}) as (monitored, _):
            await ticks(monitored.worker, 3)
        assert time.monotonic() - began < 1.5
    assert monitored.histories.failed == 3
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("export to the OpenTelemetry collector failed", "warning")


async def test_a_collector_that_hangs_does_not_delay_the_shutdown() -> None:
    with Receiver(hangs=True) as receiver:
        began = time.monotonic()
        async with exported(receiver.url, {"a": UNAVAILABLE}) as (monitored, _):
            await ticks(monitored.worker, 3)
        assert time.monotonic() - began < 1.5


@pytest.mark.parametrize("url", ["collector:4317", "grpc://user:secret@collector:4317", "http://"])
def test_a_url_that_is_not_otlp_over_http_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--otlp .* use http://HOST:4318") as refused:
        otlp(url, Histories())
    assert "secret" not in str(refused.value)
