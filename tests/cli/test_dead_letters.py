"""`events --dead` and `--replay-dead`: dead letters are listed with their reasons and replayed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.servers.web import ACCEPTED, Answer, WebServer
from tests.support.program import QUICK, CommandLine, Program, documents, written_games
from tests.support.terminal_session import OpenTerminal, assert_readable
from tests.support.waiting import PATIENCE, until

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.app import terminal as terminal_room
from healthprobe.cli import events as room
from healthprobe.domain.event import HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails
from healthprobe.ports import DeadLetter
from healthprobe.testing.engines import ScriptedEngine
from healthprobe.testing.memory import InMemoryPublisher
from healthprobe.worker.relay import Relay

WHEN = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
FAILED = HealthEvent(1, "game-7", "c0ffee", WHEN, ProbeFailedDetails(3, 503, "unexpected status 503"))
RECOVERED = HealthEvent(2, "game-7", "c0ffee", WHEN, ProbeRecoveredDetails(3))
OF_GAME_8 = replace(FAILED, game_id="game-8")

Command = Callable[..., Awaitable[CompletedProcess[str]]]
"""Runs one command beside the run that a test watches."""


@asynccontextmanager
async def log_in(folder: Path) -> AsyncIterator[SqlLog]:
    database = await SqlDatabase.open(f"sqlite:{folder / 'healthprobe.db'}")
    try:
        yield SqlLog(database)
    finally:
        await database.aclose()


@pytest.fixture
def parked(tmp_path: Path) -> None:
    """Three dead letters: two of the webhook's, one of the bus's."""

    async def park() -> None:
        async with log_in(tmp_path) as log:
            await log.append([FAILED, RECOVERED, OF_GAME_8])
            await log.park(DeadLetter("webhook", FAILED, "webhook answered 400: no such game", WHEN))
            await log.park(DeadLetter("webhook", OF_GAME_8, "webhook answered 413", WHEN))
            await log.park(DeadLetter("bus", FAILED, "refused", WHEN))

    asyncio.run(park())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_PATIENCE", 0.3)


@pytest.mark.usefixtures("parked")
def test_dead_letters_are_listed_oldest_first_with_exactly_their_fields(
    command_line: CommandLine,
) -> None:
    told = command_line("events", "--dead")
    assert told.code == 0
    letters = documents(told.out)
    assert [(letter["publisher"], letter["event"]["id"]) for letter in letters] == [
        ("webhook", "game-7:1"),
        ("webhook", "game-8:1"),
        ("bus", "game-7:1"),
    ]
    assert letters[0] == {
        "publisher": "webhook",
        "parked_at": "2026-11-23T17:00:00.000000Z",
        "reason": "webhook answered 400: no such game",
        "due": False,
        "event": FAILED.as_document(),
    }


@pytest.mark.usefixtures("parked")
def test_dead_letters_of_one_game_can_be_listed(command_line: CommandLine) -> None:
    assert [each["event"]["id"] for each in documents(command_line("events", "--dead", "--game", "game-8").out)] == [
        "game-8:1"
    ]


@pytest.mark.usefixtures("parked", "impatient")
def test_without_a_run_replayed_dead_letters_wait_for_one(command_line: CommandLine, tmp_path: Path) -> None:
    told = command_line("events", "--replay-dead")
    assert told.code == 0
    assert documents(told.out) == [{"asked_for": 3, "delivered": 0, "refused": 0, "waiting": 3}]
    assert all(letter["due"] for letter in documents(command_line("events", "--dead").out))

    webhook = InMemoryPublisher()
    webhook.unacceptable = {"game-8:1"}

    async def next_run() -> None:
        async with log_in(tmp_path) as log:
            await Relay(log=log, publisher=webhook, name="webhook").drain(within=PATIENCE)

    asyncio.run(next_run())
    assert webhook.delivered_ids == ["game-7:1", "game-7:2", "game-7:1"]
    left = documents(command_line("events", "--dead").out)
    assert [(letter["publisher"], letter["event"]["id"], letter["due"]) for letter in left] == [
        ("webhook", "game-8:1", False),
        ("bus", "game-7:1", True),
    ]
    assert left[0]["reason"] == "game-8:1 will never be taken"


def test_a_log_without_dead_letters_replays_nothing(command_line: CommandLine, tmp_path: Path) -> None:
    async def opened() -> None:
        async with log_in(tmp_path):
            pass

    asyncio.run(opened())
    assert command_line("events", "--dead").out == []
    told = command_line("events", "--replay-dead")
    assert told.code == 0
    assert documents(told.out) == [{"asked_for": 0, "delivered": 0, "refused": 0, "waiting": 0}]


@pytest.mark.usefixtures("parked")
def test_a_terminal_groups_dead_letters_by_publisher_and_reason(terminal: OpenTerminal) -> None:
    shown = terminal("events", "--dead")
    assert shown.end() == 0
    assert_readable(shown)
    assert shown.lines[:2] == ["webhook", "webhook answered 400: no such game"]
    assert re.fullmatch(r"  \d\d-\d\d \d\d:\d\d:\d\d  failed     game-7:1", shown.lines[2])


@pytest.mark.usefixtures("parked", "impatient")
def test_a_terminal_shows_the_result_of_a_replay_in_a_sentence(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_room, "people_watch", lambda **_: True)
    told = command_line("events", "--replay-dead")
    assert (told.code, " ".join(told.out)) == (
        0,
        "0 of 3 dead letters delivered; 3 waiting: healthprobe run delivers them when the publisher accepts them.",
    )
    assert "game-7:1  to be replayed" in " ".join(command_line("events", "--dead").out)


@pytest.fixture
def command(program: Program) -> Command:
    async def command(*arguments: str) -> CompletedProcess[str]:
        return await asyncio.to_thread(program, *arguments)

    return command


async def test_a_run_replays_dead_letters_until_the_webhook_accepts_them(
    program: Program, command: Command, tmp_path: Path
) -> None:
    async with ScriptedEngine() as engine, WebServer(Answer(400, b"no such game")) as webhook:
        await engine.become(503)
        records = written_games(tmp_path, ["game-1"], engine.endpoint)
        running = program.start(*QUICK, "--records", records, "--publish", webhook.url("/health"))
        while not (shown := (await command("events", "--dead")).stdout):
            assert running.poll() is None
        [letter] = documents(shown.splitlines())
        assert letter["reason"] == "webhook answered 400: no such game"
        assert letter["publisher"] == webhook.url("/health")
        assert letter["event"]["id"] == "game-1:1"

        refused = await command("events", "--replay-dead")
        assert refused.returncode == 1
        assert documents(refused.stdout.splitlines()) == [{"asked_for": 1, "delivered": 0, "refused": 1, "waiting": 0}]
        assert [asked.document["id"] for asked in webhook.asked] == ["game-1:1"] * 2

        webhook.script = ACCEPTED
        taken = await command("events", "--replay-dead")
        assert (taken.returncode, taken.stderr) == (0, "")
        assert documents(taken.stdout.splitlines()) == [{"asked_for": 1, "delivered": 1, "refused": 0, "waiting": 0}]
        assert [asked.document["id"] for asked in webhook.asked] == ["game-1:1"] * 3
        assert (await command("events", "--dead")).stdout == ""

        await engine.become(200)
        await until(lambda: len(webhook.asked) == 4, "the recovery reaches the webhook")
        assert webhook.asked[-1].document["id"] == "game-1:2"
        running.terminate()
        assert await asyncio.to_thread(running.wait, 10) == 0
