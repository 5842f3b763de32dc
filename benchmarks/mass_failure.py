"""Every engine fails at once, and recovers while the bus is down: measures how soon all events are delivered."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import create_engine, text
from tests.servers.postgres import PostgresServer
from tests.servers.redis import STREAM, RedisServer

from benchmarks.engines import Engines, plain_engines
from benchmarks.first_tick_apart import FIRST
from benchmarks.measure import say
from benchmarks.processes import Child, ChildFailed, running
from benchmarks.table import table

INTERVAL, TIMEOUT, THRESHOLD = 5.0, 2.0, 3

_LATENESS_PROMISED = 50.0
_RATE_PROMISED = 5000
_PATIENCE = 120.0
_POLL = 0.02


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one log saw of a mass failure; all in seconds, but lateness, which is in milliseconds.

    `spread` is from the first transition to the last, as they were seen; `in_log` how long after the last one was seen
    the log had all, `delivered` how long after that the bus had them. `returned` is how long after its return the bus
    had all that it had missed, at `rate` events a second while they came.
    """

    log: str
    engine_count: int
    spread: float
    in_log: float
    delivered: float
    returned: float
    rate: float
    in_order: bool
    late_ms: tuple[float, float]
    first_tick_late_ms: float
    dropped_ticks: int


def measured(*, engine_count: int) -> list[Delivery]:
    """Let all engines fail and come back under `healthprobe run`, with the log on SQLite and on PostgreSQL."""
    deliveries = []
    with TemporaryDirectory(prefix="healthprobe-bench-") as folder, PostgresServer() as postgres:
        workspace = Path(folder)
        for log in (f"sqlite:{workspace / 'log.db'}", postgres.url("mass_failure")):
            with RedisServer(durable=True) as redis, plain_engines(workspace) as engines:
                deliveries.append(_measured_with(log, redis, engines, workspace, engine_count))
    return deliveries


def report(deliveries: Sequence[Delivery], opening: str) -> str:
    """The section of the page."""
    headings = ["", *(f"log on {each.log}" for each in deliveries)]
    facts = [_facts(each) for each in deliveries]
    rows = [[name, *(fact[name] for fact in facts)] for name in facts[0]]
    return "\n\n".join(["## Every engine at once", opening, table(headings, rows), _HOW_TO_READ])


_HOW_TO_READ = f"""\
`healthprobe run` every {INTERVAL:g} s with a threshold of {THRESHOLD}, relayed to Redis Streams (every write on its
disk before it is acknowledged). All engines answer 503 from one moment on, then 200 again while Redis is stopped; then
Redis is started. Transitions are spread over the interval as the probes are, so the second row is the pace of the
probes. The promises: all in the log within one interval, lateness under {_LATENESS_PROMISED:g} ms at the 99th
percentile, over {_RATE_PROMISED:,} events a second to Redis, and all that Redis missed within 10 s of its return.
Probes of engines that fail use a fresh connection each."""


def _measured_with(log: str, redis: RedisServer, engines: Engines, workspace: Path, engine_count: int) -> Delivery:
    kind = "SQLite" if log.startswith("sqlite") else "PostgreSQL"
    with _watching(log, redis, engines, workspace, engine_count) as child:
        say(f"log on {kind}: {engine_count:,} engines fail ...")
        engines.fail()
        in_log = _time_of(lambda: _events_in(log) >= engine_count, child)
        delivered = _time_of(lambda: _length(redis) >= engine_count, child)
        seen = _seen(log, engine_count)
        redis.stop()
        say(f"log on {kind}: they come back while Redis is away ...")
        engines.heal()
        _time_of(lambda: _events_in(log) >= 2 * engine_count, child)
        redis.start()
        returned = time.time()
        first = _time_of(lambda: _length(redis) > engine_count, child)
        last = _time_of(lambda: _length(redis) >= 2 * engine_count, child)
        child.end()
        summary = _summary(child.output)
    return Delivery(
        log=kind,
        engine_count=engine_count,
        spread=seen[-1] - seen[0],
        in_log=in_log - seen[-1],
        delivered=delivered - in_log,
        returned=last - returned,
        rate=engine_count / max(last - first, _POLL),
        in_order=redis.ids() == _ids(log),
        late_ms=(summary["late_ms_p50"], summary["late_ms_p99"]),
        first_tick_late_ms=summary[FIRST],
        dropped_ticks=int(summary["dropped_ticks"]),
    )


@contextmanager
def _watching(log: str, redis: RedisServer, engines: Engines, workspace: Path, engine_count: int) -> Iterator[Child]:
    """`healthprobe run`, once each engine was probed twice."""
    records = workspace / "records.json"
    records.write_text(
        json.dumps(
            [
                {"game_id": f"game-{number}", "engine_endpoint": endpoint}
                for number, endpoint in enumerate(engines.endpoints(engine_count))
            ]
        )
    )
    command = [sys.executable, "-m", "benchmarks.first_tick_apart", "run", f"--records=file:{records}", f"--log={log}"]
    command += [f"--publish={redis.url()}", f"--interval={INTERVAL:g}s", f"--timeout={TIMEOUT:g}s"]
    with running(command, workspace) as child:
        child.wait_until(lambda: engines.requests() >= 2 * engine_count, _PATIENCE)
        yield child


def _time_of(happened: Callable[[], bool], child: Child) -> float:
    """Wall time, in seconds, at which it `happened`, seen to within a fiftieth of a second."""
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        child.require_alive()
        if time.monotonic() > deadline:
            raise ChildFailed(f"waited {_PATIENCE:g}s in vain")
        time.sleep(_POLL)
    return time.time()


def _events_in(log: str) -> int:
    return int(str(_query(log, "SELECT coalesce(max(position), 0) FROM health_events")[0]))


def _seen(log: str, count: int) -> list[float]:
    """When the first `count` transitions were seen, in order."""
    instants = _query(log, f"SELECT occurred_at FROM health_events WHERE position <= {count}")
    return sorted(datetime.fromisoformat(str(instant)).timestamp() for instant in instants)


def _ids(log: str) -> list[str]:
    return [str(event_id) for event_id in _query(log, "SELECT id FROM health_events ORDER BY position")]


def _query(log: str, query: str) -> Sequence[object]:
    """Returns the first column of a query, while the program writes."""
    path = log.partition(":")[2]
    url = f"sqlite:///{path}" if log.startswith("sqlite") else log.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.execute(text(query)).scalars().all()
    finally:
        engine.dispose()


def _length(redis: RedisServer) -> int:
    return int(redis.command("XLEN", STREAM))


def _summary(output: str) -> dict[str, float]:
    """The figures of the run's closing line."""
    for line in reversed(output.splitlines()):
        if line.startswith("{") and '"stopped"' in line:
            figures: dict[str, float] = json.loads(line)
            return figures
    raise ChildFailed("healthprobe run has not logged its figures")


def _facts(delivery: Delivery) -> dict[str, str]:
    late = " / ".join(f"{milliseconds:.1f}" for milliseconds in delivery.late_ms)
    return {
        "engines": f"{delivery.engine_count:,}",
        "from the first transition seen to the last, s": f"{delivery.spread:.2f}",
        "all in the log after the last was seen, s": f"{delivery.in_log:.2f}{_verdict(delivery.in_log <= INTERVAL)}",
        "all at Redis after that, s": f"{delivery.delivered:.2f}",
        "all at Redis after its return, s": f"{delivery.returned:.2f}{_verdict(delivery.returned <= 10.0)}",
        "events a second to Redis meanwhile": f"{delivery.rate:,.0f}{_verdict(delivery.rate > _RATE_PROMISED)}",
        "the stream equals the log, in its order": "yes" if delivery.in_order else "**no**",
        "probes late in the first tick, which opens all connections, p99 ms": f"{delivery.first_tick_late_ms:.1f}",
        "probes late in all later ticks, p50 / p99 ms": late + _verdict(delivery.late_ms[1] < _LATENESS_PROMISED),
        "ticks dropped": f"{delivery.dropped_ticks}",
    }


def _verdict(kept: object) -> str:
    return "" if kept else " **missed**"
