"""Four programs append for the same games: ten thousand events, no gap, no duplicate, none missed by a reader."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.domain.event import HealthEvent
from healthprobe.ports import LogEntry

WRITERS = ("writer-1", "writer-2", "writer-3", "writer-4")
GAMES = 50
EVENTS_OF_A_GAME = 200
PATIENCE = 120.0
PORTION = 499

WRITER = """
import asyncio, json, random, sys
from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.ports import LogError
from healthprobe.testing.contracts.samples import failed, recovered

url, name, games, events_of_a_game = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
at = dict.fromkeys([f"game-{number}" for number in range(games)], 0)

def following(game_id):
    last = min(at[game_id] + random.randint(1, 15), events_of_a_game)
    for sequence in range(at[game_id] + 1, last + 1):
        yield (failed if sequence % 2 else recovered)(game_id, sequence, container_id=name)

async def append(log, batch):
    while True:
        try:
            return await log.append(batch)
        except LogError as error:  # the others had the write lock all the time
            if error.permanent:
                raise

async def main():
    database = await SqlDatabase.open(url)
    log, acknowledged = SqlLog(database), []
    print("ready", flush=True)
    sys.stdin.readline()
    while unfinished := [game_id for game_id in at if at[game_id] < events_of_a_game]:
        chosen = random.sample(unfinished, min(len(unfinished), 25))
        batch = [event for game_id in chosen for event in following(game_id)]
        standing = await append(log, batch)
        acknowledged += [ours.id for ours, stands in zip(batch, standing, strict=True) if ours == stands]
        for ours, stands in zip(batch, standing, strict=True):
            at[ours.game_id] = stands.sequence if stands else 0
        await asyncio.sleep(random.uniform(0, 0.005))  # SQLite has no queue for its lock: give the others a turn
    await database.aclose()
    print(json.dumps(acknowledged))

asyncio.run(main())
"""


@pytest.fixture
async def log(url: str) -> AsyncIterator[SqlLog]:
    database = await SqlDatabase.open(url)
    yield SqlLog(database)
    await database.aclose()


@pytest.fixture
async def writers(log: SqlLog, url: str) -> AsyncIterator[list[Process]]:
    """Yields programs that have opened the log and wait for a line to begin."""
    assert await log.end() == 0
    extent = (str(GAMES), str(EVENTS_OF_A_GAME))
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, url, name, *extent, stdin=PIPE, stdout=PIPE, limit=2**20
        )
        for name in WRITERS
    ]
    try:
        for process in processes:
            assert await _line_of(process) == "ready"
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.slow
async def test_four_writers_and_ten_thousand_events_make_no_gap_and_no_duplicate(
    log: SqlLog, writers: list[Process]
) -> None:
    writing = asyncio.gather(*(_acknowledged_to(writer) for writer in writers))
    async with asyncio.timeout(PATIENCE):
        followed = await _follow(log, writing)
        acknowledged = dict(zip(WRITERS, await writing, strict=True))

    assert [entry.cursor for entry in followed] == list(range(1, GAMES * EVENTS_OF_A_GAME + 1))
    events = [entry.event for entry in followed]
    for number in range(GAMES):
        assert _sequences_of(f"game-{number}", events) == list(range(1, EVENTS_OF_A_GAME + 1))
    assert await log.read(0, len(followed) + 1) == followed

    writer_in_the_log = {event.id: event.container_id for event in events}
    pairs = [(event_id, writer) for writer, event_ids in acknowledged.items() for event_id in event_ids]
    assert len(pairs) == len(dict(pairs)) == GAMES * EVENTS_OF_A_GAME
    assert dict(pairs) == writer_in_the_log
    assert sum(map(bool, acknowledged.values())) > 1


async def _follow(log: SqlLog, writing: "asyncio.Future[Any]") -> list[LogEntry]:
    """Returns what a reader sees that starts before the writers and never reads an entry twice."""
    seen: list[LogEntry] = []
    while True:
        is_over = writing.done()
        portion = await log.read(seen[-1].cursor if seen else 0, PORTION)
        seen += portion
        if is_over and not portion:
            return seen
        if not portion:
            await asyncio.sleep(0.02)


async def _acknowledged_to(writer: Process) -> list[str]:
    """Lets the writer begin; returns the ids of the events that were acknowledged to it."""
    assert writer.stdin is not None
    writer.stdin.write(b"go\n")
    line = await _line_of(writer)
    assert await writer.wait() == 0
    acknowledged: list[str] = json.loads(line)
    return acknowledged


async def _line_of(writer: Process) -> str:
    assert writer.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await writer.stdout.readline()).decode().strip()


def _sequences_of(game_id: str, events: Iterable[HealthEvent]) -> list[int]:
    return [event.sequence for event in events if event.game_id == game_id]
