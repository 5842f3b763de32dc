"""A busy run, in which every metric has a series."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from tests.support.few_instances import FewInstances
from tests.telemetry.metrics.scene import Scene

from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.domain.shard import SHARDS
from healthprobe.testing.prober import UNAVAILABLE, Answer, Script
from healthprobe.testing.stage import ticks
from healthprobe.worker.static_shards import StaticShards


async def busy_run() -> Scene:
    """Returns a run in which every metric has a series."""
    engines: dict[str, Script | Answer] = {"a": HEALTHY, "b": UNAVAILABLE, "c": Inconclusive("too many open files")}
    scene = Scene(engines, shards=StaticShards(frozenset(range(SHARDS))), cluster=FewInstances())
    await ticks(scene.worker, 3)
    scene.histories.record_lag("nats://bus", 7)
    scene.histories.record_parked("nats://bus")
    return scene


async def metrics_text() -> str:
    return await (await busy_run()).exposed()


async def metric_families() -> list[Metric]:
    scene = await busy_run()
    await scene.status.refresh()
    return list(scene.collector.collect())
