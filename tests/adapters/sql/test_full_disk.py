"""A full disk: an error in one line at the start; during a run nothing is lost, and appends continue later."""

from pathlib import Path

import pytest
from tests.adapters.scarcity import filled, no_file_grows_beyond

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.ports import ConfigurationError, LogError
from healthprobe.testing.contracts.samples import failed, recovered

BATCH = [failed(f"game-{number}", 1, last_error="x" * 900) for number in range(300)]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_database_is_not_made_on_a_full_disk(small_disk: Path) -> None:
    with filled(small_disk):
        with pytest.raises(ConfigurationError, match=r"healthprobe\.db: its disk is full: free some space\Z"):
            await SqlDatabase.open(f"sqlite:{small_disk}/healthprobe.db")
        assert names_in(small_disk) == ["ballast"]


async def test_a_database_is_not_opened_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "healthprobe.db"
    await (await SqlDatabase.open(f"sqlite:{path}")).aclose()
    before = path.read_bytes()
    with filled(small_disk):
        with pytest.raises(ConfigurationError, match=r"its disk is full: free some space\Z"):
            await SqlDatabase.open(f"sqlite:{path}")
        assert names_in(small_disk) == ["ballast", "healthprobe.db"]
    assert path.read_bytes() == before


async def test_a_full_disk_refuses_appends_until_there_is_space_again(small_disk: Path) -> None:
    database = await SqlDatabase.open(f"sqlite:{small_disk}/healthprobe.db")
    log = SqlLog(database)
    await log.append([failed("first", 1)])
    with filled(small_disk):
        for _ in range(3):
            with pytest.raises(LogError, match=r"its disk is full: free some space\Z") as refused:
                await log.append(BATCH)
            assert not refused.value.permanent
        assert [entry.event for entry in await log.read(0, 1000)] == [failed("first", 1)]
    assert await log.append(BATCH) == BATCH
    assert len(await log.read(0, 1000)) == 1 + len(BATCH)
    await database.aclose()


async def test_a_file_that_may_not_grow_leaves_no_half_made_database(path: Path) -> None:
    for size in (0, 4096, 20_000):
        with no_file_grows_beyond(size), pytest.raises(ConfigurationError, match=r"its disk refuses to read or write"):
            await SqlDatabase.open(f"sqlite:{path}")
        assert names_in(path.parent) == []


async def test_a_file_size_limit_refuses_appends_until_it_is_raised(database: SqlDatabase, path: Path) -> None:
    log = SqlLog(database)
    await log.append([failed("first", 1)])
    with no_file_grows_beyond(path.with_name("healthprobe.db-wal").stat().st_size):
        for _ in range(3):
            with pytest.raises(LogError, match=r"look for a full, failing or unmounted disk") as refused:
                await log.append(BATCH)
            assert not refused.value.permanent
    assert await log.append([*BATCH, recovered("first", 2)]) == [*BATCH, recovered("first", 2)]
    assert len(await log.read(0, 1000)) == 2 + len(BATCH)
