"""The Prometheus collector of a run: all families are made anew at every scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.fleet_metrics import cluster_families, fleet_families
from healthprobe.telemetry.probe_metrics import probe_families
from healthprobe.telemetry.prober_metrics import prober_families


class RunCollector(Collector):
    """Reads the plain integers of a run. Between scrapes it keeps nothing and costs nothing.

    Figures of games are as old as the last refresh of `status`; all others are current. Must be read in the thread of
    the event loop.
    """

    def __init__(self, status: RunStatus) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yields all families; one that has no value yet has no series."""
        yield from probe_families(self._status.counters)
        yield from fleet_families(self._status)
        yield from prober_families(self._status)
        yield from cluster_families(self._status)

    def describe(self) -> Iterator[Metric]:
        """Yields the same: a registry only wants the names."""
        return self.collect()


def registry_of(collector: RunCollector) -> CollectorRegistry:
    """Returns a registry with this run and its process, without what libraries register globally."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> tuple[bytes, str]:
    """Returns the body of `GET /metrics` and its content type."""
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
