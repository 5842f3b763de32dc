"""`silence`: no alarms of a game for a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.program import CommandLine, Document, documents


def record_of(command_line: CommandLine, game: str) -> Document:
    [record] = [each for each in documents(command_line("runtimes", "list").out) if each["game_id"] == game]
    return record


def test_silencing_a_game_changes_nothing_else_of_its_record(command_line: CommandLine) -> None:
    command_line("runtimes", "add", "game-7", "http://10.0.0.7:8080", "--probe", '{"path": "/ready"}')
    before, now = record_of(command_line, "game-7"), datetime.now(UTC)
    told = command_line("silence", "game-7", "--for", "10m", "--why", "new version")
    assert told.code == 0
    assert told.err[0].startswith("healthprobe: game-7: silenced until ")
    after = record_of(command_line, "game-7")
    until = datetime.fromisoformat(after.pop("silenced_until"))
    assert abs(until - now - timedelta(minutes=10)) < timedelta(seconds=30)
    assert after.pop("silenced_why") == "new version"
    assert after == before


def test_a_silence_can_be_ended(command_line: CommandLine) -> None:
    command_line("runtimes", "add", "game-7", "http://10.0.0.7:8080")
    before = record_of(command_line, "game-7")
    command_line("silence", "game-7", "--for", "10m")
    assert command_line("silence", "game-7", "--end").err == ["healthprobe: game-7: no longer silenced"]
    assert record_of(command_line, "game-7") == before


def test_unknown_games_are_reported_and_the_others_are_silenced(command_line: CommandLine) -> None:
    command_line("runtimes", "add", "game-7", "http://10.0.0.7:8080")
    told = command_line("silence", "game-7", "game-70", "--for", "1h")
    assert told.code == 1
    assert told.err[-1] == "healthprobe: not in sqlite:healthprobe.db: game-70"
    assert "silenced_until" in record_of(command_line, "game-7")


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ((), "write how long, as in --for 10m, or --end"),
        (("--for", "10m", "--end"), "write how long, as in --for 10m, or --end"),
        (("--for", "10"), "'10' has no unit"),
        (("--for", "10m", "--records", "file:games.yaml"), "write silenced_until: 2026-11-25T14:00:00Z there"),
        (("--for", "10m", "--why", "two\nlines"), "--why: write one line"),
    ],
)
def test_a_wrong_silence_is_refused_with_what_to_write(
    command_line: CommandLine, arguments: tuple[str, ...], advice: str
) -> None:
    told = command_line("silence", "game-7", *arguments)
    assert (told.code, len(told.err)) == (2, 1)
    assert advice in told.err[0]
