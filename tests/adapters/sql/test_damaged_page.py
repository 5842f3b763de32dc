"""A damaged page of an SQLite file: what is in it is named, and all else is read, delivered and appended."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.domain.event import AlteredEvent, EventType
from healthprobe.ports import LogError
from healthprobe.testing.contracts.samples import failed, history
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.testing.stage import Stage
from healthprobe.worker.relay import Relay

GAMES = [f"game-{number:02}" for number in range(40)]
EVENTS = [event for each in zip(*(history(game_id, 15) for game_id in GAMES), strict=True) for event in each]
"""In turns, so that a page has events of many games."""

IS_LEAF, IS_INDEX_LEAF = 0x0D, 0x0A


async def written(path: Path) -> None:
    database = await SqlDatabase.open(f"sqlite:{path}")
    await SqlLog(database).append(EVENTS)
    await database.aclose()


def damage(path: Path, column: bytes, kind: int, number: int = 0) -> None:
    """Overwrites the page of a `kind` that has `column` in it, the last but `number`, but for its first byte."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    pages = range(size, len(content), size)
    found = [page for page in pages if content[page] == kind and column in content[page : page + size]]
    start = found[-1 - number]
    content[start + 1 : start + size] = b"\xee" * (size - 1)
    path.write_bytes(content)


@pytest.mark.parametrize("number", range(4), ids=lambda number: f"the last page but {number}")
async def test_events_in_other_pages_are_delivered_and_the_others_named(path: Path, number: int) -> None:
    await written(path)
    damage(path, b"unexpected status", IS_LEAF, number)
    stage, publisher = Stage(), InMemoryPublisher()
    database = await SqlDatabase.open(f"sqlite:{path}")
    log = SqlLog(database)
    entries = await log.read(0, 1_000)
    assert [entry.cursor for entry in entries] == list(range(1, len(EVENTS) + 1))
    lost = {entry.cursor for entry in entries if isinstance(entry.event, AlteredEvent)}
    assert 5 < len(lost) < 60
    kept = [event for cursor, event in enumerate(EVENTS, 1) if cursor not in lost]
    await Relay(log=log, publisher=publisher, name="bus", logger=stage.logger).drain(within=10.0)
    assert publisher.delivered == kept
    named = [line["err"] for line in stage.lines if line["event"] == "event altered in the log: not delivered"]
    assert len(named) == len(lost)
    assert named[0].startswith(f"the event at {min(lost)} in the log cannot be read: its page of the file is damaged")
    await database.aclose()


async def test_the_state_of_a_game_whose_last_event_is_lost_is_that_of_its_sequence(path: Path) -> None:
    await written(path)
    damage(path, b"unexpected status", IS_LEAF, 1)
    database = await SqlDatabase.open(f"sqlite:{path}")
    log = SqlLog(database)
    last = await log.last_events([*GAMES, "nobody"])
    assert {game_id: event.sequence for game_id, event in last.items()} == dict.fromkeys(GAMES, 15)
    lost = [event for event in last.values() if isinstance(event, AlteredEvent)]
    assert 0 < len(lost) < len(GAMES)
    assert {event.event_type for event in lost} == {EventType.PROBE_FAILED}
    assert lost[0].problem.startswith(f"the event {lost[0].game_id}:15 in the log cannot be read")
    assert sorted(await log.open_incidents()) == GAMES
    new = [failed("game-new", 1)]
    assert await log.append(new) == new
    await database.aclose()


async def test_a_damaged_index_is_an_error_that_says_what_to_do(path: Path) -> None:
    await written(path)
    for number in range(2):
        damage(path, b"game-", IS_INDEX_LEAF, number)
    database = await SqlDatabase.open(f"sqlite:{path}")
    with pytest.raises(LogError, match="it is damaged: restore it from a backup"):
        await SqlLog(database).last_events(GAMES)
    await database.aclose()
