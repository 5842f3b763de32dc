"""The SQL store and log keep their ports' promises, on SQLite and on a real PostgreSQL server alike."""

from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import Connection, text

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import LogError
from healthprobe.testing.contracts import (
    DocumentLogContract,
    HealthEventLogContract,
    RecordSettingsContract,
    RecordStoreContract,
)
from healthprobe.testing.contracts.documents import AlterDocument
from healthprobe.testing.contracts.log import Alter
from healthprobe.testing.contracts.records import Edit

ALTER = text(
    "UPDATE health_events SET details = CAST(:details AS JSON) WHERE game_id = :game_id AND sequence = :sequence"
)

ALTER_DOCUMENT = "UPDATE healthprobe_documents SET document = {} WHERE kind = :kind AND key = :key"
"""PostgreSQL checks that a text is UTF-8; SQLite does not."""


@pytest.fixture
async def database(url: str) -> AsyncIterator[SqlDatabase]:
    database = await SqlDatabase.open(url)
    yield database
    await database.aclose()


@pytest.fixture
async def other_program(database: SqlDatabase, url: str) -> AsyncIterator[SqlDatabase]:
    assert database.name
    other = await SqlDatabase.open(url)
    yield other
    await other.aclose()


@pytest.mark.proves("log-odd-game-ids")
class TestSqlLog(HealthEventLogContract):
    @pytest.fixture
    def log(self, database: SqlDatabase) -> SqlLog:
        return SqlLog(database)

    @pytest.fixture
    def rival(self, other_program: SqlDatabase) -> SqlLog:
        return SqlLog(other_program)

    @pytest.fixture(params=["{}", "[]", '{"prior_failure_count": 1e400}', "null"])
    def alter(self, other_program: SqlDatabase, request: pytest.FixtureRequest) -> Alter:
        async def alter(game_id: str, sequence: int) -> None:
            place = {"game_id": game_id, "sequence": sequence, "details": request.param}
            await other_program.write(lambda connection: connection.execute(ALTER, place), LogError)

        return alter


class TestSqlDocuments(DocumentLogContract):
    @pytest.fixture
    def log(self, database: SqlDatabase) -> SqlLog:
        return SqlLog(database)

    @pytest.fixture
    def rival(self, other_program: SqlDatabase) -> SqlLog:
        return SqlLog(other_program)

    @pytest.fixture
    def alter_document(self, other_program: SqlDatabase) -> AlterDocument:
        async def alter_document(kind: str, key: str, value: bytes) -> None:
            def alter(connection: Connection) -> None:
                if connection.dialect.name == "sqlite":
                    place = {"kind": kind, "key": key, "value": value}
                    connection.execute(text(ALTER_DOCUMENT.format("CAST(:value AS TEXT)")), place)
                else:
                    place = {"kind": kind, "key": key, "value": value.decode(errors="replace")}
                    connection.execute(text(ALTER_DOCUMENT.format(":value")), place)

            await other_program.write(alter, LogError)

        return alter_document


@pytest.mark.proves("store-odd-game-ids")
class TestSqlRecords(RecordStoreContract, RecordSettingsContract):
    @pytest.fixture
    def store(self, database: SqlDatabase) -> SqlRecords:
        return SqlRecords(database)

    @pytest.fixture
    def edit(self, other_program: SqlDatabase) -> Edit:
        async def edit(records: Sequence[RuntimeRecord]) -> None:
            store = SqlRecords(other_program)
            kept = {record.game_id for record in records}
            await store.remove(record.game_id for record in await store.list_all() if record.game_id not in kept)
            await store.put(records)

        return edit
