"""The listing: a hundred thousand games in a user's own tables, read at every tick, and what it costs."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop
from tests.servers.postgres import PostgresServer

from benchmarks.lateness import warnings_logger
from benchmarks.measure import say
from benchmarks.table import table
from healthprobe.adapters.sql import SqlQuery
from healthprobe.domain.outcome import HEALTHY, ProbeOutcome
from healthprobe.domain.record import RUNNING, RuntimeRecord
from healthprobe.domain.target import ProbeTarget
from healthprobe.ports import RuntimeRecordStore
from healthprobe.status.counters import Counters
from healthprobe.testing.memory import InMemoryLog, InMemoryRecords
from healthprobe.worker.config import WorkerConfig
from healthprobe.worker.worker import Worker

QUERY = """
SELECT g.id::text AS game_id, c.name AS current_container_id, 'http://' || c.host || ':8080' AS engine_endpoint
FROM games AS g JOIN containers AS c ON c.game = g.id WHERE g.state = 'up'
"""

_DATABASE = "game_platform"
_SCHEMA = """
CREATE TABLE games (id bigint PRIMARY KEY, state text NOT NULL);
CREATE TABLE containers (game bigint PRIMARY KEY REFERENCES games, name text NOT NULL, host text NOT NULL);
INSERT INTO games SELECT number, 'up' FROM generate_series(1, {games}) AS number;
INSERT INTO containers SELECT id, 'container-' || id, '127.1.' || id / 250 % 250 || '.' || id % 250 FROM games;
ANALYZE
"""
_RESTARTS = """
UPDATE containers SET name = name || '+' WHERE game IN (SELECT id FROM games ORDER BY random() LIMIT {restarts})
"""

_INTERVAL, _TIMEOUT = 5.0, 2.0
_BEAT = 0.001
_STALL_PROMISED = 20.0


@dataclass(frozen=True, slots=True)
class Listed:
    """What a way to list cost: seconds of CPU, of the whole process, a listing and a tick, and the longest stalls."""

    name: str
    wall: float
    cpu: float
    stall: float
    tick_stall: float
    tick_cpu: float


class _AlwaysHealthy:
    """A prober that costs next to nothing, so that what is left is the listing; it lets others run, as real ones do."""

    async def probe(self, target: ProbeTarget) -> ProbeOutcome:  # noqa: ARG002 - the port's width
        await asyncio.sleep(0)
        return HEALTHY

    def forget(self, target: ProbeTarget) -> None: ...


class Heartbeat:
    """Beats every millisecond on the running loop, and notes how much too late the latest beat came, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(_BEAT)
            self.longest = max(self.longest, time.perf_counter() - before - _BEAT)

    def end(self) -> float:
        """The longest stall."""
        self._beating.cancel()
        return self.longest


def measured(*, games: int, restarts: int, ticks: int) -> list[Listed]:
    """List `games` games by a query, the same ones again and with `restarts` of them changed each time."""
    with PostgresServer() as server:
        url = server.url(_DATABASE)
        with server.connect(_DATABASE) as connection:
            for statement in _SCHEMA.format(games=games).split(";"):
                connection.execute(statement)
        return uvloop.run(_measured(server, url, restarts, ticks))


def report(listed: Sequence[Listed], opening: str, *, games: int) -> str:
    """The section of the page."""
    headings = [
        "",
        "a listing, s",
        "CPU a listing, ms",
        "longest stall, ms",
        "CPU a tick, ms",
        "longest stall in ticks, ms",
    ]
    rows = [
        [
            each.name,
            f"{each.wall:.2f}",
            f"{each.cpu * 1000:.0f}",
            _stall(each.stall),
            f"{each.tick_cpu * 1000:.0f}",
            _stall(each.tick_stall),
        ]
        for each in listed
    ]
    return "\n\n".join([f"## {games:,} games in the user's own tables", opening, table(headings, rows), _HOW_TO_READ])


_HOW_TO_READ = f"""\
PostgreSQL 16 on the same machine, read by `--records-query` with

```sql
{QUERY.strip()}
```

CPU is healthprobe's own, all threads together. A stall is how late a beat of one millisecond came; the promise is
{_STALL_PROMISED:g} ms. The ticks are those of the worker, every {_INTERVAL:g} s, with a prober that answers at once:
their CPU is almost only the bookkeeping of the probes, and the row of the list in memory is what that costs without a
listing."""


async def _measured(server: PostgresServer, url: str, restarts: int, ticks: int) -> list[Listed]:
    gc.disable()
    store = await SqlQuery.open(url, QUERY, lambda _count, _first: None)
    say("the same games again ...")
    same = await _listed("the same games again", store, ticks)
    say(f"{restarts:,} containers are new at each listing ...")
    changing = await _listed(f"{restarts:,} of them restarted", _Restarting(store, server, restarts), ticks)
    say("the same list in memory ...")
    in_memory = InMemoryRecords(*await store.list_by_status(RUNNING))
    floor = await _listed("a list in memory", in_memory, ticks)
    await store.aclose()
    return [same, changing, floor]


class _Restarting:
    """The store, with some games restarted before each listing."""

    def __init__(self, store: SqlQuery, server: PostgresServer, restarts: int) -> None:
        self._store = store
        self._server = server
        self._restarts = restarts

    async def list_by_status(self, status: str) -> list[RuntimeRecord]:
        await asyncio.to_thread(self._restart)
        return await self._store.list_by_status(status)

    def _restart(self) -> None:
        with self._server.connect(_DATABASE) as connection:
            connection.execute(_RESTARTS.format(restarts=self._restarts))


async def _listed(name: str, store: RuntimeRecordStore, ticks: int) -> Listed:
    await store.list_by_status(RUNNING)
    wall, cpu, stall = await _cost_of_listings(store, ticks)
    tick_cpu, tick_stall = await _cost_of_ticks(store, ticks)
    return Listed(name, wall, cpu, stall, tick_stall, tick_cpu)


async def _cost_of_listings(store: RuntimeRecordStore, times: int) -> tuple[float, float, float]:
    heartbeat = Heartbeat()
    began, used = time.perf_counter(), time.process_time()
    for _ in range(times):
        await store.list_by_status(RUNNING)
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    return wall / times, cpu / times, heartbeat.end()


async def _cost_of_ticks(store: RuntimeRecordStore, ticks: int) -> tuple[float, float]:
    """CPU a tick after the first, and the longest stall of all, the first included."""
    tally = Counters()
    worker = Worker(
        records=store,
        log=InMemoryLog(),
        prober=_AlwaysHealthy(),
        telemetry=tally,
        config=WorkerConfig(interval=_INTERVAL, probe_timeout=_TIMEOUT),
        logger=warnings_logger(),
    )
    heartbeat = Heartbeat()
    running = asyncio.create_task(worker.run())
    await _until_ticked(tally, 1)
    used = time.process_time()
    await _until_ticked(tally, ticks + 1)
    cpu = time.process_time() - used
    stall = heartbeat.end()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return cpu / ticks, stall


async def _until_ticked(tally: Counters, ticks: int) -> None:
    while tally.ticks < ticks:  # noqa: ASYNC110 - a tally only counts
        await asyncio.sleep(_BEAT)


def _stall(seconds: float) -> str:
    milliseconds = f"{seconds * 1000:.1f}"
    return milliseconds if seconds * 1000 <= _STALL_PROMISED else f"{milliseconds} **missed**"
