"""`events` and `incidents`: the contents of a log."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.program import CommandLine, Document, Program, documents, next_document
from tests.support.waiting import PATIENCE

from healthprobe.adapters.sql import SqlDatabase, SqlLog
from healthprobe.domain.event import Details, HealthEvent, ProbeFailedDetails, ProbeRecoveredDetails

START = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
REFUSED = ProbeFailedDetails(3, 0, "connection refused")
RECOVERED = ProbeRecoveredDetails(5)


def event(game_id: str, sequence: int, minute: float, details: Details) -> HealthEvent:
    return HealthEvent(sequence, game_id, f"{game_id}-a", START + timedelta(minutes=minute), details)


def written(path: Path, *events: HealthEvent) -> None:
    """Append `events` to the log in `path`, as a run would."""

    async def write() -> None:
        database = await SqlDatabase.open(f"sqlite:{path}")
        try:
            assert list(await SqlLog(database).append(events)) == list(events)
        finally:
            await database.aclose()

    asyncio.run(write())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A short outage of game-1, a long one of game-2, and two that last: game-3's, and game-4's longer one."""
    path = tmp_path / "healthprobe.db"
    written(
        path,
        event("game-4", 1, 0, ProbeFailedDetails(3, 503, "unexpected status 503")),
        event("game-1", 1, 1, REFUSED),
        event("game-1", 2, 2, RECOVERED),
        event("game-2", 1, 3, REFUSED),
        event("game-3", 1, 4, REFUSED),
        event("game-2", 2, 13, RECOVERED),
    )
    return path


@pytest.mark.usefixtures("log")
def test_events_are_listed_oldest_first_with_exactly_their_fields(command_line: CommandLine) -> None:
    told = command_line("events")
    assert told.code == 0
    assert [each["id"] for each in documents(told.out)] == [
        "game-4:1",
        "game-1:1",
        "game-1:2",
        "game-2:1",
        "game-3:1",
        "game-2:2",
    ]
    assert told.out[1] == (
        '{"id":"game-1:1","sequence":1,"game_id":"game-1","container_id":"game-1-a","event_type":"probe_failed",'
        '"occurred_at":"2026-11-23T17:01:00.000000Z",'
        '"details":{"consecutive_failures":3,"last_status":0,"last_error":"connection refused"}}'
    )
    assert told.out[2].endswith('"details":{"prior_failure_count":5}}')


@pytest.mark.usefixtures("log")
def test_the_events_of_one_game_can_be_listed(command_line: CommandLine) -> None:
    assert [each["id"] for each in documents(command_line("events", "--game", "game-2").out)] == [
        "game-2:1",
        "game-2:2",
    ]
    assert command_line("events", "--game", "game-99").out == []


@pytest.mark.usefixtures("log")
def test_incidents_are_listed_open_ones_first_and_the_longest_first(command_line: CommandLine) -> None:
    told = documents(command_line("incidents").out)
    assert [(each["game_id"], each["open"]) for each in told] == [
        ("game-4", True),
        ("game-3", True),
        ("game-2", False),
        ("game-1", False),
    ]
    assert told[0]["recovered_at"] is None
    assert told[2] == {
        "game_id": "game-2",
        "container_id": "game-2-a",
        "open": False,
        "failed_at": "2026-11-23T17:03:00.000000Z",
        "recovered_at": "2026-11-23T17:13:00.000000Z",
        "gone_at": None,
        "duration_s": 600.0,
        "last_status": 0,
        "last_error": "connection refused",
    }


@pytest.mark.parametrize("command", ["events", "incidents"])
def test_reading_does_not_create_a_log(command_line: CommandLine, tmp_path: Path, command: str) -> None:
    told = command_line(command, "--log", "sqlite:elsewhere.db")
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.proves("foreign-file")
@pytest.mark.parametrize("command", ["events", "incidents"])
def test_a_file_of_another_program_is_refused_and_not_changed(
    command_line: CommandLine, tmp_path: Path, command: str
) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader, " * 100)
    told = command_line(command, "--log", "sqlite:letter.txt")
    assert (told.code, told.out, len(told.err)) == (2, [], 1)
    assert letter.read_text() == "Dear reader, " * 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_following_writes_old_and_new_events_until_a_signal(
    program: Program, log: Path, number: signal.Signals
) -> None:
    following = program.start("events", "--follow", "--game", "game-3")
    assert next_document(following)["id"] == "game-3:1"
    written(log, event("game-4", 2, 20, RECOVERED), event("game-3", 2, 21, RECOVERED))
    assert next_document(following)["id"] == "game-3:2"
    following.send_signal(number)
    rest, errors = following.communicate(timeout=PATIENCE)
    assert (following.returncode, rest, errors) == (0, "", "")


def test_a_closed_pipe_ends_the_command_silently(program: Program, tmp_path: Path) -> None:
    many = [event(f"game-{number}", 1, number, REFUSED) for number in range(2000)]
    written(tmp_path / "many.db", *many)
    reading = program.start("events", "--log", "sqlite:many.db")
    first: Document = next_document(reading)
    assert first["id"] == "game-0:1"
    assert reading.stdout is not None
    assert reading.stderr is not None
    reading.stdout.close()
    assert reading.wait(timeout=PATIENCE) == 0
    assert reading.stderr.read() == ""


def altered(path: Path, event_id: str, assignment: str) -> None:
    """Alters an event in the log, as a person with the sqlite3 shell would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(f"UPDATE health_events SET {assignment} WHERE id = ?", (event_id,)).rowcount == 1


@pytest.mark.parametrize(
    "assignment", ["details = '{\"broken'", "container_id = CAST(x'ff' AS TEXT)", "details = x'ff'"]
)
def test_an_altered_event_is_named_and_the_readable_rest_is_shown(
    command_line: CommandLine, log: Path, assignment: str
) -> None:
    altered(log, "game-1:2", assignment)
    told = command_line("events")
    assert told.code == 0
    assert [each["id"] for each in documents(told.out)] == ["game-4:1", "game-1:1", "game-2:1", "game-3:1", "game-2:2"]
    (line,) = told.err
    assert line.startswith("healthprobe: the event game-1:2 at 3 in the log was altered and cannot be read: ")


def test_an_incident_that_an_altered_event_ended_has_ended(command_line: CommandLine, log: Path) -> None:
    altered(log, "game-1:2", "details = ''")
    altered(log, "game-3:1", "details = ''")
    told = command_line("incidents")
    assert told.code == 0
    shown = {each["game_id"]: each for each in documents(told.out)}
    assert {game_id: each["open"] for game_id, each in shown.items()} == {
        "game-4": True,
        "game-3": True,
        "game-2": False,
        "game-1": False,
    }
    assert "was altered and cannot be read" in shown["game-3"]["last_error"]
    assert len(told.err) == 2


def test_events_and_incidents_of_games_with_a_label(command_line: CommandLine, tmp_path: Path) -> None:
    labelled = replace(event("game-5", 1, 0, REFUSED), labels={"region": "eu-1", "team": "eu"})
    written(tmp_path / "healthprobe.db", labelled, event("game-6", 1, 1, REFUSED))
    assert documents(command_line("events", "--label", "team=eu", "--label", "region=eu-1").out) == [
        labelled.as_document()
    ]
    assert documents(command_line("events", "--label", "team=us").out) == []
    assert [each["game_id"] for each in documents(command_line("events", "--label", "team=").out)] == ["game-6"]
    [incident] = documents(command_line("incidents", "--label", "team=eu").out)
    assert (incident["game_id"], incident["labels"]) == ("game-5", {"region": "eu-1", "team": "eu"})
    [status] = documents(command_line("status", "--log", "sqlite:healthprobe.db", "--label", "team=eu").out)
    assert (status["down"], [each["game_id"] for each in status["incidents"]]) == (1, ["game-5"])
    assert command_line("status", "--log", "sqlite:healthprobe.db", "--label", "team=us").code == 0
    refused = command_line("events", "--label", "team")
    assert (refused.code, "write NAME=VALUE" in "".join(refused.err)) == (2, True)
