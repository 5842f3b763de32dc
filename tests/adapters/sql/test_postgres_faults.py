"""The log on PostgreSQL under faults: nothing acknowledged is lost, nothing is in it twice."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import CuttingProxy
from tests.support.waiting import PATIENCE

from healthprobe.adapters.sql import SqlDatabase, SqlLog, postgres
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogError
from healthprobe.testing.contracts.samples import failed, history, recovered

WRITE_LOCK = 0x6865616C7468


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """Yields a server that the tests of this module may kill."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def log(postgres_url: str) -> AsyncIterator[SqlLog]:
    database = await SqlDatabase.open(postgres_url)
    yield SqlLog(database)
    await database.aclose()


async def opened(url: str) -> SqlDatabase:
    """Opens the database as soon as its server accepts connections."""
    while True:
        with suppress(LogError):
            return await SqlDatabase.open(url)
        await asyncio.sleep(0.02)


async def in_the_end(log: SqlLog, events: list[HealthEvent]) -> None:
    """Appends `events`, with retries: each is accepted, even if an earlier try has appended it."""
    while True:
        try:
            standing = await log.append(events)
        except LogError as error:
            if error.permanent:
                raise
            await asyncio.sleep(0.02)
        else:
            assert standing == events
            return


async def events_in(log: SqlLog) -> list[HealthEvent]:
    entries = await log.read(0, 100_000)
    assert [entry.cursor for entry in entries] == list(range(1, len(entries) + 1))
    return [entry.event for entry in entries]


async def test_kill_9_during_an_append_loses_nothing_acknowledged_and_a_retry_succeeds(mortal: PostgresServer) -> None:
    database = await SqlDatabase.open(mortal.url("killed"))
    log = SqlLog(database)
    acknowledged: list[HealthEvent] = []
    for sequence in range(1, 4):
        batch = [(failed if sequence % 2 else recovered)(f"game-{number}", sequence) for number in range(200)]
        appending = asyncio.create_task(log.append(batch))
        await asyncio.sleep(random.uniform(0, 0.05))
        await asyncio.to_thread(mortal.kill)
        with suppress(LogError):
            await appending
        await asyncio.to_thread(mortal.start)
        assert (await events_in_again(log))[: len(acknowledged)] == acknowledged
        await in_the_end(log, batch)
        acknowledged += batch
    assert await events_in(log) == acknowledged
    await database.aclose()


async def events_in_again(log: SqlLog) -> list[HealthEvent]:
    while True:
        with suppress(LogError):
            return await events_in(log)
        await asyncio.sleep(0.02)


async def test_a_restart_of_the_server_between_two_calls_fails_at_most_one(mortal: PostgresServer) -> None:
    database = await SqlDatabase.open(mortal.url("restarted"))
    log = SqlLog(database)
    await log.append([failed("game-7", 1)])
    await asyncio.to_thread(mortal.stop)
    with pytest.raises(LogError, match=r"it is away: look whether the server runs and can be reached") as raised:
        await log.append([recovered("game-7", 2)])
    assert not raised.value.permanent
    with pytest.raises(LogError, match=r"it is away"):
        await SqlDatabase.open(mortal.address(mortal.port, "restarted"))
    await asyncio.to_thread(mortal.start)
    assert await log.append([recovered("game-7", 2)]) == [recovered("game-7", 2)]
    assert await events_in_again(log) == history("game-7", 2)
    await database.aclose()


async def test_a_paused_server_causes_a_timeout_and_is_used_again_when_it_continues(
    mortal: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await SqlDatabase.open(mortal.url("paused"))
    log = SqlLog(database)
    await log.append([failed("game-7", 1)])
    monkeypatch.setattr(postgres, "_RESPONSE_TIMEOUT", 0.5)
    mortal.pause()
    try:
        for call in (log.append([recovered("game-7", 2)]), log.read(0, 10)):
            with pytest.raises(LogError, match=r"it is away") as raised:
                await asyncio.wait_for(call, PATIENCE)
            assert not raised.value.permanent
    finally:
        mortal.resume()
    await in_the_end(log, [recovered("game-7", 2)])
    assert await events_in(log) == history("game-7", 2)
    await database.aclose()


async def test_a_database_on_a_paused_server_closes_in_time(
    mortal: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await SqlDatabase.open(mortal.url("paused_at_the_end"))
    monkeypatch.setattr(postgres, "_RESPONSE_TIMEOUT", 0.5)
    mortal.pause()
    try:
        appending = asyncio.create_task(SqlLog(database).append([failed("game-7", 1)]))
        await asyncio.sleep(0.05)
        appending.cancel()
        await asyncio.wait_for(database.aclose(), PATIENCE)
    finally:
        mortal.resume()


async def test_connections_cut_at_any_byte_lose_nothing_and_repeat_nothing(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    await (await SqlDatabase.open(postgres_url)).aclose()
    name = postgres_url.rpartition("/")[2]
    expected: list[HealthEvent] = []
    async with CuttingProxy(postgres_server.port) as proxy:
        database = await opened(postgres_server.address(proxy.port, name))
        log = SqlLog(database)
        for sequence in range(1, 31):
            batch = [(failed if sequence % 2 else recovered)(f"game-{number}", sequence) for number in range(20)]
            proxy.cut_after(random.randrange(3000))
            await in_the_end(log, batch)
            expected += batch
        proxy.cut()
        assert await events_in_again(log) == expected
        assert proxy.connections > 3, "cut so often at random, it had to begin anew now and then"
        await database.aclose()


async def test_a_lost_acknowledgement_is_recognised_at_the_retry(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with CuttingProxy(postgres_server.port) as proxy:
        database = await SqlDatabase.open(postgres_server.address(proxy.port, postgres_url.rpartition("/")[2]))
        log = SqlLog(database)
        await log.append([failed("game-7", 1)])
        proxy.hang()
        appending = asyncio.create_task(log.append([recovered("game-7", 2)]))
        await proxy.caught()
        proxy.cut()
        proxy.pass_on()
        with pytest.raises(LogError, match=r"it is away"):
            await appending
        await in_the_end(log, [recovered("game-7", 2)])
        assert await events_in_again(log) == history("game-7", 2)
        await database.aclose()


async def test_a_connection_that_an_administrator_ended_is_made_again(
    log: SqlLog, postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    with postgres_server.connect("postgres") as administrator:
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    with pytest.raises(LogError, match=r"it is away") as raised:
        await log.append([failed("game-7", 1)])
    assert not raised.value.permanent
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]


async def test_a_database_that_is_read_only_for_a_while_is_an_error_until_it_is_not(
    log: SqlLog, postgres_server: PostgresServer, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    with postgres_server.connect("postgres") as administrator:
        administrator.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        with suppress(LogError):
            await log.append([failed("game-7", 1)])
        with pytest.raises(LogError, match=r"it is read-only, a standby perhaps: name the primary") as raised:
            await log.append([failed("game-7", 1)])
        assert not raised.value.permanent
        administrator.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]


async def test_a_lock_that_is_not_released_is_an_error_worth_a_retry(
    log: SqlLog, postgres_server: PostgresServer, postgres_url: str
) -> None:
    with postgres_server.connect(postgres_url.rpartition("/")[2]) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [WRITE_LOCK])
        begun = time.monotonic()
        with pytest.raises(LogError, match=r"it is locked by another program: let that one finish") as raised:
            await log.append([failed("game-7", 1)])
        assert 1.5 < time.monotonic() - begun < 15
        assert not raised.value.permanent
        assert await log.read(0, 10) == []
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]


async def test_text_that_the_server_refuses_is_a_permanent_error(log: SqlLog) -> None:
    for game_id in ("nul\0", "\ud83d"):
        with pytest.raises(LogError) as raised:
            await log.append([failed(game_id, 1)])
        assert raised.value.permanent
        assert "away" not in str(raised.value)
