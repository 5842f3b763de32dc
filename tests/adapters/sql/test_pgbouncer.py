"""A database behind PgBouncer in transaction mode: a connection is another one in each transaction."""

import asyncio

import pytest
from tests.servers.pgbouncer import PROGRAM, PgBouncer
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_standby import PostgresStandby

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlQuery, SqlRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError
from healthprobe.testing.contracts.samples import failed, history, recovered

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")


async def test_programs_that_share_two_connections_write_one_log(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with PgBouncer(postgres_server) as pooler:
        url = postgres_server.address(pooler.port, postgres_url.rpartition("/")[2])
        databases = [await SqlDatabase.open(url) for _ in range(4)]
        for sequence, event in ((1, failed), (2, recovered)):
            appends = (SqlLog(database).append([event("game-7", sequence)]) for database in databases)
            assert await asyncio.gather(*appends) == [[event("game-7", sequence)]] * 4
        assert [entry.event for entry in await SqlLog(databases[0]).read(0, 10)] == history("game-7", 2)
        record = RuntimeRecord("game-7", "", "http://h:1")
        await SqlRecords(databases[1]).put([record])
        query = "SELECT game_id, current_container_id, engine_endpoint FROM runtime_records"
        store = await SqlQuery.open(url, query, lambda _count, _reason: None)
        assert await store.list_by_status("running") == [record]
        await store.aclose()
        for database in databases:
            await database.aclose()


async def test_the_primary_is_found_through_two_poolers(postgres_server: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    with (
        PostgresStandby(postgres_server) as standby,
        PgBouncer(standby) as to_standby,
        PgBouncer(postgres_server) as to_primary,
    ):
        hosts = f"127.0.0.1:{to_standby.port},127.0.0.1:{to_primary.port}"
        database = await SqlDatabase.open(f"postgresql://postgres@{hosts}/{name}")
        assert await SqlLog(database).append([failed("game-7", 1)]) == [failed("game-7", 1)]
        await database.aclose()


async def test_a_parameter_that_the_pooler_does_not_take_is_named(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    with PgBouncer(postgres_server) as pooler:
        url = postgres_server.address(pooler.port, postgres_url.rpartition("/")[2])
        with pytest.raises(ConfigurationError, match=r"unsupported startup parameter: options"):
            await SqlDatabase.open(f"{url}?options=-csearch_path%3Dpublic")
