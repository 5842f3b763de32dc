"""The collector: all families of a run, made anew at every scrape, and the text that Prometheus is given."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from healthprobe.status.run_status import RunStatus
from healthprobe.telemetry.fleet_metrics import families_of_cluster, families_of_fleet
from healthprobe.telemetry.probe_metrics import families_of_probing
from healthprobe.telemetry.prober_metrics import families_of_prober


class RunCollector(Collector):
    """Reads the plain integers of a run. Between scrapes it keeps nothing and costs nothing.

    What it tells of games is as old as the last refresh of `sight`, all else is as things are. To be read in the thread
    of the loop, whose own the integers are.
    """

    def __init__(self, sight: RunStatus) -> None:
        self._sight = sight

    def collect(self) -> Iterator[Metric]:
        """All families; one that has nothing to tell yet is there without series."""
        yield from families_of_probing(self._sight.tally)
        yield from families_of_fleet(self._sight)
        yield from families_of_prober(self._sight)
        yield from families_of_cluster(self._sight)

    def describe(self) -> Iterator[Metric]:
        """The same: what a registry wants to know beforehand are the names."""
        return self.collect()


def registry_of(collector: RunCollector) -> CollectorRegistry:
    """A registry with this run and its process alone: what a library registers for itself is not ours to tell."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> tuple[bytes, str]:
    """What `GET /metrics` answers, and its content type."""
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
