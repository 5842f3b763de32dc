"""`explain`: the state of a game from a run, with its last probes, or from a log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.test_events_and_incidents import RECOVERED, REFUSED, event, written
from tests.support.program import CommandLine, documents
from tests.support.terminal_session import OpenTerminal, assert_readable
from tests.support.watched_run import WatchedRun

from healthprobe.domain.outcome import HEALTHY, Failed
from healthprobe.testing.prober import UNAVAILABLE, Answer

HOSTILE = "a/b?c#[red]\x1b[2J%20é"


@pytest.fixture(scope="module")
def run() -> Iterator[WatchedRun]:
    """A run in which game-1 answers, game-2 fell, rose and fell, and a game with a hostile name is down."""
    fell_twice: list[Answer] = [HEALTHY, HEALTHY, *[UNAVAILABLE] * 3, HEALTHY, UNAVAILABLE]
    with WatchedRun({"game-1": HEALTHY, "game-2": fell_twice, HOSTILE: Failed(0, "[bold]no\x1b[31m")}) as run:
        run.wait_until(lambda: len(run.log.events_of("game-2")) == 3)
        run.wait_until_down(HOSTILE)
        yield run


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "kept.db"
    written(
        path,
        event("game-1", 1, 0, REFUSED),
        event("game-1", 2, 13, RECOVERED),
        event("game-2", 1, 20, REFUSED),
    )
    return f"sqlite:{path}"


def test_a_run_explains_the_rule_the_outcomes_and_what_comes_next(command_line: CommandLine, run: WatchedRun) -> None:
    told = command_line("explain", "game-2", "--at", run.at)
    [explained] = documents(told.out)
    assert told.code == 1
    assert (explained["source"], explained["state"], explained["last_status"]) == ("run", "down", 503)
    assert explained["explanation"].startswith("game-2 is down for 3h12m")
    assert "3 failures in a row are a probe_failed" in explained["explanation"]
    assert "One answer with 200 ends the incident" in explained["explanation"]
    assert [each["outcome"] for each in explained["outcomes"][:6]] == [*["healthy"] * 2, *["status"] * 3, "healthy"]
    assert [each["open"] for each in explained["incidents"]] == [True, False]


def test_a_game_that_answers_exits_0(command_line: CommandLine, run: WatchedRun) -> None:
    told = command_line("explain", "game-1", "--at", run.at)
    assert told.code == 0
    assert documents(told.out)[0]["explanation"].startswith("game-1 is healthy.")


def test_a_name_with_control_characters_is_found_and_shown_without_them(
    terminal: OpenTerminal, command_line: CommandLine, run: WatchedRun
) -> None:
    assert documents(command_line("explain", HOSTILE, "--at", run.at).out)[0]["game_id"] == HOSTILE
    session = terminal("explain", HOSTILE, "--at", run.at)
    assert session.end() == 1
    assert_readable(session)
    assert "a/b?c#[red]\N{REPLACEMENT CHARACTER}[2J%20é is down" in session.lines[0]


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_shows_a_mark_for_each_outcome_and_the_last_events(
    terminal: OpenTerminal, run: WatchedRun, columns: int
) -> None:
    session = terminal("explain", "game-2", "--at", run.at, COLUMNS=str(columns), NO_COLOR="1")
    assert session.end() == 1
    assert max(map(len, session.lines)) <= columns
    [marks] = [line for line in session.lines if line.endswith("✗")]
    assert len(marks) < columns or len(marks) == columns
    text = " ".join(" ".join(session.lines).split())
    assert "ms at the median" in text
    assert "✗ status" in text
    assert [line.split()[2] for line in session.lines if line.endswith("503") or " after " in line][-3:] == [
        "failed",
        "recovered",
        "failed",
    ]


def test_a_game_that_is_not_watched_is_unknown(command_line: CommandLine, run: WatchedRun) -> None:
    told = command_line("explain", "game-99", "--at", run.at)
    assert (told.code, told.out) == (2, [])
    assert "no game game-99 is watched at" in told.err[0]


@pytest.mark.parametrize(
    ("game", "state", "words"),
    [
        ("game-1", None, "game-1 is not down. Its last incident lasted 13m00s, with “connection refused”"),
        ("game-2", "down", "game-2 is down for "),
    ],
)
def test_a_log_gives_incidents_and_says_what_it_lacks(
    command_line: CommandLine, log: str, game: str, state: str | None, words: str
) -> None:
    told = command_line("explain", game, "--log", log)
    [explained] = documents(told.out)
    assert told.code == (1 if state else 0)
    assert (explained["source"], explained["state"], explained["outcomes"]) == ("log", state, [])
    assert explained["explanation"].startswith(words)
    assert "This is from the log" in explained["explanation"]


def test_a_game_without_events_is_not_in_a_log(command_line: CommandLine, log: str) -> None:
    told = command_line("explain", "game-99", "--log", log)
    assert (told.code, told.out) == (2, [])
    assert "no event of game-99 is in the log" in told.err[0]


def test_a_terminal_shows_the_incidents_of_a_log(terminal: OpenTerminal, log: str) -> None:
    session = terminal("explain", "game-1", "--log", log)
    assert session.end() == 0
    assert_readable(session)
    assert session.lines[-1].endswith("recovered  after 13m00s")
