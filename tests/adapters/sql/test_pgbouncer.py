"""A database behind PgBouncer in transaction mode: a connection is another one in each transaction."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from tests.servers.pgbouncer import PROGRAM, PgBouncer
from tests.servers.postgres import PostgresServer
from tests.servers.postgres_standby import PostgresStandby
from tests.support.program import QUICK, Program, next_document, written_games

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlQuery, SqlRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, LogError
from healthprobe.testing.contracts.samples import failed, history, recovered
from healthprobe.testing.engines import ScriptedEngine

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


@pytest.mark.parametrize(
    ("limit", "words"),
    [("max_client_conn = 2", "no more connections allowed"), ("query_wait_timeout = 1", "query_wait_timeout")],
)
async def test_a_pooler_without_a_connection_left_is_worth_a_retry_and_says_so(
    postgres_server: PostgresServer, postgres_url: str, limit: str, words: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    with PgBouncer(postgres_server, limit) as pooler:
        url = postgres_server.address(pooler.port, name)
        others = [psycopg.connect(url) for _ in range(2)]
        for other in others:
            other.execute("SELECT 1")
        with pytest.raises(LogError, match=rf"it has no connection left for us: raise its limit .*{words}"):
            await SqlDatabase.open(url)
        for other in others:
            other.close()
        database = await SqlDatabase.open(url)
        assert await SqlLog(database).end() == 0
        await database.aclose()


async def test_a_database_that_the_pooler_has_not_is_refused(postgres_server: PostgresServer) -> None:
    with (
        PgBouncer(postgres_server) as pooler,
        pytest.raises(ConfigurationError, match='database "nowhere" does not exist'),
    ):
        await SqlDatabase.open(postgres_server.address(pooler.port, "nowhere"))


@pytest.mark.slow
@pytest.mark.proves("log-behind-pooler")
async def test_events_wait_for_a_server_that_goes_away_behind_its_pooler_and_enter_once(
    program: Program, tmp_path: Path
) -> None:
    async with ScriptedEngine() as engine:
        with PostgresServer() as server, PgBouncer(server, "server_login_retry = 1") as pooler:
            server.url("games")
            games = written_games(tmp_path, ["game-1", "game-2"], engine.endpoint)
            run = program.start(*QUICK, "--records", games, "--log", server.address(pooler.port, "games"))
            await engine.become(503)
            assert {(await asyncio.to_thread(next_document, run))["id"] for _ in range(2)} == {"game-1:1", "game-2:1"}
            server.kill()
            await engine.become(200)
            await asyncio.sleep(1.0)
            server.start()
            told = [await asyncio.to_thread(next_document, run) for _ in range(2)]
            assert sorted(each["id"] for each in told) == ["game-1:2", "game-2:2"]
            with server.connect("games") as connection:
                assert connection.execute("SELECT count(*) FROM health_events").fetchone() == (4,)
            run.terminate()
            assert await asyncio.to_thread(run.wait, 20) == 0
