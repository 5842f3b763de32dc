"""A PostgreSQL URL with several servers: the log is where writes are taken, before and after a failover."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.servers.ports import free_port
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_standby import PostgresStandby

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlQuery, SqlRecords
from healthprobe.domain.event import HealthEvent
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import LogError, StoreError
from healthprobe.testing.contracts.samples import failed, history, recovered

QUERY = "SELECT 'game-7' AS game_id, '' AS current_container_id, 'http://h:1' AS engine_endpoint"


@pytest.fixture
def primary() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        server.url("games")
        yield server


@pytest.fixture
def standby(primary: PostgresServer) -> Iterator[PostgresStandby]:
    with PostgresStandby(primary) as server:
        yield server


def url_of(*servers: PostgresServer, parameters: str = "") -> str:
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in servers)
    return f"postgresql://postgres@{hosts}/games{parameters}"


async def appended_in_the_end(log: SqlLog, event: HealthEvent) -> None:
    async with asyncio.timeout(30):
        while True:
            with suppress(LogError):
                assert await log.append([event]) == [event]
                return
            await asyncio.sleep(0.05)


async def port_in_use(database: SqlDatabase) -> object:
    return await database.read(lambda connection: connection.exec_driver_sql("SHOW port").scalar(), LogError)


async def test_the_log_is_on_the_primary_though_the_standby_is_named_first(
    primary: PostgresServer, standby: PostgresStandby
) -> None:
    database = await SqlDatabase.open(url_of(standby, primary))
    assert database.name == f"postgresql://127.0.0.1:{standby.port},127.0.0.1:{primary.port}/games"
    assert await SqlLog(database).append([failed("game-7", 1)]) == [failed("game-7", 1)]
    assert await port_in_use(database) == str(primary.port), "what the log reads, it has written"
    await database.aclose()


async def test_after_a_failover_log_and_records_go_on_at_the_promoted_standby(
    primary: PostgresServer, standby: PostgresStandby
) -> None:
    database = await SqlDatabase.open(url_of(primary, standby))
    log, records = SqlLog(database), SqlRecords(database)
    await log.append([failed("game-7", 1)])
    await records.put([RuntimeRecord("game-7", "", "http://h:1")])
    await asyncio.to_thread(caught_up, primary, standby)
    await asyncio.to_thread(primary.kill)
    for _ in range(2):
        with pytest.raises(LogError) as refused:
            await log.append([recovered("game-7", 2)])
        assert not refused.value.permanent
    assert str(refused.value).endswith(
        "none of its servers takes writes: promote one, or name the primary "
        f"(127.0.0.1:{primary.port}: Connection refused; 127.0.0.1:{standby.port}: session is read-only)"
    )
    await asyncio.to_thread(standby.promote)
    await appended_in_the_end(log, recovered("game-7", 2))
    assert [entry.event for entry in await log.read(0, 10)] == history("game-7", 2)
    assert [record.game_id for record in await records.list_by_status("running")] == ["game-7"]
    await database.aclose()


async def test_a_primary_that_takes_no_more_writes_is_left_for_the_one_that_does(
    primary: PostgresServer, standby: PostgresStandby
) -> None:
    database = await SqlDatabase.open(url_of(primary, standby))
    log = SqlLog(database)
    await log.append([failed("game-7", 1)])
    await asyncio.to_thread(caught_up, primary, standby)
    with primary.connect("games") as administrator:
        administrator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        administrator.execute("SELECT pg_reload_conf()")
    await asyncio.to_thread(standby.promote)
    await appended_in_the_end(log, recovered("game-7", 2))
    assert await port_in_use(database) == str(standby.port)
    assert [entry.event for entry in await log.read(0, 10)] == history("game-7", 2)
    await database.aclose()


async def test_a_query_is_answered_by_the_standby_while_the_primary_is_down(
    primary: PostgresServer, standby: PostgresStandby
) -> None:
    store = await SqlQuery.open(url_of(primary, standby), QUERY, lambda _count, _reason: None)
    await asyncio.to_thread(primary.kill)
    with suppress(StoreError):
        await store.list_by_status("running")
    assert [record.game_id for record in await store.list_by_status("running")] == ["game-7"]
    await store.aclose()


async def test_a_log_is_read_from_a_standby_that_is_named_alone_or_on_request(
    primary: PostgresServer, standby: PostgresStandby
) -> None:
    database = await SqlDatabase.open(url_of(primary))
    await SqlLog(database).append([failed("game-7", 1)])
    await database.aclose()
    await asyncio.to_thread(caught_up, primary, standby)
    for url in (url_of(standby), url_of(standby, primary, parameters="?target_session_attrs=any")):
        database = await SqlDatabase.open(url, create=False)
        assert await port_in_use(database) == str(standby.port)
        assert [entry.event for entry in await SqlLog(database).read(0, 10)] == [failed("game-7", 1)]
        await database.aclose()


async def test_servers_that_are_all_away_are_named_with_their_causes() -> None:
    one, other = free_port(), free_port()
    with pytest.raises(LogError) as refused:
        await SqlDatabase.open(f"postgresql://u:s3cret@127.0.0.1:{one},127.0.0.1:{other}/games")
    assert str(refused.value) == (
        f"postgresql://127.0.0.1:{one},127.0.0.1:{other}/games: it is away: look whether the server runs and can be "
        f"reached (127.0.0.1:{one}: Connection refused; 127.0.0.1:{other}: Connection refused)"
    )


def caught_up(primary: PostgresServer, standby: PostgresServer) -> None:
    """Returns when the standby has replayed all that the primary has written."""
    with primary.connect("games") as connection, standby.connect("games") as follower:
        [written] = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)
        reached = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        while follower.execute(reached, [written]).fetchone() != (True,):
            pass
