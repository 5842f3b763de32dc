"""A busy run, in which every metric has a series."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from tests.support.few_instances import FewInstances
from tests.telemetry.metrics.monitored_worker import MonitoredWorker

from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.domain.shard import SHARDS
from healthprobe.testing.prober import UNAVAILABLE, Answer, Script
from healthprobe.testing.stage import ticks
from healthprobe.worker.static_shards import StaticShards


async def busy_run() -> MonitoredWorker:
    """Returns a run in which every metric has a series."""
    engines: dict[str, Script | Answer] = {"a": HEALTHY, "b": UNAVAILABLE, "c": Inconclusive("too many open files")}
    monitored = MonitoredWorker(engines, shards=StaticShards(frozenset(range(SHARDS))), cluster=FewInstances())
    await ticks(monitored.worker, 3)
    monitored.histories.record_lag("nats://bus", 7)
    monitored.histories.record_parked("nats://bus")
    monitored.histories.record_altered("nats://bus")
    monitored.histories.record_delivery("nats://bus", "webhook answered 401", "401")
    return monitored


async def metrics_text() -> str:
    return await (await busy_run()).exposed()


async def metric_families() -> list[Metric]:
    monitored = await busy_run()
    await monitored.status.refresh()
    return list(monitored.collector.collect())
