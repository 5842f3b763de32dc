"""The SQLite store: no work while nothing changes, and every edit of any program is listed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords
from healthprobe.domain.record import RuntimeRecord
from healthprobe.ports import StoreError
from healthprobe.testing.contracts.samples import failed

GAME_7 = RuntimeRecord("game-7", "c0ffee", "http://game-7:8080")
GAME_8 = RuntimeRecord("game-8", "cafe", "http://game-8:8080")

COLUMNS = "runtime_records (game_id, current_container_id, engine_endpoint, status)"


def edit(path: Path, statement: str) -> None:
    """Runs a statement as another program would, for instance the sqlite3 shell."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.fixture
async def store(database: SqlDatabase) -> SqlRecords:
    store = SqlRecords(database)
    await store.put([GAME_7, GAME_8])
    return store


async def test_an_unchanged_table_gives_the_same_list_object(store: SqlRecords) -> None:
    listing = await store.list_by_status("running")
    assert listing == [GAME_7, GAME_8]
    assert await store.list_by_status("running") is listing
    assert await store.list_by_status("stopped") == []
    assert await store.list_by_status("running") is listing


async def test_writes_of_the_log_and_the_relay_do_not_change_the_listing(
    store: SqlRecords, database: SqlDatabase
) -> None:
    listing = await store.list_by_status("running")
    await SqlLog(database).append([failed("game-7", 1)])
    await SqlLog(database).save_cursor("stdout", 1)
    assert await store.list_by_status("running") is listing


@pytest.mark.parametrize(
    ("statement", "games"),
    [
        (
            f"INSERT INTO {COLUMNS} VALUES ('game-9', 'c', 'http://h:1', 'running')",
            ["game-7", "game-8", "game-9"],
        ),
        ("UPDATE runtime_records SET status = 'stopped' WHERE game_id = 'game-7'", ["game-8"]),
        ("UPDATE runtime_records SET game_id = 'game-1' WHERE game_id = 'game-8'", ["game-1", "game-7"]),
        ("DELETE FROM runtime_records WHERE game_id = 'game-7'", ["game-8"]),
        ("DELETE FROM runtime_records", []),
        (
            f"REPLACE INTO {COLUMNS} VALUES ('game-7', 'c', 'http://h:1', 'stopped')",
            ["game-8"],
        ),
    ],
)
async def test_an_edit_by_any_program_shows_at_the_next_listing(
    store: SqlRecords, path: Path, statement: str, games: list[str]
) -> None:
    await store.list_by_status("running")
    edit(path, statement)
    assert [record.game_id for record in await store.list_by_status("running")] == games


@pytest.mark.parametrize(("game_id", "container_id"), [("game\0-9", "c1"), ("game-9", "c\0")])
async def test_a_row_with_a_nul_character_is_left_out(store: SqlRecords, game_id: str, container_id: str) -> None:
    await store.put([RuntimeRecord(game_id, container_id, "http://h:1")])
    assert await store.list_by_status("running") == [GAME_7, GAME_8]
    assert store.left_out == {game_id}


async def test_a_row_without_a_game_id_is_left_out(store: SqlRecords, path: Path) -> None:
    edit(
        path,
        f"INSERT INTO {COLUMNS} VALUES ('', 'c', 'http://h:1', 'running')",
    )
    edit(
        path,
        f"INSERT INTO {COLUMNS} VALUES (x'ff00', 'c', 'http://h:1', 'running')",
    )
    assert await store.list_by_status("running") == [GAME_7, GAME_8]


async def test_numbers_in_a_row_hide_no_other_row(store: SqlRecords, path: Path) -> None:
    edit(path, f"INSERT INTO {COLUMNS} VALUES (9, 9, 9, 'running')")
    assert await store.list_by_status("running") == [RuntimeRecord("9", "9", "9"), GAME_7, GAME_8]


NOT_UTF_8 = "CAST(x'e9ff' AS TEXT)"


@pytest.mark.parametrize("column", ["game_id", "current_container_id", "engine_endpoint"])
@pytest.mark.parametrize("value", [NOT_UTF_8, "x'e9ff'", "x'0000'"])
async def test_a_row_that_is_not_utf_8_is_skipped_and_named(
    database: SqlDatabase, store: SqlRecords, path: Path, column: str, value: str
) -> None:
    skipped: list[tuple[int, str]] = []
    watched = SqlRecords(database, lambda count, why: skipped.append((count, why)))
    assert await watched.list_by_status("running") == [GAME_7, GAME_8]
    edit(path, f"UPDATE runtime_records SET {column} = {value} WHERE game_id = 'game-7'")
    assert await watched.list_by_status("running") == await watched.list_all() == [GAME_8]
    assert [count for count, _ in skipped] == [0, 1, 1]
    assert watched.left_out == {"" if column == "game_id" else "game-7"}
    assert skipped[1][1].startswith(f"{column} is not UTF-8{'' if column == 'game_id' else ' for game game-7'}: b'")
    await store.remove(["game-7"])
    edit(path, "DELETE FROM runtime_records WHERE game_id <> 'game-8'")
    await store.put([GAME_7])
    assert await watched.list_by_status("running") == [GAME_7, GAME_8]
    assert skipped[-1] == (0, "")
    assert watched.left_out == set()


async def test_text_that_is_not_utf_8_is_read_by_no_later_call(store: SqlRecords, path: Path) -> None:
    """A connection that has read one raw value is as it was."""
    edit(path, f"UPDATE runtime_records SET engine_endpoint = {NOT_UTF_8} WHERE game_id = 'game-7'")
    assert await store.list_by_status("running") == [GAME_8]
    edit(path, "UPDATE runtime_records SET engine_endpoint = 'http://ñ:1' WHERE game_id = 'game-7'")
    assert [record.engine_endpoint for record in await store.list_by_status("running")] == [
        "http://ñ:1",
        "http://game-8:8080",
    ]


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ("silenced_why", RuntimeRecord("game-7", "c0ffee", "http://game-7:8080", silenced_why="\ufffd\ufffd")),
        ("silenced_until", GAME_7),
        ("probe", RuntimeRecord("game-7", "c0ffee", "http://game-7:8080", probe='"not text"')),
    ],
)
async def test_a_note_a_silence_or_settings_that_are_not_utf_8_hide_no_game(
    store: SqlRecords, path: Path, column: str, found: RuntimeRecord
) -> None:
    edit(path, f"UPDATE runtime_records SET {column} = {NOT_UTF_8} WHERE game_id = 'game-7'")
    assert await store.list_by_status("running") == [found, GAME_8]


async def test_a_status_that_is_not_utf_8_is_no_status(store: SqlRecords, path: Path) -> None:
    edit(path, f"UPDATE runtime_records SET status = {NOT_UTF_8} WHERE game_id = 'game-7'")
    assert await store.list_by_status("running") == await store.list_all() == [GAME_8]


async def test_put_replaces_a_record_and_of_two_of_one_game_the_later_remains(store: SqlRecords) -> None:
    moved = RuntimeRecord("game-7", "c2", "http://game-7:9090")
    await store.put([GAME_7, moved])
    await store.put([])
    assert await store.list_all() == [moved, GAME_8]


async def test_remove_returns_how_many_there_were(store: SqlRecords) -> None:
    assert await store.remove(["game-7", "game-9", "game-7"]) == 1
    assert await store.remove([]) == 0
    assert await store.list_all() == [GAME_8]


async def test_all_records_are_listed_whatever_their_status(store: SqlRecords) -> None:
    stopped = RuntimeRecord("game-1", "", "", "stopped")
    await store.put([stopped])
    assert await store.list_all() == [stopped, GAME_7, GAME_8]


async def test_text_that_cannot_be_encoded_is_a_permanent_error(store: SqlRecords) -> None:
    with pytest.raises(StoreError, match=r"takes no text with lone surrogates") as refused:
        await store.put([RuntimeRecord("\ud83d", "c", "http://h:1"), RuntimeRecord("game-9", "c", "http://h:1")])
    assert refused.value.permanent
    assert await store.list_all() == [GAME_7, GAME_8]


async def test_a_listing_does_not_wait_for_another_program_s_write(store: SqlRecords, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM runtime_records")
        assert await store.list_by_status("running") == [GAME_7, GAME_8]
        other.commit()
    assert await store.list_by_status("running") == []
