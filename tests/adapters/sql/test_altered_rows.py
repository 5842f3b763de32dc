"""Rows that another program altered, on SQLite, which enforces no types: each is one event or dead letter less."""

import random
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.domain.event import AlteredEvent, EventType, HealthEvent
from healthprobe.ports import ContentError, DeadLetter
from healthprobe.testing.contracts.samples import AFTER_ALL_SAMPLES, failed, history, recovered

NOT_UTF_8 = "CAST(x'e9ff' AS TEXT)"
VALUES = ("'nonsense'", "''", NOT_UTF_8, "x'ff'", "x'7b7d'", "-1", "1.5", "9e999")


@pytest.fixture
async def log(path: Path) -> AsyncIterator[SqlLog]:
    database = await SqlDatabase.open(f"sqlite:{path}")
    yield SqlLog(database)
    await database.aclose()


@pytest.fixture
async def other_program(log: SqlLog, path: Path) -> AsyncIterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def altered_in(log: SqlLog) -> list[AlteredEvent]:
    return [entry.event for entry in await log.read(0, 100) if isinstance(entry.event, AlteredEvent)]


@pytest.mark.parametrize(
    ("alteration", "problem"),
    [
        ("details = 'not json'", "JSON is malformed"),
        ("details = '[]'", "a field of the event is missing or has another type"),
        ("details = '{}'", "a field of the event is missing or has another type"),
        ("details = '{\"prior_failure_count\": 1e30}'", "a number of the event is out of range"),
        ("details = x'ff'", "JSON is malformed|invalid"),
        (f"details = {NOT_UTF_8}", "JSON is malformed|invalid"),
        ("event_type = 'x'", "'x' is not a valid EventType"),
        ("container_id = x'ff'", "game_id and container_id must be text"),
        (f"container_id = {NOT_UTF_8}", "game_id and container_id must be text"),
        ("occurred_at = 'yesterday'", "Invalid isoformat string"),
        ("occurred_at = '0001-01-01T00:00:00+01:00'", "not an instant of a health event"),
    ],
)
async def test_an_altered_event_is_named_and_every_other_is_read(
    log: SqlLog, other_program: sqlite3.Connection, alteration: str, problem: str
) -> None:
    await log.append([failed("game-6", 1), *history("game-7", 2), failed("game-8", 1)])
    other_program.execute(f"UPDATE health_events SET {alteration} WHERE id = 'game-7:2'")
    entries = await log.read(0, 10)
    assert [entry.cursor for entry in entries] == [1, 2, 3, 4]
    (altered,) = await altered_in(log)
    assert entries[2].event == altered
    assert altered.problem.startswith("the event game-7:2 at 3 in the log was altered and cannot be read: ")
    assert re.search(problem, altered.problem)
    assert altered.event_type is EventType.PROBE_RECOVERED
    assert await log.last_events(["game-6", "game-7"]) == {"game-6": failed("game-6", 1), "game-7": altered}
    assert await log.append([recovered("game-8", 2)]) == [recovered("game-8", 2)]
    assert await log.append([failed("game-7", 1, container_id="stale")]) == [altered]
    assert await log.append([failed("game-7", 3)]) == [failed("game-7", 3)]
    assert await log.last_events(["game-7"]) == {"game-7": failed("game-7", 3)}
    assert await log.prune(AFTER_ALL_SAMPLES, await log.end()) >= 2


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "column",
    ["game_id", "sequence", "id", "container_id", "event_type", "occurred_at", "details", "position", "labels"],
)
async def test_no_value_in_any_column_hides_another_game(
    log: SqlLog, other_program: sqlite3.Connection, column: str, value: str
) -> None:
    await log.append([failed("game-6", 1), *history("game-7", 2), failed("game-8", 1)])
    other_program.execute(f"UPDATE health_events SET {column} = {value} WHERE id = 'game-7:2'")
    games = {"game-6": failed("game-6", 1), "game-8": failed("game-8", 1)}
    last = await log.last_events(["game-6", "game-7", "game-8"])
    assert {game_id: last[game_id] for game_id in games} == games
    batch = [recovered("game-6", 2), failed("game-9", 1), recovered("game-8", 2)]
    assert await log.append(batch) == batch
    follows = HealthEvent(last["game-7"].sequence + 1, "game-7", "c", AFTER_ALL_SAMPLES, failed("game-7", 1).details)
    assert await log.append([follows]) == [follows]
    events = [entry.event for entry in await log.read(0, 100)]
    assert [event for event in events if event.game_id in {"game-6", "game-8", "game-9"}] == [
        failed("game-6", 1),
        failed("game-8", 1),
        *batch,
    ]
    assert events[-1] == follows
    assert await log.end() == (await log.read(0, 100))[-1].cursor
    await log.prune(AFTER_ALL_SAMPLES, await log.end())


async def test_a_sequence_that_nothing_can_follow_stops_its_own_game_only(
    log: SqlLog, other_program: sqlite3.Connection
) -> None:
    await log.append([failed("game-7", 1), failed("game-8", 1)])
    other_program.execute("UPDATE health_events SET sequence = 9223372036854775807 WHERE game_id = 'game-7'")
    last = (await log.last_events(["game-7"]))["game-7"]
    with pytest.raises(ContentError, match="cannot hold so great a number"):
        await log.append(
            [failed("game-9", 1), HealthEvent(last.sequence + 1, "game-7", "c", last.occurred_at, last.details)]
        )
    assert await log.append([failed("game-9", 1)]) == [failed("game-9", 1)]


async def test_half_a_character_in_the_details_is_not_delivered(log: SqlLog, other_program: sqlite3.Connection) -> None:
    await log.append([failed("game-7", 1), failed("game-8", 1)])
    other_program.execute(
        r"""UPDATE health_events SET details = replace(details, 'unexpected', '\ud83d') WHERE game_id = 'game-7'"""
    )
    assert [event.id for event in await altered_in(log)] == ["game-7:1"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "column",
    [
        "publisher",
        "game_id",
        "sequence",
        "container_id",
        "event_type",
        "occurred_at",
        "details",
        "reason",
        "parked_at",
        "due",
        "number",
    ],
)
async def test_an_altered_dead_letter_hides_no_other(
    log: SqlLog, other_program: sqlite3.Connection, column: str, value: str
) -> None:
    letters = [DeadLetter("bus", failed(game_id, 1), "410", AFTER_ALL_SAMPLES) for game_id in ("game-7", "game-8")]
    for letter in letters:
        await log.park(letter)
    other_program.execute(f"UPDATE dead_letters SET {column} = {value} WHERE game_id = 'game-7'")
    assert letters[1] in await log.dead_letters(10)
    assert await log.request_replay() == 2
    later = [DeadLetter("bus", failed(game_id, 1), "410", AFTER_ALL_SAMPLES) for game_id in ("game-9", "game-10")]
    for letter in later:
        await log.park(letter)
    assert (await log.dead_letters(10))[-2:] == later or column == "number"
    due = await log.dead_letters(10, due_at="bus")
    assert [letter for letter in due if letter.event == failed("game-8", 1)]
    for letter in due:
        assert isinstance(letter.event, AlteredEvent) or letter.event.as_document()
        await log.release(letter)
    assert [letter for letter in await log.dead_letters(10) if letter in later] == later


async def test_random_bytes_anywhere_hide_no_other_game(log: SqlLog, other_program: sqlite3.Connection) -> None:
    chance = random.Random(18)
    columns = ["game_id", "sequence", "container_id", "event_type", "occurred_at", "details", "position", "labels"]
    await log.append([*history("game-7", 2), *history("game-8", 2)])
    for _ in range(200):
        column, noise = chance.choice(columns), chance.randbytes(chance.randint(0, 8)).hex()
        value = chance.choice([f"x'{noise}'", f"CAST(x'{noise}' AS TEXT)"])
        other_program.execute("BEGIN")
        other_program.execute(f"UPDATE OR IGNORE health_events SET {column} = {value} WHERE id = 'game-7:2'")
        other_program.execute("COMMIT")
        assert (await log.last_events(["game-7", "game-8"]))["game-8"] == recovered("game-8", 2)
        assert [entry.event for entry in await log.read(0, 10)][-2:] == history("game-8", 2) or column == "position"
        other_program.execute("DELETE FROM health_events WHERE id = 'game-7:2'")
        other_program.execute(
            "INSERT INTO health_events "
            "SELECT 'game-7', 2, 'game-7:2', container_id, event_type, occurred_at, details, 2, labels "
            "FROM health_events WHERE id = 'game-8:2'"
        )
