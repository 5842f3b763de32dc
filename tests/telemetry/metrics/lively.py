"""A lively run: one of which everything can be told."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from tests.support.few_instances import FewInstances
from tests.telemetry.metrics.scene import Scene

from healthprobe.domain.outcome import HEALTHY, Inconclusive
from healthprobe.domain.shard import SHARDS
from healthprobe.testing.prober import UNAVAILABLE, Answer, Script
from healthprobe.testing.stage import ticks
from healthprobe.worker.static_shards import StaticShards


async def lively() -> Scene:
    """A run of which everything can be told."""
    engines: dict[str, Script | Answer] = {"a": HEALTHY, "b": UNAVAILABLE, "c": Inconclusive("too many open files")}
    scene = Scene(engines, shards=StaticShards(frozenset(range(SHARDS))), cluster=FewInstances())
    await ticks(scene.worker, 3)
    scene.histories.record_lag("nats://bus", 7)
    scene.histories.record_parked("nats://bus")
    return scene


async def text_of_a_lively_run() -> str:
    return await (await lively()).exposed()


async def families_of_a_lively_run() -> list[Metric]:
    scene = await lively()
    await scene.sight.refresh()
    return list(scene.collector.collect())
