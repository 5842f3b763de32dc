"""Four programs write the same games at once: ten thousand events, no gap, none twice, none that a reader misses."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.servers import nats_fixtures
from tests.servers.nats_fixtures import OpenLog

from healthprobe.adapters.nats import JetStreamLog
from healthprobe.ports import LogEntry

nats_server = nats_fixtures.nats_server
nats_url = nats_fixtures.nats_url
prefix = nats_fixtures.prefix
open_log = nats_fixtures.open_log

WRITERS = ("writer-1", "writer-2", "writer-3", "writer-4")
GAMES = 50
EVENTS_OF_A_GAME = 200
PATIENCE = 120.0
PORTION = 499

WRITER = """
import json, random, sys
import uvloop
from healthprobe.adapters.nats.address import NatsAddress
from healthprobe.adapters.nats.connection import JetStream
from healthprobe.adapters.nats import JetStreamLog
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
        except LogError as error:  # the others came first all the time
            if error.permanent:
                raise

async def main():
    stream = await JetStream.open(NatsAddress.of_url(url))
    log, acknowledged = await JetStreamLog.open(stream), []
    print("ready", flush=True)
    sys.stdin.readline()
    while unfinished := [game_id for game_id in at if at[game_id] < events_of_a_game]:
        chosen = random.sample(unfinished, min(len(unfinished), 12))
        batch = [event for game_id in chosen for event in following(game_id)]
        batch.sort(key=lambda event: event.sequence - at[event.game_id])  # many games are sent together, one is not
        standing = await append(log, batch)
        acknowledged += [ours.id for ours, stands in zip(batch, standing, strict=True) if ours == stands]
        for ours, stands in zip(batch, standing, strict=True):
            at[ours.game_id] = stands.sequence if stands else 0
    await stream.aclose()
    print(json.dumps(acknowledged))

uvloop.run(main())
"""


@pytest.fixture
async def log(nats_url: str, open_log: OpenLog) -> JetStreamLog:
    return await open_log(nats_url)


@pytest.fixture
async def writers(log: JetStreamLog, nats_url: str) -> AsyncIterator[list[Process]]:
    """They have opened the log, and wait for a line that lets them begin."""
    extent = (str(GAMES), str(EVENTS_OF_A_GAME))
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, nats_url, name, *extent, stdin=PIPE, stdout=PIPE, limit=2**20
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
    log: JetStreamLog, writers: list[Process]
) -> None:
    writing = asyncio.gather(*(_acknowledged_to(writer) for writer in writers))
    async with asyncio.timeout(PATIENCE):
        followed = await _follow(log, writing)
        acknowledged = dict(zip(WRITERS, await writing, strict=True))

    assert len(followed) == GAMES * EVENTS_OF_A_GAME
    for number in range(GAMES):
        sequences = [entry.event.sequence for entry in followed if entry.event.game_id == f"game-{number}"]
        assert sequences == list(range(1, EVENTS_OF_A_GAME + 1))
    assert await log.read(0, len(followed) + 1) == followed

    told = [(event_id, writer) for writer, event_ids in acknowledged.items() for event_id in event_ids]
    assert len(told) == len(dict(told)) == GAMES * EVENTS_OF_A_GAME
    assert dict(told) == {entry.event.id: entry.event.container_id for entry in followed}
    assert sum(map(bool, acknowledged.values())) > 1


async def _follow(log: JetStreamLog, writing: "asyncio.Future[Any]") -> list[LogEntry]:
    """What a reader sees that begins before them, and never looks back."""
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
    """Let it begin; the ids of the events that the log has acknowledged to it, once it is through."""
    assert writer.stdin is not None
    writer.stdin.write(b"go\n")
    told = await _line_of(writer)
    assert await writer.wait() == 0
    acknowledged: list[str] = json.loads(told)
    return acknowledged


async def _line_of(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return (await process.stdout.readline()).decode().strip()
