"""A real worker in virtual time with its status and its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from healthprobe.alarms.silences import Silences
from healthprobe.status.histories import Histories
from healthprobe.status.run_status import Cluster, RunStatus
from healthprobe.telemetry.collector import RunCollector, exposition, registry_of
from healthprobe.testing.prober import Answer, Script
from healthprobe.testing.stage import Stage
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker import Worker

Labels = frozenset[tuple[str, str]]
NONE: Labels = frozenset()


@dataclass(slots=True)
class FixedConnections:
    """Fixed numbers of connections."""

    open_connections: int = 3
    capacity: int = 1_000


class MonitoredWorker:
    """A worker over `engines` by their games, each with the script of its engine; made in virtual time.

    `others` are arguments of the worker, whose telemetry is `histories` unless they say otherwise. With `cluster` it
    shares the fleet with others.
    """

    def __init__(
        self,
        engines: Mapping[str, Script | Answer],
        *,
        histories: Histories | None = None,
        cluster: Cluster | None = None,
        metric_label: str | None = None,
        **others: Any,
    ) -> None:
        self.stage = Stage(**engines)
        self.histories = Histories() if histories is None else histories
        self.worker = Worker(**self.stage.arguments(**{"telemetry": self.histories, **others}))
        self.silences = Silences(self.stage.log, clock=self.stage.clock.now)
        self.status = RunStatus(
            config=WorkerConfig(),
            worker=self.worker.status,
            log=self.stage.log,
            counters=self.histories,
            connections=FixedConnections(),
            cluster=cluster,
            silences=self.silences,
            metric_label=metric_label,
            clock=self.stage.clock.now,
            monotonic=self.stage.clock.monotonic,
        )
        self.collector = RunCollector(self.status)

    async def exposed(self) -> str:
        """Returns the body of a scrape."""
        await self.status.refresh()
        content, _ = exposition(registry_of(self.collector))
        return content.decode()

    async def series(self) -> dict[tuple[str, Labels], float]:
        """Returns the series of a scrape, by name and labels."""
        return parse_series(await self.exposed())


def parse_series(text: str) -> dict[tuple[str, Labels], float]:
    """Returns the series of an exposition; fails on a duplicate."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is exposed twice"
            found[key] = sample.value
    return found


def labels(**named: str) -> Labels:
    return frozenset(named.items())


def names(keys: Iterable[tuple[str, Labels]]) -> set[str]:
    """The names of series."""
    return {name for name, _ in keys}
