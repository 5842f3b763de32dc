"""Opening a database: created at its first use; refused in one line, and left as it is, if it cannot be used."""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.adapters.scarcity import as_an_ordinary_user

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords
from healthprobe.adapters.sql.schema import VERSION
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import ConfigurationError, LogError
from healthprobe.testing.contracts.samples import failed


def contents(folder: Path) -> dict[str, bytes]:
    """Returns every file in `folder` with its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def write(path: Path, text: str) -> None:
    path.write_text(text)


def as_after_a_crash(path: Path) -> Path:
    """Returns a copy of an open database, with its -wal file."""
    folder = path.parent / "crashed"
    folder.mkdir()
    for file in (path, path.with_name(f"{path.name}-wal")):
        assert file.stat().st_size > 0
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / path.name


def permit(path: Path, mode: int) -> None:
    path.chmod(mode)


async def made(path: Path) -> Path:
    """`path`, with a database of ours that was closed again."""
    database = await SqlDatabase.open(f"sqlite:{path}")
    await database.aclose()
    return path


async def refusal(path: Path, *, create: bool = True) -> str:
    """Returns the error of opening `path`: one line that names it. Every file in its folder must be unchanged."""
    before = contents(path.parent) if path.parent.is_dir() else {}
    with pytest.raises(ConfigurationError) as refused:
        await SqlDatabase.open(f"sqlite:{path}", create=create)
    assert (contents(path.parent) if path.parent.is_dir() else {}) == before
    message = str(refused.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path)).replace(str(path.parent), "FOLDER")


async def test_the_first_use_creates_the_database_and_the_next_reads_its_content(path: Path) -> None:
    record = RuntimeRecord("game-7", "c0ffee", "http://game-7:8080")
    database = await SqlDatabase.open(f"sqlite:{path}")
    await SqlRecords(database).put([record])
    await SqlLog(database).append([failed("game-7", 1)])
    await SqlLog(database).save_cursor("stdout", 1)
    await database.aclose()

    database = await SqlDatabase.open(f"sqlite:{path}")
    assert await SqlRecords(database).list_by_status("running") == [record]
    assert await SqlLog(database).last_events(["game-7"]) == {"game-7": failed("game-7", 1)}
    assert await SqlLog(database).load_cursor("stdout") == 1
    await database.aclose()


async def test_a_closed_database_leaves_one_file_with_all_in_it(path: Path) -> None:
    database = await SqlDatabase.open(f"sqlite:{path}")
    await SqlLog(database).append([failed("game-7", 1)])
    assert {"healthprobe.db", "healthprobe.db-wal", "healthprobe.db-shm"} == set(contents(path.parent))
    await database.aclose()
    await database.aclose()
    assert list(contents(path.parent)) == ["healthprobe.db"]


async def test_a_commit_is_on_the_disk_when_it_returns(path: Path) -> None:
    def settings(connection: Connection) -> list[object]:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]

    database = await SqlDatabase.open(f"sqlite:{path}")
    assert await database.read(settings, LogError) == ["wal", 2]
    assert await database.write(settings, LogError) == ["wal", 2]
    await database.aclose()


async def test_a_path_may_be_relative_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = await SqlDatabase.open("sqlite:engines 100%?.db")
    await database.aclose()
    assert list(contents(tmp_path)) == ["engines 100%?.db"]


async def test_an_empty_file_becomes_a_new_database(path: Path) -> None:
    write(path, "")
    database = await SqlDatabase.open(f"sqlite:{path}")
    assert await SqlRecords(database).list_all() == []
    await database.aclose()


async def test_programs_that_come_first_at_the_same_time_share_one_database(path: Path) -> None:
    databases = await asyncio.gather(*(SqlDatabase.open(f"sqlite:{path}") for _ in range(8)))
    for number, database in enumerate(databases):
        await SqlLog(database).append([failed(f"game-{number}", 1)])
    assert len(await SqlLog(databases[0]).read(0, 100)) == 8
    await asyncio.gather(*(database.aclose() for database in databases))


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite", "engines.db", "sqlite:///engines.db", "sqlite::memory:", "mysql://h/db"]
)
async def test_a_url_that_is_not_sqlite_and_a_path_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not a database: write sqlite:PATH, as in sqlite:healthprobe\.db"):
        await SqlDatabase.open(url)


async def test_a_file_that_is_not_a_database_is_refused(path: Path) -> None:
    write(path, "- game_id: game-7\n" * 500)
    assert await refusal(path) == ": it is not an SQLite database: choose another path"


@pytest.mark.proves("foreign-database")
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_database_of_another_program_is_refused(path: Path, journal_mode: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("INSERT INTO customers VALUES ('Ada')")
        connection.commit()
    expected = " is the database of another program: choose a path of its own for healthprobe"
    assert await refusal(path) == expected
    assert await refusal(path, create=False) == expected


async def test_a_database_that_another_program_has_open_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.commit()
        with pytest.raises(ConfigurationError, match=r"is the database of another program"):
            await SqlDatabase.open(f"sqlite:{path}")
        assert connection.execute("SELECT count(*) FROM customers").fetchone() == (0,)


async def test_the_wal_of_another_program_that_crashed_is_left_to_it(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("INSERT INTO customers VALUES ('Ada')")
        connection.commit()
        crashed = as_after_a_crash(path)
    assert await refusal(crashed) == " is the database of another program: choose a path of its own for healthprobe"


async def test_the_wal_of_a_newer_version_that_crashed_is_left_to_it(path: Path) -> None:
    await made(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE healthprobe_schema SET version = version + 1")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("INSERT INTO relay_cursors VALUES ('stdout', 1)")
        connection.commit()
        crashed = as_after_a_crash(path)
    assert f"has schema version {VERSION + 1}" in await refusal(crashed)


async def test_a_schema_of_a_newer_program_is_refused(path: Path) -> None:
    await made(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE healthprobe_schema SET version = version + 1")
        connection.commit()
    expected = (
        f" has schema version {VERSION + 1} and this healthprobe knows version {VERSION}: "
        "upgrade healthprobe, or choose another database"
    )
    assert await refusal(path) == expected
    assert await refusal(path, create=False) == expected


async def test_a_newer_schema_that_is_still_in_the_wal_is_refused(path: Path) -> None:
    await made(path)
    with closing(sqlite3.connect(path)) as newer_program:
        newer_program.execute("UPDATE healthprobe_schema SET version = version + 1")
        newer_program.commit()
        with pytest.raises(ConfigurationError, match=rf"has schema version {VERSION + 1} and this healthprobe knows"):
            await SqlDatabase.open(f"sqlite:{path}")


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    expected = ": there is no folder FOLDER: create it, or choose another path"
    assert await refusal(tmp_path / "missing" / "healthprobe.db") == expected


async def test_a_folder_and_a_fifo_are_refused(tmp_path: Path) -> None:
    assert await refusal(tmp_path) == " is not a file: choose another path"
    os.mkfifo(tmp_path / "fifo")
    assert await refusal(tmp_path / "fifo") == " is not a file: choose another path"


async def test_a_read_only_file_is_refused(public_folder: Path) -> None:
    path = await made(public_folder / "healthprobe.db")
    permit(path, 0o444)
    with as_an_ordinary_user():
        assert await refusal(path) == " cannot be read and written: change its permissions"


async def test_a_read_only_folder_is_refused(public_folder: Path) -> None:
    path = await made(public_folder / "healthprobe.db")
    permit(path, 0o666)
    permit(public_folder, 0o555)
    expected = ": the folder FOLDER cannot be written: change its permissions"
    with as_an_ordinary_user():
        assert await refusal(path) == expected
        assert await refusal(public_folder / "new.db") == expected


async def test_a_damaged_database_is_refused(path: Path) -> None:
    await made(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(3000))
    assert await refusal(path) == ": it is damaged: restore it from a backup, or move it away to begin afresh"


async def test_a_command_that_only_reads_creates_nothing(path: Path) -> None:
    expected = " holds nothing yet: 'healthprobe run' or 'healthprobe runtimes add' creates it"
    assert await refusal(path, create=False) == expected
    write(path, "")
    assert await refusal(path, create=False) == expected
    database = await SqlDatabase.open(f"sqlite:{await made(path)}", create=False)
    assert await SqlLog(database).read(0, 10) == []
    await database.aclose()
