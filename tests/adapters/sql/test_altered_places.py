"""Positions, cursors and dead letters that another program altered: none of them stops what is about other games."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog, SqlRecords
from healthprobe.domain.event import AlteredEvent, HealthEvent
from healthprobe.ports import ConfigurationError, ContentError, DeadLetter
from healthprobe.testing.contracts.samples import failed, history, recovered
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.testing.stage import game
from healthprobe.worker.relay import Relay

PARKED_AT = datetime(2026, 11, 23, 17, tzinfo=UTC)
ODD_NUMBERS = ["'x'", "x'ff'", "9223372036854775807", "2.5", "-7", "1e300"]
"""What SQLite takes in a column of numbers."""


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqlDatabase]:
    database = await SqlDatabase.open(f"sqlite:{path}")
    yield database
    await database.aclose()


@pytest.fixture
def log(database: SqlDatabase) -> SqlLog:
    return SqlLog(database)


def alter(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount > 0


async def delivered(log: SqlLog, name: str) -> list[HealthEvent]:
    publisher = InMemoryPublisher()
    await Relay(log=log, publisher=publisher, name=name).drain(within=5.0)
    return publisher.delivered


@pytest.mark.parametrize("position", ODD_NUMBERS)
async def test_an_event_whose_position_was_altered_lets_others_enter_and_be_delivered(
    log: SqlLog, path: Path, position: str
) -> None:
    await log.append([failed("game-7", 1), failed("game-8", 1), failed("game-9", 1)])
    alter(path, f"UPDATE health_events SET position = {position} WHERE game_id = 'game-8'")
    new = [recovered("game-7", 2), failed("game-10", 1)]
    assert await log.append(new) == new
    assert type(await log.end()) is int
    due = [failed("game-7", 1), failed("game-9", 1), *new]
    assert [event for event in await delivered(log, "bus") if event.game_id != "game-8"] == due
    assert await delivered(log, "bus") == []


@pytest.mark.parametrize("cursor", ODD_NUMBERS)
async def test_a_cursor_that_was_altered_is_named_and_sends_all_again_rather_than_nothing(
    log: SqlLog, path: Path, cursor: str
) -> None:
    events = history("game-7", 4)
    await log.append(events)
    await log.save_cursor("bus", 2)
    await log.save_cursor("file", 3)
    alter(path, f"UPDATE relay_cursors SET position = {cursor} WHERE name = 'bus'")
    with pytest.raises(ContentError, match="the cursor of bus in the log was altered"):
        await log.load_cursor("bus")
    assert await log.all_cursors() == {"bus": 0, "file": 3}, "nothing is pruned that may have to be sent again"
    assert await delivered(log, "file") == events[3:]
    assert await delivered(log, "bus") == events
    assert await log.all_cursors() == {"bus": 4, "file": 4}


@pytest.mark.parametrize("cursor", ODD_NUMBERS[:3])
async def test_a_cursor_that_is_altered_under_a_running_relay_is_replaced_by_its_next_one(
    log: SqlLog, path: Path, cursor: str
) -> None:
    await log.save_cursor("bus", 2)
    alter(path, f"UPDATE relay_cursors SET position = {cursor} WHERE name = 'bus'")
    await log.save_cursor("bus", 3)
    assert await log.load_cursor("bus") == 3


async def test_a_cursor_whose_name_was_altered_is_left_out_of_the_list(log: SqlLog, path: Path) -> None:
    await log.save_cursor("bus", 2)
    await log.save_cursor("file", 3)
    alter(path, "UPDATE relay_cursors SET name = x'ff' WHERE name = 'bus'")
    assert await log.all_cursors() == {"file": 3}


@pytest.fixture
async def letters(log: SqlLog) -> list[DeadLetter]:
    """Three letters of the bus, in the log."""
    letters = [DeadLetter("bus", failed(f"game-{number}", 1), "too large", PARKED_AT) for number in (7, 8, 9)]
    for letter in letters:
        await log.park(letter)
    return letters


@pytest.mark.parametrize("change", ["sequence = 'x'", "event_type = 'x'", "occurred_at = 'x'", "publisher = x'ff'"])
async def test_a_dead_letter_whose_event_was_altered_is_not_sent_and_the_others_are_sent_again(
    log: SqlLog, path: Path, letters: list[DeadLetter], change: str
) -> None:
    alter(path, f"UPDATE dead_letters SET {change} WHERE game_id = 'game-8'")
    found = await log.dead_letters(10)
    assert [letter for letter in found if not isinstance(letter.event, AlteredEvent)] == [letters[0], letters[2]]
    await log.request_replay()
    assert await delivered(log, "bus") == [letters[0].event, letters[2].event]


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("parked_at = 'x'", {"parked_at": failed("game-8", 1).occurred_at}),
        ("parked_at = x'ff'", {"parked_at": failed("game-8", 1).occurred_at}),
        ("reason = 7", {"reason": "7"}),
        ("due = 7", {"due": True}),
        ("due = 'x'", {"due": True}),
    ],
)
async def test_a_dead_letter_of_which_something_else_was_altered_can_still_be_sent_again(
    log: SqlLog, path: Path, letters: list[DeadLetter], change: str, read: dict[str, Any]
) -> None:
    alter(path, f"UPDATE dead_letters SET {change} WHERE game_id = 'game-8'")
    assert await log.dead_letters(10) == [letters[0], replace(letters[1], **read), letters[2]]
    await log.request_replay()
    assert await delivered(log, "bus") == [letter.event for letter in letters]


@pytest.mark.parametrize("number", ODD_NUMBERS)
async def test_a_dead_letter_whose_number_was_altered_lets_others_be_parked(
    log: SqlLog, path: Path, letters: list[DeadLetter], number: str
) -> None:
    alter(path, f"UPDATE dead_letters SET number = {number} WHERE game_id = 'game-8'")
    new = [DeadLetter("bus", failed(f"game-{number}", 1), "too large", PARKED_AT) for number in (10, 11)]
    for letter in new:
        await log.park(letter)
    others = [letter for letter in await log.dead_letters(10) if letter != letters[1]]
    assert others == [letters[0], letters[2], *new]


@pytest.mark.parametrize("value", ["x'ff'", "CAST(x'e9ff' AS TEXT)", "''", "7"])
@pytest.mark.parametrize("column", ["kind", "key", "document"])
async def test_a_document_of_which_anything_was_altered_hides_no_other(
    log: SqlLog, path: Path, column: str, value: str
) -> None:
    await log.put_documents("silence", {"1": "{}", "2": "{}", "3": "{}"})
    alter(path, f"UPDATE healthprobe_documents SET {column} = {value} WHERE key = '2'")
    found = await log.documents("silence")
    assert {key: text for key, text in found.items() if key in {"1", "3"}} == {"1": "{}", "3": "{}"}
    assert len(found) == (2 if column == "kind" else 3), "one of another kind cannot be told from those"
    await log.put_documents("silence", {"1": None, "2": "{}", "4": "{}"})
    found = await log.documents("silence")
    assert {key: text for key, text in found.items() if key in {"2", "3", "4"}} == dict.fromkeys("234", "{}")


async def test_a_document_whose_altered_key_reads_like_another_s_does_not_take_its_place(
    log: SqlLog, path: Path
) -> None:
    await log.put_documents("silence", {"1": "{}", "2": "[]"})
    alter(path, "UPDATE healthprobe_documents SET key = x'31' WHERE key = '2'")
    assert await log.documents("silence") == {"1": "{}"}


@pytest.mark.parametrize("revision", ["'x'", "9223372036854775807", "1e300"])
async def test_records_are_listed_afresh_where_the_revision_of_their_table_was_altered(
    database: SqlDatabase, path: Path, revision: str
) -> None:
    records = SqlRecords(database)
    await records.put([game("game-7")])
    alter(path, f"UPDATE runtime_records_revision SET revision = {revision}")
    assert await records.list_by_status("running") == [game("game-7")]
    for number in (8, 9):
        await records.put([game(f"game-{number}")])
        assert game(f"game-{number}") in await records.list_by_status("running")


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("version", [0, -1])
async def test_a_schema_version_that_no_program_wrote_is_refused_in_words(
    path: Path, version: int, *, create: bool
) -> None:
    await (await SqlDatabase.open(f"sqlite:{path}")).aclose()
    alter(path, f"UPDATE healthprobe_schema SET version = {version}")
    with pytest.raises(ConfigurationError, match=f"has schema version {version}, which was altered"):
        await SqlDatabase.open(f"sqlite:{path}", create=create)
