"""Promise 2 while the log is locked, and when engines change while the program is down."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from tests.support.waiting import until
from tests.system.runs import EMBEDDED, Runs

from healthprobe.adapters.sql.backend import LOCK_TIMEOUT
from healthprobe.testing.engines import Script, ScriptedEngine, ScriptedFleet

INTERVAL = 0.4

LONG_INTERVAL = 4.0
"""Seconds: what is seen before this was seen at the first tick, on a busy machine too."""

TIMES = "--interval 400ms --timeout 200ms"


async def test_transitions_wait_unchanged_while_another_process_locks_the_log_and_probes_go_on(
    runs: Runs,
) -> None:
    failing, games = 10, 40
    async with ScriptedFleet({f"game-{number}": Script() for number in range(games)}) as fleet:
        engines = list(fleet.engines.values())
        await runs.embed(fleet.endpoints)
        run = runs.start(f"{TIMES} --failures 2", records=EMBEDDED)
        await run.started()
        await asyncio.sleep(INTERVAL)
        with locked(runs):
            await asyncio.gather(*(engine.become(503) for engine in engines[:failing]))
            failed = time.time()
            asked = [engine.requests for engine in engines]
            await asyncio.sleep(LOCK_TIMEOUT + 1.0)
            assert run.printed == []
            freed = time.time()
            probes = [engine.requests - before for engine, before in zip(engines, asked, strict=True)]
            assert min(probes) >= (freed - failed) / INTERVAL - 2, "a probe waited for the log"
        await until(lambda: len(run.printed) == failing, "the failures are printed once the log is unlocked")
        with locked(runs):
            await asyncio.gather(*(engine.become(200) for engine in engines[:failing]))
            await asyncio.sleep(2 * INTERVAL)
        await until(lambda: len(run.printed) == 2 * failing, "the recoveries are printed once the log is unlocked")
        figures = await run.stopped()
    events = await runs.events()
    assert sorted(event.id for event in events) == sorted(f"game-{n}:{s}" for n in range(failing) for s in (1, 2))
    for event in events[:failing]:
        assert event.event_type == "probe_failed"
        assert event.details.as_document()["consecutive_failures"] == 2
        assert failed < event.occurred_at.timestamp() < failed + 4 * INTERVAL < freed
    assert {event.event_type for event in events[failing:]} == {"probe_recovered"}
    assert figures["listing_errors"] == 0
    assert [line["waiting"] for line in run.logged("publish health event")] == [failing]


async def test_an_open_incident_is_not_reported_again_after_a_restart_and_its_end_is_reported(
    runs: Runs,
) -> None:
    async with ScriptedEngine() as ill, ScriptedEngine() as well:
        runs.watch({"game-ill": ill.endpoint, "game-well": well.endpoint})
        first = runs.start(f"{TIMES} --failures 1")
        await first.started()
        await ill.become(503)
        await until(lambda: first.printed, "the failure is printed")
        first.kill()

        second = runs.start(f"{TIMES} --failures 1")
        await second.started()
        asked = ill.requests
        await until(lambda: ill.requests >= asked + 3, "the second run probes it")
        figures = await second.stopped()
        assert {event["id"] for event in second.printed} <= {"game-ill:1"}, "at most what the kill left unnoted"
        assert figures["failed"] >= 2

        await ill.become(200)
        third = runs.start(f"--interval {LONG_INTERVAL:g}s --timeout 200ms --failures 1")
        began = await third.started()
        await until(lambda: [event for event in third.printed if event["sequence"] == 2], "the recovery is printed")
        figures = await third.stopped()
    failed, recovered = await runs.events()
    assert [failed.id, recovered.id] == ["game-ill:1", "game-ill:2"]
    assert recovered.event_type == "probe_recovered"
    assert began < recovered.occurred_at.timestamp() < began + LONG_INTERVAL, "it was not seen at the first tick"
    assert recovered.details.as_document() == {"prior_failure_count": 1}
    assert figures["failed"] == 0


@contextmanager
def locked(runs: Runs) -> Iterator[None]:
    """Locks the log inside the context."""
    with closing(sqlite3.connect(runs.log, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
