"""Opening PostgreSQL: errors in one line without the password, and which of them are worth a retry."""

import asyncio
import socket
from collections.abc import Callable

import pytest
from sqlalchemy import Connection
from tests.servers.postgres import PostgresServer

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlQuery
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, LogError
from healthprobe.testing.contracts.samples import failed

SECRET = "s3cr/t@ :%"
ENCODED = "s3cr%2Ft%40%20%3A%25"


@pytest.fixture
def name(postgres_url: str) -> str:
    return postgres_url.rpartition("/")[2]


async def refusal(url: str) -> str:
    """Returns the error of opening `url`: one line without the password."""
    with pytest.raises(ConfigurationError) as refused:
        await SqlDatabase.open(url)
    message = str(refused.value)
    assert "\n" not in message
    assert "s3cr" not in message
    return message


async def test_eight_programs_that_come_first_at_the_same_time_share_one_database(postgres_url: str) -> None:
    databases = await asyncio.gather(*(SqlDatabase.open(postgres_url) for _ in range(8)))
    for number, database in enumerate(databases):
        await SqlLog(database).append([failed(f"game-{number}", 1)])
    assert len(await SqlLog(databases[0]).read(0, 100)) == 8
    await asyncio.gather(*(database.aclose() for database in databases))


async def test_a_role_with_an_odd_password_connects_and_a_missing_permission_is_named(
    postgres_server: PostgresServer, name: str
) -> None:
    with postgres_server.connect(name) as administrator:
        administrator.execute(f"CREATE ROLE \"odd role {name}\" LOGIN PASSWORD '{SECRET}'")
        url = f"postgresql://odd%20role%20{name}:{ENCODED}@127.0.0.1:{postgres_server.port}/{name}"
        message = await refusal(url)
        assert "our role may not do this: grant it what the message names" in message
        assert "permission denied for schema public" in message
        administrator.execute(f'GRANT CREATE ON SCHEMA public TO "odd role {name}"')
        database = await SqlDatabase.open(url)
        assert database.name == f"postgresql://127.0.0.1:{postgres_server.port}/{name}"
        await database.aclose()
        administrator.execute(f'DROP OWNED BY "odd role {name}"')
        administrator.execute(f'DROP ROLE "odd role {name}"')


async def test_an_unknown_database_role_or_schema_is_reported(postgres_server: PostgresServer, name: str) -> None:
    place = f"127.0.0.1:{postgres_server.port}"
    assert 'database "nowhere" does not exist' in await refusal(f"postgresql://postgres:{ENCODED}@{place}/nowhere")
    assert 'role "nobody" does not exist' in await refusal(f"postgresql://nobody:{ENCODED}@{place}/{name}")
    options = "?options=-csearch_path%3Dnot_there"
    assert "CREATE SCHEMA makes it" in await refusal(f"postgresql://postgres:{ENCODED}@{place}/{name}{options}")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{ENCODED}@127.0.0.1:port/games",
        f"postgresql://u:{ENCODED}@127.0.0.1:1/games?no_such_option=1",
    ],
)
async def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    assert await refusal(url)


async def test_a_missing_server_is_an_error_worth_a_retry() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(LogError, match=r"it is away") as raised:
            await SqlDatabase.open(f"postgresql://u:{ENCODED}@127.0.0.1:{taken.getsockname()[1]}/games")
    assert not raised.value.permanent
    assert "s3cr" not in str(raised.value)


async def test_too_many_connections_are_an_error_worth_a_retry(postgres_server: PostgresServer, name: str) -> None:
    with postgres_server.connect("postgres") as administrator:
        administrator.execute("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0")
        with pytest.raises(LogError, match=r"too many connections for role") as raised:
            await SqlDatabase.open(f"postgresql://crowd@127.0.0.1:{postgres_server.port}/{name}")
        administrator.execute("DROP ROLE crowd")
    assert not raised.value.permanent


async def test_commits_are_on_the_disk_and_reads_see_commits_with_any_server_settings(
    postgres_server: PostgresServer, postgres_url: str, name: str
) -> None:
    def settings(connection: Connection) -> list[object]:
        names = ("synchronous_commit", "transaction_isolation")
        return [connection.exec_driver_sql(f"SHOW {setting}").scalar() for setting in names]

    with postgres_server.connect("postgres") as administrator:
        administrator.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        administrator.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    database = await SqlDatabase.open(postgres_url)
    assert await database.write(settings, LogError) == ["on", "read committed"]
    await database.aclose()


async def test_the_tables_may_be_in_a_schema_of_their_own(
    postgres_server: PostgresServer, postgres_url: str, name: str
) -> None:
    with postgres_server.connect(name) as administrator:
        administrator.execute("CREATE TABLE runtime_records (mine INTEGER)")
        administrator.execute("CREATE SCHEMA hp")
        database = await SqlDatabase.open(f"{postgres_url}?options=-csearch_path%3Dhp")
        await SqlLog(database).append([failed("game-7", 1)])
        await database.aclose()
        assert administrator.execute("SELECT game_id FROM hp.health_events").fetchall() == [("game-7",)]


async def test_other_tables_are_ignored_and_one_with_a_name_of_ours_is_left_as_it_is(
    postgres_server: PostgresServer, postgres_url: str, name: str
) -> None:
    tables = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    with postgres_server.connect(name) as administrator:
        administrator.execute("CREATE TABLE customers (name TEXT)")
        administrator.execute("CREATE TABLE health_events (mine INTEGER)")
        assert "has a table health_events that is not healthprobe's" in await refusal(postgres_url)
        assert set(administrator.execute(tables).fetchall()) == {("customers",), ("health_events",)}
        administrator.execute("DROP TABLE health_events")
        await (await SqlDatabase.open(postgres_url)).aclose()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
async def test_a_database_that_does_not_hold_every_character_is_refused_and_left_empty(
    postgres_server: PostgresServer, in_encoding: Callable[[str], str], encoding: str
) -> None:
    url = in_encoding(encoding)
    message = await refusal(url)
    assert (
        f"has the encoding {encoding}, which does not hold every character: create one with CREATE DATABASE" in message
    )
    assert "ENCODING 'UTF8' TEMPLATE template0" in message
    with pytest.raises(ConfigurationError, match=f"has the encoding {encoding}"):
        await SqlDatabase.open(url, create=False)
    with postgres_server.connect(url.rpartition("/")[2]) as administrator:
        tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        assert administrator.execute(tables).fetchone() == (0,)


@pytest.mark.parametrize("encoding", ["latin1", "sql_ascii", "euc_jp"])
async def test_no_setting_of_the_client_s_encoding_keeps_a_character_out(
    postgres_server: PostgresServer, postgres_url: str, name: str, encoding: str
) -> None:
    with postgres_server.connect("postgres") as administrator:
        administrator.execute(f"ALTER DATABASE {name} SET client_encoding = '{encoding}'")
    for setting in ("", f"?client_encoding={encoding}", f"?options=-cclient_encoding%3D{encoding}"):
        database = await SqlDatabase.open(postgres_url + setting)
        log = SqlLog(database)
        event = failed(f"漢字 ñ 🎮 {setting}", 1)
        assert await log.append([event]) == [event]
        assert await log.last_events([event.game_id]) == {event.game_id: event}
        await database.aclose()


@pytest.mark.parametrize(
    ("encoding", "game_id"), [("LATIN1", "ñandú"), ("SQL_ASCII", "漢字"), ("EUC_JP", "漢字"), ("WIN1251", "игра")]
)
async def test_games_are_read_from_a_database_in_any_encoding(
    in_encoding: Callable[[str], str], encoding: str, game_id: str
) -> None:
    query = f"SELECT '{game_id}'::text AS game_id, 'c' AS current_container_id, 'http://h:1' AS engine_endpoint"
    store = await SqlQuery.open(in_encoding(encoding), query, lambda _count, _why: None)
    assert await store.list_by_status("running") == [RuntimeRecord(game_id, "c", "http://h:1")]
    await store.aclose()
