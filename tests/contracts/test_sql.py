"""The SQL store and log keep their ports' promises, on SQLite and on a real PostgreSQL server alike."""

from collections.abc import AsyncIterator, Sequence

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.testing.contracts import HealthEventLogContract, RecordSettingsContract, RecordStoreContract
from healthprobe.testing.contracts.records import Edit


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
