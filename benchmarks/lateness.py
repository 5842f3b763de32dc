"""Lateness: what engines that accept and never answer do to the probes of the others, and when they are reported."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
import uvloop

from benchmarks.engines import Engines, cheapest_engines, silent_engines
from benchmarks.measure import say
from benchmarks.table import table
from healthprobe.domain.event import EventType, HealthEvent, ProbeFailedDetails
from healthprobe.domain.outcome import HEALTHY, Inconclusive, ProbeOutcome
from healthprobe.domain.record import RuntimeRecord
from healthprobe.domain.schedule import AutoLanes, phase_fraction, spread_window
from healthprobe.probing.http import HTTPProber
from healthprobe.testing.memory import InMemoryLog, InMemoryRecords
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker import Worker

THRESHOLD = 3

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_DEAD = "dead-"
_OBJECTS_BETWEEN_COLLECTIONS = 20_000


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how long an engine has to answer, in seconds."""

    interval: float
    timeout: float


PACES = (Pace(5.0, 2.0), Pace(1.0, 0.5))


class LatenessByTick:
    """A Telemetry: how late the probes of healthy engines began, tick by tick, in seconds."""

    def __init__(self, ticks: int) -> None:
        self.ticks: list[array[float]] = []
        self.dropped = self.inconclusive = self.failed = 0
        self.first_complete, self.complete = asyncio.Event(), asyncio.Event()
        self._wanted = ticks
        self._present = array("d")

    def record_probe(self, game_id: str, outcome: ProbeOutcome, duration: float, lateness: float) -> None:  # noqa: ARG002
        if outcome is HEALTHY:
            self._present.append(lateness)
        elif isinstance(outcome, Inconclusive):
            self.inconclusive += 1
        else:
            self.failed += 1

    def record_append(self, events: int, duration: float) -> None: ...

    def record_tick(self, games: int, duration: float, dropped: int) -> None:  # noqa: ARG002 - the port's width
        self.dropped += dropped
        self.ticks.append(self._present)
        self._present = array("d")
        self.first_complete.set()
        if len(self.ticks) == self._wanted:
            self.complete.set()

    def record_health_event(self, event_type: EventType) -> None: ...

    def record_listing_error(self) -> None: ...

    def record_skipped_records(self, count: int) -> None: ...

    def record_lag(self, publisher: str, events: int) -> None: ...

    def record_parked(self, publisher: str) -> None: ...

    def record_altered(self, publisher: str) -> None: ...

    def record_delivery(self, publisher: str, error: str | None, code: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Watch:
    """What one watch at one pace saw. `reported_in` counts the dead by the tick in which they were reported, from 1.

    `beyond` is how much later than `THRESHOLD` - 1 intervals and one timeout after the first probe was due each dead
    engine was reported, in seconds. `without_reason` counts events that no engine gave a reason for.
    """

    pace: Pace
    engine_count: int
    dead_count: int
    telemetry: LatenessByTick
    reported_in: Counter[int]
    beyond: Sequence[float]
    without_reason: int


def measured(*, engine_count: int, dead_count: int, ticks: int) -> list[Watch]:
    """Watch the engines at each pace for so many ticks, telling on standard error how far it is."""
    if not dead_count < engine_count:
        raise ValueError(f"{dead_count} dead of {engine_count} engines leave none to be late")
    watches = []
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder:
        workspace = Path(folder)
        with cheapest_engines(workspace) as engines, silent_engines(workspace) as silent:
            records = _records(engines, silent, engine_count, dead_count)
            for pace in PACES:
                say(f"{ticks} ticks at {pace.interval:g}s, timeout {pace.timeout:g}s, {dead_count:,} dead ...")
                watches.append(uvloop.run(_watched(pace, records, dead_count, ticks)))
    return watches


def report(watches: Sequence[Watch], opening: str) -> str:
    """The section of the page."""
    headings = ["", *(f"every {watch.pace.interval:g} s, timeout {watch.pace.timeout:g} s" for watch in watches)]
    facts = [_facts(watch) for watch in watches]
    rows = [[name, *(fact[name] for fact in facts)] for name in facts[0]]
    return "\n\n".join(["## Lateness next to dead engines", opening, table(headings, rows), _HOW_TO_READ])


_HOW_TO_READ = f"""\
Healthprobe's own worker and prober in one process, records and log in memory. Dead engines accept every connection and
never answer. Late is how long after it was due a healthy engine's probe began; the promise is 20 ms at the 99th
percentile. In the first tick every connection is opened. The threshold is {THRESHOLD}: a dead engine fails in ticks
1 to {THRESHOLD}, each time a timeout after its probe was due, and must be reported in tick {THRESHOLD}, once."""


async def _watched(pace: Pace, records: Sequence[RuntimeRecord], dead_count: int, ticks: int) -> Watch:
    telemetry, log = LatenessByTick(ticks), InMemoryLog()
    gc.disable()
    async with HTTPProber() as prober:
        worker = Worker(
            records=InMemoryRecords(*records),
            log=log,
            prober=prober,
            telemetry=telemetry,
            config=WorkerConfig(
                interval=pace.interval,
                probe_timeout=pace.timeout,
                failures_threshold=THRESHOLD,
                max_concurrency=AutoLanes(prober.capacity),
            ),
            clock=lambda: _EPOCH + timedelta(seconds=time.monotonic()),
            logger=warnings_logger(),
        )
        origin = time.monotonic()
        running = asyncio.create_task(worker.run())
        await telemetry.first_complete.wait()
        _collect_garbage_as_run_does()
        await telemetry.complete.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    expected = {event.game_id: event for event in reversed(log.events) if _is_expected(event)}
    reported_in, beyond = _reported(expected.values(), pace, origin)
    without_reason = len(log.events) - len(expected)
    return Watch(pace, len(records), dead_count, telemetry, reported_in, beyond, without_reason)


def _reported(events: Iterable[HealthEvent], pace: Pace, origin: float) -> tuple[Counter[int], list[float]]:
    """In which ticks these came, counted from 1, and by how much each came later than it had to."""
    window = spread_window(pace.interval, pace.timeout)
    ticks: Counter[int] = Counter()
    beyond = []
    for event in events:
        seen = (event.occurred_at - _EPOCH).total_seconds() - origin
        ticks[int(seen // pace.interval) + 1] += 1
        due = window.phase(phase_fraction(event.game_id))
        beyond.append(seen - due - (THRESHOLD - 1) * pace.interval - pace.timeout)
    return ticks, beyond


def _is_expected(event: HealthEvent) -> bool:
    """A dead engine's failure after exactly as many probes as were asked for."""
    details = event.details
    failed_in_time = isinstance(details, ProbeFailedDetails) and details.consecutive_failures == THRESHOLD
    return failed_in_time and event.game_id.startswith(_DEAD)


def _records(engines: Engines, silent: Engines, engine_count: int, dead_count: int) -> list[RuntimeRecord]:
    """Each engine at an address of its own; the dead are spread over the interval as the others are, by their ids."""
    healthy = engine_count - dead_count
    return [
        RuntimeRecord(f"game-{number}", "", engines.endpoint(number))
        if number < healthy
        else RuntimeRecord(f"{_DEAD}{number}", "", silent.endpoint(number))
        for number in range(engine_count)
    ]


def _facts(watch: Watch) -> dict[str, str]:
    telemetry = watch.telemetry
    first, later = telemetry.ticks[0], [late for tick in telemetry.ticks[1:] for late in tick]
    healthy, judged = watch.engine_count - watch.dead_count, len(first) + len(later)
    in_time = watch.reported_in.pop(THRESHOLD, 0)
    not_in_time = "".join(f", **{count:,} in tick {tick}**" for tick, count in sorted(watch.reported_in.items()))
    return {
        "engines, of them dead": f"{watch.engine_count:,}, {watch.dead_count:,}",
        "ticks, dropped": f"{len(telemetry.ticks):,}, {telemetry.dropped:,}",
        "healthy engines late in the first tick, p50 / p99 / max ms": _quantiles(first),
        "healthy engines late in later ticks, p50 / p99 / max ms": _quantiles(later),
        "probes of healthy engines judged healthy": f"{judged:,} of {healthy * len(telemetry.ticks):,}",
        "inconclusive probes": f"{telemetry.inconclusive:,}",
        f"dead engines reported in tick {THRESHOLD}": f"{in_time:,} of {watch.dead_count:,}{not_in_time}",
        f"after due + {THRESHOLD - 1} intervals + timeout, p50 / p99 / max ms": _quantiles(watch.beyond),
        "events without a reason": f"{watch.without_reason:,}",
    }


def _quantiles(times: Sequence[float]) -> str:
    """Half, 99% and all of the times do not exceed these."""
    if not times:
        return "-"
    ordered = sorted(times)
    ranks = (min(int(share * len(ordered)), len(ordered) - 1) for share in (0.5, 0.99, 1.0))
    return " / ".join(f"{ordered[rank] * 1000:.1f}" for rank in ranks)


def _collect_garbage_as_run_does() -> None:
    """As the service does after its first tick, through which it keeps the collector away: what is there stays."""
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    gc.enable()


def warnings_logger() -> Any:
    """A logger for what should not happen, on standard error."""
    wrapper = structlog.make_filtering_bound_logger(logging.WARNING)
    return structlog.wrap_logger(structlog.PrintLogger(sys.stderr), wrapper_class=wrapper)
