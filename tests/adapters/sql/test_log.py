"""The SQLite log under faults: locks, cancellation, altered rows, a file that disappears."""

import asyncio
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog, sqlite
from healthprobe.ports import ContentError, LogError
from healthprobe.testing.contracts.samples import failed, history, recovered


@pytest.fixture
async def log(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqlLog]:
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT", 0.05)
    database = await SqlDatabase.open(f"sqlite:{path}")
    yield SqlLog(database)
    await database.aclose()


@pytest.fixture
async def other_program(log: SqlLog, path: Path) -> AsyncIterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def test_a_lock_that_is_not_released_is_an_error_worth_a_retry(
    log: SqlLog, other_program: sqlite3.Connection
) -> None:
    other_program.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogError, match=r"it is locked by another program: let that one finish\Z") as refused:
        await log.append([failed("game-7", 1)])
    assert not refused.value.permanent
    assert await log.last_events(["game-7"]) == {}
    other_program.execute("ROLLBACK")
    assert await log.append([failed("game-7", 1)]) == [failed("game-7", 1)]


async def test_a_batch_is_appended_whole_or_not_at_all(log: SqlLog, other_program: sqlite3.Connection) -> None:
    other_program.execute(
        "CREATE TRIGGER fault AFTER INSERT ON health_events WHEN NEW.game_id = 'game-2500' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(LogError):
        await log.append([failed(f"game-{number}", 1) for number in range(3000)])
    assert await log.read(0, 10) == []


async def test_a_cancelled_append_leaves_the_log_complete(log: SqlLog, other_program: sqlite3.Connection) -> None:
    other_program.execute("BEGIN IMMEDIATE")
    appending = asyncio.create_task(log.append(history("game-7", 3)))
    await asyncio.sleep(0)
    appending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await appending
    other_program.execute("ROLLBACK")
    assert await log.append(history("game-7", 3)) == history("game-7", 3)
    assert [entry.event for entry in await log.read(0, 10)] == history("game-7", 3)


async def test_a_reader_never_waits_for_a_writer(log: SqlLog, other_program: sqlite3.Connection) -> None:
    await log.append([failed("game-7", 1)])
    other_program.execute("BEGIN EXCLUSIVE")
    assert [entry.event for entry in await log.read(0, 10)] == [failed("game-7", 1)]
    assert await log.last_events(["game-7"]) == {"game-7": failed("game-7", 1)}


async def test_what_the_database_can_never_hold_is_an_error_of_its_content(url: str) -> None:
    database = await SqlDatabase.open(url)
    log = SqlLog(database)
    with pytest.raises(ContentError, match=r"takes no text with lone surrogates, as in 'half \\ud83d") as refused:
        await log.append([failed("half \ud83d", 1)])
    assert refused.value.permanent
    with pytest.raises(ContentError, match=r"takes no text with lone surrogates"):
        await log.last_events(["half \ud83d"])
    await log.append([failed("game-7", 1)])
    with pytest.raises(ContentError):
        await log.append([failed("game-8", 1), failed("game-9", 1, last_error="\udfff")])
    assert [entry.event for entry in await log.read(0, 10)] == [failed("game-7", 1)]
    await database.aclose()


@pytest.mark.parametrize("game_id", ["NUL \0", "x" * 2**20])
async def test_what_only_postgresql_can_never_hold_is_an_error_of_its_content(postgres_url: str, game_id: str) -> None:
    database = await SqlDatabase.open(postgres_url)
    noise = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(len(game_id)))  # is not compressed away
    event = failed(game_id if "\0" in game_id else noise, 1)
    with pytest.raises(ContentError):
        await SqlLog(database).append([event, failed("game-8", 1)])
    assert await SqlLog(database).append([failed("game-8", 1)]) == [failed("game-8", 1)]
    await database.aclose()


def move(path: Path, to: Path) -> None:
    path.rename(to)


async def test_a_removed_file_refuses_appends(log: SqlLog, path: Path) -> None:
    await log.append([failed("game-7", 1)])
    elsewhere = path.with_name("elsewhere.db")
    move(path, elsewhere)
    for _ in range(2):
        with pytest.raises(LogError, match=r"was removed or replaced while in use: restart healthprobe\Z"):
            await log.append([recovered("game-7", 2)])
    move(elsewhere, path)
    assert await log.append([recovered("game-7", 2)]) == [recovered("game-7", 2)]


async def test_writes_wait_for_each_other_and_reads_do_not(log: SqlLog) -> None:
    batches = [[failed(f"game-{batch}-{number}", 1) for number in range(200)] for batch in range(10)]
    appending = [asyncio.create_task(log.append(batch)) for batch in batches]
    sizes = {len(await log.read(0, 10_000)) % 200 for _ in range(20)}
    assert await asyncio.gather(*appending) == batches
    assert sizes == {0}
    assert len(await log.read(0, 10_000)) == 2000


LEFT_OPEN = """
import asyncio, sys
from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.testing.contracts.samples import failed

async def main():
    log = SqlLog(await SqlDatabase.open(f"sqlite:{sys.argv[1]}"))
    await log.append([failed("game-7", 1)])

asyncio.run(main())
"""


async def test_a_process_ends_even_if_it_does_not_close_the_database(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-W", "error", "-c", LEFT_OPEN, path, stderr=PIPE)
    _, complaints = await process.communicate()
    assert (process.returncode, complaints) == (0, b"")
    database = await SqlDatabase.open(f"sqlite:{path}")
    assert await SqlLog(database).last_events(["game-7"]) == {"game-7": failed("game-7", 1)}
    await database.aclose()
