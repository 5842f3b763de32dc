"""Migrations: opening a database of schema version 1 migrates it once, completely, with its content."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import Connection, inspect

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords, migrations, schema
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, DeadLetter, LogError
from healthprobe.testing.contracts.samples import FIRST_SECOND, failed, history

TABLES_OF_VERSION_1 = """
CREATE TABLE healthprobe_schema (
    version INTEGER NOT NULL,
    PRIMARY KEY (version)
);
CREATE TABLE runtime_records (
    game_id VARCHAR NOT NULL,
    current_container_id VARCHAR NOT NULL,
    engine_endpoint VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    PRIMARY KEY (game_id)
);
CREATE TABLE runtime_records_revision (
    revision BIGINT NOT NULL,
    PRIMARY KEY (revision)
);
CREATE TABLE health_events (
    game_id VARCHAR NOT NULL,
    sequence INTEGER NOT NULL,
    id VARCHAR NOT NULL,
    container_id VARCHAR NOT NULL,
    event_type VARCHAR NOT NULL,
    occurred_at VARCHAR(27) NOT NULL,
    details JSON NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (game_id, sequence),
    UNIQUE (position)
);
CREATE TABLE relay_cursors (
    name VARCHAR NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (name)
);
"""

TRIGGERS_OF_VERSION_1 = """
CREATE TRIGGER runtime_records_insert AFTER insert ON runtime_records
BEGIN UPDATE runtime_records_revision SET revision = revision + 1; END;
CREATE TRIGGER runtime_records_update AFTER update ON runtime_records
BEGIN UPDATE runtime_records_revision SET revision = revision + 1; END;
CREATE TRIGGER runtime_records_delete AFTER delete ON runtime_records
BEGIN UPDATE runtime_records_revision SET revision = revision + 1; END;
"""

ROWS = """
INSERT INTO healthprobe_schema VALUES (1);
INSERT INTO runtime_records_revision VALUES (41);
INSERT INTO runtime_records VALUES ('game-7', 'c0ffee', 'http://engine-7:8080', 'running');
INSERT INTO health_events VALUES
    ('game-7', 1, 'game-7:1', 'c0ffee', 'probe_failed', '2026-11-23T17:01:00.123457Z',
     '{"consecutive_failures":3,"last_status":503,"last_error":"unexpected status 503"}', 1),
    ('game-7', 2, 'game-7:2', 'c0ffee', 'probe_recovered', '2026-11-23T17:02:00.123458Z',
     '{"prior_failure_count":5}', 2);
INSERT INTO relay_cursors VALUES ('stdout', 1);
"""
RECORD = RuntimeRecord("game-7", "c0ffee", "http://engine-7:8080", "running")
LETTER = DeadLetter("webhook", failed("game-7", 1), "answered 400", FIRST_SECOND)

COUNTS_ITSELF = """
WITH RECURSIVE long (step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM long WHERE step < 200000)
UPDATE relay_cursors SET position = position + (SELECT count(*) FROM long WHERE step = 1)
"""
"""It increments a number, and takes so long that a program that opens the database at once meets it."""

FAILS = "INSERT INTO nowhere VALUES (1)"


@pytest.fixture(params=["sqlite", "postgresql"])
def version_1(request: pytest.FixtureRequest, path: Path) -> str:
    """Returns the URL of a database that an older healthprobe created and used."""
    if request.param == "sqlite":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(TABLES_OF_VERSION_1 + TRIGGERS_OF_VERSION_1 + ROWS)
        return f"sqlite:{path}"
    url = str(request.getfixturevalue("postgres_url"))
    with psycopg.connect(url, autocommit=True) as connection_to_server:
        connection_to_server.execute((TABLES_OF_VERSION_1 + ROWS).encode())
    return url


@pytest.fixture
async def fresh(version_1: str, request: pytest.FixtureRequest, path: Path) -> str:
    """Returns the URL of a database of the same kind that this healthprobe created."""
    if version_1.startswith("sqlite"):
        url = f"sqlite:{path.with_name('fresh.db')}"
    else:
        server, name = request.getfixturevalue("postgres_server"), version_1.rpartition("/")[2]
        url = str(server.url(f"{name}_fresh"))
    await (await SqlDatabase.open(url)).aclose()
    return url


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the step from version 1 increment the relay's cursor."""
    monkeypatch.setattr(migrations, "STEPS", {**migrations.STEPS, 1: (*migrations.STEPS[1], COUNTS_ITSELF)})


@asynccontextmanager
async def opened(url: str, *, create: bool = True) -> AsyncIterator[SqlDatabase]:
    database = await SqlDatabase.open(url, create=create)
    try:
        yield database
    finally:
        await database.aclose()


async def looked_at(url: str, look: Callable[[Connection], Any]) -> Any:
    """Returns what `look` finds in the database, opened without a check of its version."""
    database = await SqlDatabase.open_foreign(url)
    try:
        return await database.read(look, LogError)
    finally:
        await database.aclose()


def rows_in(connection: Connection) -> Mapping[str, list[tuple[Any, ...]]]:
    """Returns every row of every table."""
    tables = inspect(connection).get_table_names()
    return {
        table: sorted((tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")), key=repr)
        for table in tables
    }


def shape_of(connection: Connection) -> Mapping[str, object]:
    """Returns columns with types, nullability and defaults, keys, constraints, indexes and triggers."""
    inspector = inspect(connection)
    shape: dict[str, object] = {
        table: {
            "columns": [{**column, "type": str(column["type"])} for column in inspector.get_columns(table)],
            "primary key": inspector.get_pk_constraint(table),
            "unique": inspector.get_unique_constraints(table),
            "indexes": inspector.get_indexes(table),
        }
        for table in inspector.get_table_names()
    }
    if connection.dialect.name == "sqlite":
        triggers = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name"
        shape["triggers"] = [(name, table, sql.split()) for name, table, sql in connection.exec_driver_sql(triggers)]
    return shape


@pytest.mark.parametrize("create", [True, False])
async def test_opening_an_older_database_migrates_all_of_its_content(version_1: str, *, create: bool) -> None:
    before = await looked_at(version_1, rows_in)
    async with opened(version_1, create=create):
        after = await looked_at(version_1, rows_in)
    assert len(before) == 5
    assert all(before.values())
    records = [(*row, None, None, None, None) for row in before["runtime_records"]]
    events = [(*row, None) for row in before["health_events"]]
    news = {
        "healthprobe_schema": [(schema.VERSION,)],
        "dead_letters": [],
        "healthprobe_documents": [],
        "runtime_records": records,
        "health_events": events,
    }
    [(identity,)] = after.pop("log_identity")
    assert str(UUID(identity)) == identity
    assert after == {**before, **news}


async def test_a_migrated_log_continues_after_its_last_event(version_1: str) -> None:
    async with opened(version_1) as database:
        log, records = SqlLog(database), SqlRecords(database)
        assert [entry.event for entry in await log.read(0, 10)] == history("game-7", 2)
        assert await log.load_cursor("stdout") == 1
        assert await records.list_by_status("running") == [RECORD]
        assert await log.append([failed("game-7", 3)]) == [failed("game-7", 3)]
        await records.put([RuntimeRecord("game-8", "c0ffee", "http://engine-8:8080", "running")])
        assert len(await records.list_by_status("running")) == 2
        await log.park(LETTER)
        assert await log.request_replay() == 1
        assert [letter.event for letter in await log.dead_letters(10, due_at="webhook")] == [LETTER.event]
        await log.release(LETTER)
        assert await log.dead_letters(10) == []
        await log.put_documents("silence", {"1": "{}"})
        assert await log.documents("silence") == {"1": "{}"}


async def test_a_migrated_schema_is_the_same_as_a_fresh_one(version_1: str, fresh: str) -> None:
    older = await looked_at(version_1, shape_of)
    async with opened(version_1):
        pass
    migrated = await looked_at(version_1, shape_of)
    assert migrated == await looked_at(fresh, shape_of)
    assert migrated.keys() - older.keys() == {"dead_letters", "healthprobe_documents", "log_identity"}


@pytest.mark.usefixtures("counted")
async def test_a_database_is_migrated_once(version_1: str) -> None:
    for create in (True, True, False):
        async with opened(version_1, create=create) as database:
            assert await SqlLog(database).load_cursor("stdout") == 2


@pytest.mark.usefixtures("counted")
async def test_eight_programs_that_open_an_older_database_together_migrate_it_once(version_1: str) -> None:
    databases = await asyncio.gather(*(SqlDatabase.open(version_1, create=number % 2 == 0) for number in range(8)))
    for number, database in enumerate(databases):
        log = SqlLog(database)
        assert await log.load_cursor("stdout") == 2
        await log.append([failed(f"game-of-{number}", 1)])
    assert await SqlLog(databases[0]).end() == 10
    await asyncio.gather(*(database.aclose() for database in databases))
    assert (await looked_at(version_1, rows_in))["healthprobe_schema"] == [(schema.VERSION,)]


@pytest.mark.parametrize("create", [True, False])
async def test_a_failed_migration_leaves_the_older_version_and_is_an_error(
    version_1: str, monkeypatch: pytest.MonkeyPatch, *, create: bool
) -> None:
    rows, shape = await looked_at(version_1, rows_in), await looked_at(version_1, shape_of)
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "STEPS", {1: (migrations.STEPS[1][0], COUNTS_ITSELF, FAILS)})
        with pytest.raises(ConfigurationError, match=r"nowhere") as raised:
            await SqlDatabase.open(version_1, create=create)
    assert str(raised.value).startswith(version_1.removeprefix("sqlite:").replace("postgres@", ""))
    assert "\n" not in str(raised.value)
    assert await looked_at(version_1, rows_in) == rows
    assert await looked_at(version_1, shape_of) == shape
    async with opened(version_1, create=create) as database:
        assert await SqlLog(database).dead_letters(10) == []
